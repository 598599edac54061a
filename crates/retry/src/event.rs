use std::time::Duration;

use crate::Reason;

/// An attempt after the first, about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryEvent {
    /// The number of the attempt, counted from one: 2 for the first retry.
    pub attempt: u32,
    /// The delay that was chosen between the outcome before and this attempt.
    pub delay: Duration,
    /// What was wrong with the outcome before.
    pub reason: Reason,
}

/// Why an outcome that called for another attempt went to the caller all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// All attempts have been made.
    AttemptsExhausted,
    /// The policy has no copy of the request, or the copy cannot be sent any more.
    NotReplayable,
    /// The service asked for a longer wait than the backoff's maximum.
    RetryAfterTooLong,
    /// The attempt would begin at the deadline or after it.
    DeadlineTooClose,
    /// Retries already are as large a share of the traffic as they may be.
    BudgetExhausted,
    /// The service was not ready when the delay was over: it sheds load.
    NotReady,
    /// A layer inside [refused](crate::Policy::is_refusal) the retry: it has no room for it.
    Refused,
}

impl GiveUp {
    /// A short name in snake case, fit for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::NotReplayable => "not_replayable",
            Self::RetryAfterTooLong => "retry_after_too_long",
            Self::DeadlineTooClose => "deadline_too_close",
            Self::BudgetExhausted => "budget_exhausted",
            Self::NotReady => "not_ready",
            Self::Refused => "refused",
        }
    }
}
