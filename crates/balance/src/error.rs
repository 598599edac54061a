use std::time::Duration;

use bartizan_classify::{Fault, FaultKind};
use thiserror::Error;

/// No endpoint can take the request: there are none, or none may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no endpoint is available")]
pub struct NoEndpoints {
    /// In nanoseconds. Beside a `Duration`, whose fraction of a second is half a word, responses
    /// are copied in pieces that the next layer cannot load at once.
    wait: Option<u64>,
}

impl NoEndpoints {
    /// Nobody returns by waiting.
    pub(crate) const FOR_GOOD: Self = Self { wait: None };

    /// The first to return does so after so many nanoseconds.
    pub(crate) const fn for_nanos(wait: u64) -> Self {
        Self { wait: Some(wait) }
    }

    /// When the first ejected endpoint returns, if that is what is missing.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.wait.map(Duration::from_nanos)
    }
}

impl Fault for NoEndpoints {
    fn fault(&self) -> FaultKind {
        FaultKind::Rejected {
            retry_after: self.retry_after(),
        }
    }
}

/// Why a balanced call failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// No endpoint was asked.
    #[error(transparent)]
    NoEndpoints(#[from] NoEndpoints),
    /// The endpoint's own error, untouched.
    #[error(transparent)]
    Inner(E),
}

impl<E: Fault> Fault for Error<E> {
    fn fault(&self) -> FaultKind {
        match self {
            Self::NoEndpoints(error) => error.fault(),
            Self::Inner(error) => error.fault(),
        }
    }
}

/// A balancer that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidBalance {
    /// The panic threshold is not a fraction.
    #[error("the panic threshold must be between 0 and 1")]
    PanicThreshold,
}
