use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bartizan_balance::{Endpoint, Tried};
use bartizan_classify::RequestClass;
use bartizan_clock::Instant;
use bartizan_protocol::{headers::MCP_METHOD, method::SUBSCRIPTIONS_LISTEN};
use bartizan_rate_limit::Priority;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};
use parking_lot::Mutex;

use crate::ids::Trace;

/// A call on its way to a backend, before it is an HTTP request.
///
/// The layers above the breaker work on this instead of on `http::Request`, because a retry
/// must be able to send it again: cloning shares everything, while cloning an HTTP request
/// copies its header map.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    shared: Arc<Shared>,
    attempt: u32,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    /// Where attempts went; or, from the beginning, where none is to go. One attempt at a time touches
    /// it, so nobody ever waits for it.
    tried: Mutex<Tried>,
    /// Whether it is the latter. Then another attempt may go where the last one went: it would have
    /// to go where none is to, if that were the only other.
    avoids: bool,
    /// Whether the attempt under way has a timer.
    timed: AtomicBool,
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
    /// What keeps calls together that have no agent, if it is not their correlation. Never sent.
    pub(crate) session: Option<HeaderValue>,
    pub(crate) idempotency_key: Option<HeaderValue>,
    pub(crate) trace: Trace,
    pub(crate) form: Form,
}

/// What the exchange with an instance looks like.
#[derive(Debug)]
pub(crate) enum Form {
    /// An operation below the instance's own path, whose whole answer is awaited.
    Operation,
    /// A message of MCP to the instance's own path, with these headers. The answer may be a
    /// stream and is handed on as it arrives.
    Message {
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Whose connection it travels by, where connections have owners.
        owner: Owner,
        /// The instance that it must go to, if one holds its session.
        instance: Option<Arc<str>>,
        /// Whether it asks for something.
        is_request: bool,
        /// Whether it is sent for somebody who only listens.
        listens: bool,
        /// Told when an instance is given it, if anybody wants to know.
        sent: Option<Arc<AtomicBool>>,
    },
}

/// Who pays for a connection with state, as a hash of principal and credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Owner(pub(crate) u64);

impl Parts {
    /// Whether it asks for whatever its instance may have to tell, for as long as there is one, or
    /// what comes before that: no call that an instance is busy with, or kept for.
    pub(crate) fn listens(&self) -> bool {
        let Form::Message {
            headers, listens, ..
        } = &self.form
        else {
            return false;
        };
        let names_it = |(name, value): &(HeaderName, HeaderValue)| {
            *name == MCP_METHOD && *value == SUBSCRIPTIONS_LISTEN
        };
        *listens || self.method == Method::GET || headers.iter().any(names_it)
    }

    /// Whether it asks an instance to do something.
    pub(crate) fn is_call(&self) -> bool {
        match &self.form {
            Form::Operation => true,
            Form::Message { is_request, .. } => *is_request && !self.listens(),
        }
    }
}

impl Outbound {
    pub(crate) fn new(parts: Parts) -> Self {
        Self::avoiding(parts, Tried::default())
    }

    /// A call that goes to none of these, where there are others.
    pub(crate) fn avoiding(parts: Parts, avoided: Tried) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                avoids: !avoided.is_empty(),
                tried: Mutex::new(avoided),
                timed: AtomicBool::new(false),
            }),
            attempt: 1,
        }
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.shared.parts
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.shared.parts.deadline
    }

    pub(crate) fn priority(&self) -> Priority {
        self.shared.parts.priority
    }

    /// Which attempt this is, counted from one.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn set_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
        self.set_timed(false);
    }

    /// Whether the attempt under way is at an instance, where it has a timer of its own.
    pub(crate) fn is_timed(&self) -> bool {
        // Set and read by the one task that polls the call.
        self.shared.timed.load(Ordering::Relaxed)
    }

    /// Where the next attempt is not to go, if there are others.
    pub(crate) fn tried(&self) -> Option<Tried> {
        (self.attempt > 1 || self.shared.avoids).then(|| *self.shared.tried.lock())
    }

    /// Notes where this attempt goes.
    pub(crate) fn goes_to(&self, endpoint: &Endpoint) {
        if !self.shared.avoids {
            self.shared.tried.lock().insert(endpoint);
        }
    }

    /// Notes that an instance is given it.
    pub(crate) fn note_sent(&self) {
        if let Form::Message {
            sent: Some(sent), ..
        } = &self.parts().form
        {
            sent.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_timed(&self, timed: bool) {
        self.shared.timed.store(timed, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call that is over at `deadline`.
    pub(crate) fn outbound(deadline: Instant) -> Outbound {
        Outbound::new(Parts {
            method: Method::POST,
            path: PathAndQuery::from_static("/api/getUser"),
            body: Bytes::from_static(b"{}"),
            class: RequestClass::Unsafe,
            priority: Priority::Normal,
            deadline,
            request_id: HeaderValue::from_static("r"),
            correlation_id: HeaderValue::from_static("c"),
            agent_id: None,
            session: None,
            idempotency_key: None,
            trace: crate::ids::new_trace(),
            form: Form::Operation,
        })
    }
}
