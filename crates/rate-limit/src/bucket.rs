use std::time::Duration;

use bartizan_clock::Instant;

use crate::{Allowed, Quota, RateLimited, Snapshot, cell::Cell, verdict::verdict};

/// One token bucket, in one word. Whoever owns it knows its quota and the time.
#[derive(Debug)]
pub(crate) struct Bucket(Cell);

impl Bucket {
    pub(crate) fn full() -> Self {
        Self::full_from(Instant::from_nanos(0))
    }

    /// One that is full from then on.
    pub(crate) fn full_from(instant: Instant) -> Self {
        Self(Cell::new(instant.as_nanos()))
    }

    /// Takes a token, or says when there will be one.
    #[inline(always)]
    pub(crate) fn take(&self, quota: Quota, now: Instant) -> Result<Allowed, Instant> {
        self.0.update(|full_at| {
            verdict(quota, Instant::from_nanos(full_at), now)
                .map(|(allowed, full_at)| (allowed, full_at.as_nanos()))
        })
    }

    #[inline]
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at() <= now
    }

    /// When the bucket will have brought `tokens` tokens from now on, those it holds included:
    /// a call that lets `tokens - 1` others go first gets its token then.
    pub(crate) fn brings(&self, tokens: usize, quota: Quota, now: Instant) -> Instant {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let beyond = quota.interval().saturating_mul(tokens);
        (self.full_at().max(now) + beyond - quota.refill()).max(now)
    }

    /// What the bucket looks like, with nobody waiting for it.
    pub(crate) fn snapshot(&self, quota: Quota, now: Instant) -> Snapshot {
        let (full_at, limit) = (self.full_at(), quota.burst());
        let interval = quota.interval();
        // Zero when it is full.
        let missing = (full_at - now).as_nanos().div_ceil(interval.as_nanos());
        let missing = u32::try_from(missing).map_or(limit, |missing| missing.min(limit));
        Snapshot {
            tokens: limit - missing,
            limit,
            waiting: 0,
            last_refill: (missing > 0).then(|| full_at - interval.saturating_mul(missing)),
        }
    }

    fn full_at(&self) -> Instant {
        Instant::from_nanos(self.0.full_at())
    }
}

impl RateLimited {
    /// The refusal of a call whose turn would come at `turn`.
    pub(crate) fn until(turn: Instant, quota: Quota, now: Instant) -> Self {
        let retry_after = match turn - now {
            // Its token is there, but others have first claim to it and are slow to take
            // theirs. Whoever is told to come back at once does.
            Duration::ZERO => quota.interval(),
            wait => wait,
        };
        Self {
            retry_after,
            limit: quota.burst(),
            remaining: 0,
        }
    }
}

#[cfg(test)]
mod tests;
