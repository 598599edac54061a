use std::time::Duration;

use bartizan_classify::{Fault, FaultKind, retry_after_seconds};
use thiserror::Error;

/// The circuit did not admit the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("circuit open, retry in {} s", self.retry_after_seconds())]
pub struct CircuitOpen {
    /// When a call may be admitted, counted from the rejection.
    ///
    /// The rest of the recovery time while the circuit is open; at most a second while
    /// half-open probes are under way; the recovery timeout while the circuit is forced open. Zero
    /// if the circuit admits calls again, but did not yet when the service was made ready.
    pub retry_after: Duration,
}

impl CircuitOpen {
    /// The whole seconds to announce in a `Retry-After` header, rounded up and at least one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        retry_after_seconds(self.retry_after)
    }
}

impl Fault for CircuitOpen {
    fn fault(&self) -> FaultKind {
        FaultKind::Rejected {
            retry_after: Some(self.retry_after),
        }
    }
}

/// Why a call through a [`CircuitBreakerService`](crate::CircuitBreakerService) failed.
///
/// Exhaustive on purpose: a call is either turned away or answered by the inner service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error<E> {
    /// The circuit did not admit the call; the inner service was not called.
    #[error(transparent)]
    Open(#[from] CircuitOpen),
    /// The inner service's own error, untouched.
    #[error(transparent)]
    Inner(E),
}

impl<E> Error<E> {
    /// The rejection, if it was one.
    pub fn open(&self) -> Option<CircuitOpen> {
        match self {
            Self::Open(open) => Some(*open),
            Self::Inner(_) => None,
        }
    }
}

impl<E: Fault> Fault for Error<E> {
    fn fault(&self) -> FaultKind {
        match self {
            Self::Open(open) => open.fault(),
            Self::Inner(error) => error.fault(),
        }
    }
}

/// A [`CircuitBreakerConfig`](crate::CircuitBreakerConfig) that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// A threshold of zero would open the circuit before the first failure.
    #[error("the failure threshold must be positive")]
    FailureThreshold,
    /// A ratio that no window can reach, or that every window reaches.
    #[error("the failure ratio must be above 0 and at most 1")]
    FailureRatio,
    /// The window is too short to be divided into ten, or so long that its buckets overflow.
    #[error("the window must be between 10 ms and 1 day")]
    Window,
    /// A minimum that is zero, or that a full window might not reach.
    #[error("the minimum of calls must be between 1 and 500000")]
    MinimumCalls,
    /// A recovery timeout of zero would never keep the circuit open.
    #[error("the recovery timeout must be positive")]
    RecoveryTimeout,
    /// The maximum is below the recovery timeout.
    #[error("the maximum recovery timeout must not be below the recovery timeout")]
    RecoveryTimeoutMax,
    /// The jitter is not a fraction.
    #[error("the recovery jitter must be between 0 and 1")]
    RecoveryJitter,
    /// Without probes the circuit could never close.
    #[error("the half-open calls must be between 1 and 65535")]
    HalfOpenMaxCalls,
    /// A timeout of zero would end each half-open cycle at its second call.
    #[error("the half-open timeout must be positive")]
    HalfOpenTimeout,
    /// Every call, or none, would be slow.
    #[error("the slow call threshold must be positive and its ratio above 0 and at most 1")]
    SlowCall,
}
