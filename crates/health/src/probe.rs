use std::{fmt::Display, future::Future, sync::Arc};

use crate::Target;

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The instance answered as a living one does.
    Alive,
    /// It answered as one does that should get no calls, for this reason, which is shown to
    /// operators.
    Dead(Arc<str>),
    /// It gave no answer at all, for this reason.
    Unreachable(Arc<str>),
}

impl ProbeResult {
    /// Dead, because of `reason`, which must not hold a secret.
    pub fn dead(reason: impl Display) -> Self {
        Self::Dead(reason.to_string().into())
    }

    /// Without an answer, because of `reason`, which must not hold a secret.
    pub fn unreachable(reason: impl Display) -> Self {
        Self::Unreachable(reason.to_string().into())
    }

    /// What was bad, if anything was.
    #[must_use]
    pub fn reason(&self) -> Option<&Arc<str>> {
        match self {
            Self::Alive => None,
            Self::Dead(reason) | Self::Unreachable(reason) => Some(reason),
        }
    }

    /// Whether the instance is alive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        *self == Self::Alive
    }
}

/// A way to find out whether an instance is alive.
///
/// Implemented by functions from `&Target` to a future that does not borrow from it.
pub trait Probe: Send + Sync + 'static {
    /// Asks `target` once. The checker brings the timeout and drops the future when time is
    /// up.
    fn probe(&self, target: &Target) -> impl Future<Output = ProbeResult> + Send;
}

impl<F, Fut> Probe for F
where
    F: Fn(&Target) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ProbeResult> + Send,
{
    fn probe(&self, target: &Target) -> impl Future<Output = ProbeResult> + Send {
        self(target)
    }
}
