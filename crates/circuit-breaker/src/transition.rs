use std::sync::Arc;

use bartizan_clock::Instant;

/// Whether calls are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// All calls are admitted and their outcomes counted.
    Closed,
    /// No call is admitted. Stays so until a call arrives after the recovery time.
    Open,
    /// A few probes are admitted; their outcomes decide.
    HalfOpen,
}

impl State {
    /// `closed`, `open` or `half_open`, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What made the circuit change its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Too many failures in a row.
    ConsecutiveFailures,
    /// Too large a share of failed and limited calls in the window.
    FailureRatio,
    /// Too large a share of slow calls in the window.
    SlowCallRatio,
    /// A call arrived after the recovery time.
    RecoveryElapsed,
    /// All probes of a half-open cycle succeeded.
    ProbesSucceeded,
    /// A probe failed, was limited, or was slow.
    ProbeFailed,
    /// The probes of a half-open cycle neither succeeded nor failed in time.
    HalfOpenTimeout,
    /// [`force_open`](crate::CircuitBreaker::force_open) was called.
    ForcedOpen,
    /// [`force_close`](crate::CircuitBreaker::force_close) was called.
    ForcedClosed,
    /// [`reset`](crate::CircuitBreaker::reset) was called.
    Reset,
}

impl Reason {
    /// The reason in snake case, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRatio => "failure_ratio",
            Self::SlowCallRatio => "slow_call_ratio",
            Self::RecoveryElapsed => "recovery_elapsed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbeFailed => "probe_failed",
            Self::HalfOpenTimeout => "half_open_timeout",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Reset => "reset",
        }
    }
}

/// One change of state, as told to the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The state before. The same as `to` when only the manual override changed.
    pub from: State,
    /// The state after.
    pub to: State,
    /// The number of the new stay; one more than that of the transition before.
    ///
    /// Listeners run outside every lock, so two transitions that follow closely on two threads
    /// may be told in reverse: the higher generation is the later one.
    pub generation: u32,
    /// When it happened, by the breaker's clock.
    pub at: Instant,
    /// Why it happened.
    pub reason: Reason,
}

/// What is told about every transition.
pub(crate) type Listener = Arc<dyn Fn(&Transition) + Send + Sync>;
