use std::time::Duration;

/// What one finished call says about the service that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The service did its work, even if the answer was "no".
    Success,
    /// The service failed, or could not be reached.
    Failure {
        /// When the service asked to be called again, if it did.
        retry_after: Option<Duration>,
    },
    /// The service is alive and asks for fewer calls.
    Limited {
        /// When the service asked to be called again, if it did.
        retry_after: Option<Duration>,
    },
    /// Says nothing about the service: the caller was at fault, gave up, or was turned away by
    /// one of our own layers.
    Ignored,
}

impl Outcome {
    /// A failure without a hint when to come back.
    pub const FAILURE: Self = Self::Failure { retry_after: None };

    /// When the service asked to be called again, if it did.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Failure { retry_after } | Self::Limited { retry_after } => retry_after,
            Self::Success | Self::Ignored => None,
        }
    }
}

/// Decides what the result of a call says about the service.
///
/// Implemented by functions and closures from `Result<&Response, &Error>` to [`Outcome`].
pub trait Classify<Res, E> {
    /// What `result` says about the service.
    fn classify(&self, result: Result<&Res, &E>) -> Outcome;
}

impl<F, Res, E> Classify<Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> Outcome,
{
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        self(result)
    }
}

/// Counts every response as a success and every error as a failure.
///
/// For services that are not HTTP and whose errors all mean the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsAreFailures;

impl<Res, E> Classify<Res, E> for ErrorsAreFailures {
    #[inline]
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::FAILURE,
        }
    }
}
