use std::sync::Arc;

use bartizan_balance::Tried;
use bartizan_classify::RequestClass;
use bartizan_clock::Instant;
use bartizan_rate_limit::Priority;
use bytes::Bytes;
use http::{HeaderValue, Method, uri::PathAndQuery};
use parking_lot::Mutex;

/// A call on its way to a backend, before it is an HTTP request.
///
/// The layers above the breaker work on this instead of on `http::Request`, because a retry
/// must be able to send it again: cloning shares everything, while cloning an HTTP request
/// copies its header map.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    shared: Arc<Parts>,
    attempt: u32,
}

/// What stays the same from attempt to attempt.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) body: Bytes,
    pub(crate) class: RequestClass,
    pub(crate) priority: Priority,
    pub(crate) deadline: Instant,
    pub(crate) request_id: HeaderValue,
    pub(crate) correlation_id: HeaderValue,
    pub(crate) agent_id: Option<HeaderValue>,
    pub(crate) idempotency_key: Option<HeaderValue>,
    pub(crate) traceparent: HeaderValue,
    pub(crate) tracestate: Option<HeaderValue>,
    /// Where attempts went. One attempt at a time touches it, so nobody ever waits for it.
    pub(crate) tried: Mutex<Tried>,
}

impl Outbound {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            shared: Arc::new(parts),
            attempt: 1,
        }
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.shared
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.shared.deadline
    }

    pub(crate) fn priority(&self) -> Priority {
        self.shared.priority
    }

    /// Which attempt this is, counted from one.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn set_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
    }
}
