use thiserror::Error;

/// A [`RetryConfig`](crate::RetryConfig) or [`RetryBudget`](crate::RetryBudget) that cannot be
/// built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidRetry {
    /// No attempt at all is allowed; one means "never retry".
    #[error("the maximum number of attempts must be at least one")]
    ZeroAttempts,
    /// The budget's ratio is negative, above 1000 or not a number.
    #[error("the retry budget's ratio must be between 0 and 1000")]
    Ratio,
    /// The budget earns retries but may keep none.
    #[error("the retry budget's cap must be positive when its ratio is")]
    ZeroCap,
}
