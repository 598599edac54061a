use std::time::Duration;

use bartizan_classify::{Fault, FaultKind, retry_after_seconds};
use thiserror::Error;

/// A [`Quota`](crate::Quota) that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidQuota {
    /// The rate is zero, which would let nothing through.
    #[error("the rate must be positive")]
    ZeroRate,
    /// The burst is zero, which would let nothing through.
    #[error("the burst must be positive")]
    ZeroBurst,
    /// The rate is beyond what nanoseconds can express well.
    #[error("the rate must be at most a million per second")]
    RateTooHigh,
    /// An empty bucket would take more than a year to fill.
    #[error("the burst is too large for the rate: filling it would take more than a year")]
    BurstTooLarge,
}

/// A call was refused because its rate is used up.
///
/// The message rounds the wait up to whole seconds: "rate limited, retry in 3 s".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("rate limited, retry in {} s", self.retry_after_seconds())]
pub struct RateLimited {
    /// When a call will find a token, if nobody comes in between; never zero.
    pub retry_after: Duration,
    /// The size of the bucket: how many calls an idle limiter lets through at once.
    pub limit: u32,
    /// How many tokens the bucket holds for this call. Those that calls already waiting have
    /// first claim to do not count.
    pub remaining: u32,
}

impl RateLimited {
    /// The whole seconds to announce in a `Retry-After` header, rounded up and at least one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        retry_after_seconds(self.retry_after)
    }
}

impl Fault for RateLimited {
    fn fault(&self) -> FaultKind {
        FaultKind::Rejected {
            retry_after: Some(self.retry_after),
        }
    }
}

/// The error of a [`RateLimit`](crate::RateLimit) service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error<E> {
    /// The limiter refused; the inner service was not called.
    #[error(transparent)]
    Limited(#[from] RateLimited),
    /// The inner service's own error, untouched.
    #[error(transparent)]
    Inner(E),
}

impl<E> Error<E> {
    /// The refusal, if it was one.
    pub fn limited(&self) -> Option<RateLimited> {
        match self {
            Self::Limited(limited) => Some(*limited),
            Self::Inner(_) => None,
        }
    }
}

impl<E: Fault> Fault for Error<E> {
    fn fault(&self) -> FaultKind {
        match self {
            Self::Limited(limited) => limited.fault(),
            Self::Inner(error) => error.fault(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(retry_after: Duration) -> RateLimited {
        RateLimited {
            retry_after,
            limit: 1,
            remaining: 0,
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        let message = limited(Duration::from_millis(2_001)).to_string();
        assert_eq!(message, "rate limited, retry in 3 s");
        let message = limited(Duration::from_millis(900)).to_string();
        assert_eq!(message, "rate limited, retry in 1 s");
    }

    #[test]
    fn a_refusal_is_a_rejection_and_the_inner_error_speaks_for_itself() {
        let retry_after = Duration::from_secs(2);
        let error = Error::<RateLimited>::Limited(limited(retry_after));
        let rejected = FaultKind::Rejected {
            retry_after: Some(retry_after),
        };
        assert_eq!(error.fault(), rejected);
        let error = Error::Inner(std::fmt::Error);
        assert_eq!(error.to_string(), std::fmt::Error.to_string());
    }
}
