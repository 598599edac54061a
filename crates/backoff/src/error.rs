use thiserror::Error;

/// A [`Backoff`](crate::Backoff) that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidBackoff {
    /// The initial delay is zero, which would retry without any pause.
    #[error("the initial delay must be positive")]
    ZeroInitialDelay,
    /// The maximum is below the initial delay.
    #[error("the maximum delay must not be below the initial delay")]
    MaxBelowInitial,
}
