use std::{fmt, num::NonZeroU32, time::Duration};

use bartizan_clock::{Clock, Instant};
use governor::middleware::StateInformationMiddleware;

use crate::{
    Allowed, Quota,
    cell::{Cell, Look},
    moment::Watch,
};

/// One token bucket: governor's arithmetic over a state that can also be looked at.
pub(crate) struct Bucket {
    governor: governor::RateLimiter<Look, Cell, Watch, StateInformationMiddleware>,
    quota: Quota,
}

impl Bucket {
    pub(crate) fn new(quota: Quota, clock: Clock) -> Self {
        Self {
            governor: governor::RateLimiter::new(
                quota.as_governor(),
                Cell::new(),
                Watch::new(clock),
            ),
            quota,
        }
    }

    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    pub(crate) fn clock(&self) -> Clock {
        self.governor.clock().clock()
    }

    /// When the bucket was last asked anything.
    #[inline]
    pub(crate) fn last_asked(&self) -> Instant {
        self.governor.clock().last()
    }

    /// Takes a token, or says when there will be one.
    #[inline]
    pub(crate) fn take(&self) -> Result<Allowed, Instant> {
        match self.governor.check_key(&Look::Take) {
            Ok(state) => Ok(Allowed {
                limit: self.quota.burst(),
                remaining: state.remaining_burst_capacity(),
            }),
            Err(not_until) => Err(not_until.earliest_possible().0),
        }
    }

    /// When the bucket will be full; `None` if it is.
    pub(crate) fn full_at(&self) -> Option<Instant> {
        let burst = NonZeroU32::new(self.quota.burst())?;
        // What a burst fits into is never insufficient capacity.
        match self.governor.check_key_n(&Look::Peek, burst).ok()? {
            Ok(_) => None,
            Err(not_until) => Some(not_until.earliest_possible().0),
        }
    }

    /// When the bucket will have brought `tokens` tokens from now on, those it holds included.
    ///
    /// At least the time of the call, and it leaves nothing out: a call that lets `tokens - 1`
    /// others go first gets its token then.
    pub(crate) fn brings(&self, tokens: usize) -> Instant {
        let full_at = self.full_at();
        let now = self.last_asked();
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let beyond = self.quota.interval().saturating_mul(tokens);
        (full_at.unwrap_or(now) + beyond - self.quota.refill()).max(now)
    }

    /// How many tokens the bucket holds, and when it last gained one unless it is full.
    pub(crate) fn level(&self) -> (u32, Option<Instant>) {
        let burst = self.quota.burst();
        let Some(full_at) = self.full_at() else {
            return (burst, None);
        };
        let interval = self.quota.interval();
        let missing = (full_at - self.last_asked())
            .as_nanos()
            .div_ceil(interval.as_nanos());
        let missing = u32::try_from(missing).unwrap_or(u32::MAX).min(burst);
        let since = interval.saturating_mul(missing);
        (burst - missing, Some(full_at - since))
    }

    /// What is left to wait until `instant`: never zero, because whoever is told to come back
    /// at once does.
    pub(crate) fn wait_until(&self, instant: Instant) -> Duration {
        match instant - self.last_asked() {
            Duration::ZERO => self.quota.interval(),
            wait => wait,
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("quota", &self.quota)
            .field("tokens", &self.level().0)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
