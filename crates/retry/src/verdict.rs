use std::time::Duration;

/// What a [`Policy`](crate::Policy) makes of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The outcome is final: it is what the caller gets.
    Done,
    /// Another attempt may help and can do no harm.
    Retry {
        /// How long the service asked to be left alone, if it did.
        after: Option<Duration>,
        /// What went wrong, for metrics and logs.
        reason: Reason,
    },
}

/// Why another attempt is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No byte of the request left.
    NotSent,
    /// The exchange broke after the request may have arrived.
    Interrupted,
    /// Time ran out while waiting for the answer.
    TimedOut,
    /// The service asks for fewer requests: 429.
    Limited,
    /// The service, or what stands before it, cannot answer now: 502, 503, 504.
    Unavailable,
    /// The service failed on the request: 500.
    InternalError,
    /// Something that only the policy knows.
    Other,
}

impl Reason {
    /// A short name in snake case, fit for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed_out",
            Self::Limited => "limited",
            Self::Unavailable => "unavailable",
            Self::InternalError => "internal_error",
            Self::Other => "other",
        }
    }
}
