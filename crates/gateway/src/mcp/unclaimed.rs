//! Sessions that begin for clients who may have left.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::HeaderValue;
use tokio::task::AbortHandle;

use super::{Door, Session};

/// The token of a session with an upstream that its client has not heard of yet. Dropped before it
/// does, the session ends: nobody else knows its name.
#[derive(Debug)]
pub(super) struct Unclaimed {
    door: Door,
    token: Option<HeaderValue>,
}

impl Unclaimed {
    pub(super) fn new(door: Door, token: Option<HeaderValue>) -> Self {
        Self { door, token }
    }

    /// The token, for the client.
    pub(super) fn claim(mut self) -> Option<HeaderValue> {
        self.token.take()
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        let token = self.token.take();
        let session = token.and_then(|token| Session::open(&self.door, &token).ok());
        if let Some(session) = session {
            self.door.errand().run(session.farewell());
        }
    }
}

/// Ends a task when it is dropped, unless an instance has been given what the task is about.
#[derive(Debug)]
pub(super) struct UnlessSent {
    pub(super) task: AbortHandle,
    pub(super) sent: Arc<AtomicBool>,
}

impl Drop for UnlessSent {
    fn drop(&mut self) {
        if !self.sent.load(Ordering::Relaxed) {
            self.task.abort();
        }
    }
}
