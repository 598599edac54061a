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
    /// The id of the request that was refused, as JSON.
    refused: Option<Box<str>>,
}

impl WireError {
    /// An end for this reason: lower case, without full stop and without secrets.
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            refused: None,
        }
    }

    /// An end because the server refused the `request` of this id, as it no longer knows the
    /// session, which a new one mends. It did nothing with that request; others may have been accepted.
    pub fn session_lost(reason: impl Into<Arc<str>>, request: impl Into<Box<str>>) -> Self {
        Self {
            refused: Some(request.into()),
            ..Self::new(reason)
        }
    }

    /// Whether the server refused the request with this id, as JSON.
    pub(super) fn refuses(&self, id: &str) -> bool {
        self.refused.as_deref() == Some(id)
    }
}
