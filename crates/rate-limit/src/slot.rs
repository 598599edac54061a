use bartizan_clock::{Clock, Instant};

use crate::{Allowed, Quota, RateLimiter, Snapshot, bucket::Bucket, limiter, verdict::verdict};

/// What is kept of a key: a word, or a whole limiter once somebody has waited for it.
#[derive(Debug)]
pub(crate) enum Slot {
    /// When the bucket will be full; nobody has waited yet.
    Bucket(Instant),
    /// Waiting calls share the limiter with the slot.
    Limiter(RateLimiter),
}

/// Why a call did not get a token of its key at once.
pub(crate) enum Missed {
    /// The bucket is empty until then, and nobody waits.
    Empty(Instant),
    /// Somebody waits.
    Crowded(RateLimiter),
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self::Bucket(Instant::from_nanos(0))
    }

    #[inline(always)]
    pub(crate) fn quick(&mut self, quota: Quota, now: Instant) -> Result<Allowed, Missed> {
        match self {
            Self::Bucket(full_at) => {
                let (allowed, next) = verdict(quota, *full_at, now).map_err(Missed::Empty)?;
                *full_at = next;
                Ok(allowed)
            }
            Self::Limiter(limiter) => Missed::or_allowed(limiter, now),
        }
    }

    /// The limiter of a key for which somebody is going to wait.
    pub(crate) fn limiter(&mut self, quota: Quota, clock: Clock) -> RateLimiter {
        match self {
            Self::Bucket(full_at) => {
                let limiter = RateLimiter::with(Bucket::full_from(*full_at), quota, clock);
                *self = Self::Limiter(limiter.clone());
                limiter
            }
            Self::Limiter(limiter) => limiter.clone(),
        }
    }

    pub(crate) fn snapshot(&self, quota: Quota, now: Instant) -> Snapshot {
        match self {
            Self::Bucket(full_at) => Bucket::full_from(*full_at).snapshot(quota, now),
            Self::Limiter(limiter) => limiter.snapshot(),
        }
    }

    /// Whether a new slot would do as well.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        match self {
            Self::Bucket(full_at) => *full_at <= now,
            Self::Limiter(limiter) => limiter.is_idle(now),
        }
    }
}

impl Missed {
    pub(crate) fn or_allowed(limiter: &RateLimiter, now: Instant) -> Result<Allowed, Self> {
        limiter.quick(now).map_err(|missed| match missed {
            limiter::Missed::Empty(next) => Self::Empty(next),
            limiter::Missed::Crowded => Self::Crowded(limiter.clone()),
        })
    }
}
