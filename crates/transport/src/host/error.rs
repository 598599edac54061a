use std::{sync::Arc, time::Duration};

use crate::{link::LinkError, stdio::SpawnError};

/// Why a message got no answer.
///
/// What matters to whoever may repeat a message is whether the server can have seen it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The message was not handed to the server: it could not be started or reached, or took no
    /// messages.
    #[error("{reason}")]
    Unsent {
        /// Why.
        reason: Arc<str>,
        /// When the server may be started again, if it keeps dying.
        retry_after: Option<Duration>,
    },
    /// The connection ended, or became of no use, while the message was under way.
    #[error("{reason}")]
    Interrupted {
        /// Why.
        reason: Arc<str>,
    },
    /// There is no room for another connection or request. The server was not asked.
    #[error("{reason}")]
    Overloaded {
        /// What there is no room for.
        reason: Arc<str>,
        /// When there may be room.
        retry_after: Duration,
    },
}

impl HostError {
    /// A guess: connections end when their owners are done, which nobody knows.
    const ROOM_AFTER: Duration = Duration::from_secs(5);

    pub(super) fn unsent(reason: impl Into<Arc<str>>) -> Self {
        Self::Unsent {
            reason: reason.into(),
            retry_after: None,
        }
    }

    pub(super) fn interrupted(reason: impl Into<Arc<str>>) -> Self {
        Self::Interrupted {
            reason: reason.into(),
        }
    }

    pub(super) fn overloaded(reason: impl Into<Arc<str>>) -> Self {
        Self::Overloaded {
            reason: reason.into(),
            retry_after: Self::ROOM_AFTER,
        }
    }
}

impl From<SpawnError> for HostError {
    fn from(error: SpawnError) -> Self {
        let reason = error.to_string();
        if error.is_own_want() {
            Self::overloaded(reason)
        } else {
            Self::unsent(reason)
        }
    }
}

impl From<LinkError> for HostError {
    fn from(error: LinkError) -> Self {
        let reason = error.to_string();
        match error {
            LinkError::Closed { sent: false, .. }
            | LinkError::Invalid(_)
            | LinkError::Duplicate => Self::unsent(reason),
            LinkError::Full { .. } => Self::overloaded(reason),
            LinkError::Closed { sent: true, .. } | LinkError::Slow | LinkError::Cancelled => {
                Self::interrupted(reason)
            }
        }
    }
}
