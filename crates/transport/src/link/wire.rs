use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

/// A two-way connection that carries one JSON-RPC message at a time.
///
/// What is behind it must do three things: end when `outgoing` is closed or `incoming` is no
/// longer received, bound the messages that it accepts, and end `incoming` when the connection
/// ends, with an error that says why if there is something to say. An error is the last item.
#[derive(Debug)]
pub struct Wire {
    /// Messages to the server, in order.
    pub outgoing: mpsc::Sender<Bytes>,
    /// Messages of the server, in order.
    pub incoming: mpsc::Receiver<Result<Bytes, WireError>>,
}

/// The other end of a [`Wire`]: what its maker holds.
#[derive(Debug)]
pub struct WireEnd {
    /// Messages to the server, in order.
    pub outgoing: mpsc::Receiver<Bytes>,
    /// Messages of the server, in order.
    pub incoming: mpsc::Sender<Result<Bytes, WireError>>,
}

impl Wire {
    /// Both ends of a wire that holds up to `capacity` messages each way, at least one.
    #[must_use]
    pub fn pair(capacity: usize) -> (Self, WireEnd) {
        let capacity = capacity.max(1);
        let (outgoing, sent) = mpsc::channel(capacity);
        let (arrived, incoming) = mpsc::channel(capacity);
        let end = WireEnd {
            outgoing: sent,
            incoming: arrived,
        };
        (Self { outgoing, incoming }, end)
    }
}

/// Why a wire ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WireError {
    reason: Arc<str>,
    session_lost: bool,
}

impl WireError {
    /// An end for this reason: lower case, without full stop and without secrets.
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            session_lost: false,
        }
    }

    /// An end because the server no longer knows the session, which a new one mends.
    pub fn session_lost(reason: impl Into<Arc<str>>) -> Self {
        Self {
            session_lost: true,
            ..Self::new(reason)
        }
    }

    /// Whether the server lives and only has forgotten the session: no failure of the server.
    #[must_use]
    pub fn is_session_lost(&self) -> bool {
        self.session_lost
    }
}
