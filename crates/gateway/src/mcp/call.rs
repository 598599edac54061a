use std::sync::{Arc, atomic::AtomicBool};

use bartizan_classify::RequestClass;
use bartizan_clock::Instant;
use bartizan_protocol::{Envelope, method};
use bartizan_rate_limit::Priority;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, uri::PathAndQuery};
use parking_lot::Mutex;

use super::Refusal;
use crate::{
    ids::{self, IDEMPOTENCY_KEY},
    service::{Form, Outbound, Owner, Parts, Payload, Service},
    shared::Shared,
};

/// Whoever sent a request, as far as the gateway knows.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// What sealed tokens are bound to. Never shown.
    principal: Bytes,
    owner: Owner,
}

impl Caller {
    pub(crate) fn new(principal: Bytes, owner: Owner) -> Self {
        Self { principal, owner }
    }

    pub(crate) fn principal(&self) -> &[u8] {
        &self.principal
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }
}

/// One request at the door of one service.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    pub(crate) service: Arc<Service>,
    pub(crate) caller: Caller,
    ids: Ids,
    priority: Priority,
    /// When the caller wants it to be over, if that is sooner than the service's own limit.
    deadline: Option<Instant>,
}

/// What joins our records with those of others.
#[derive(Clone, Debug)]
struct Ids {
    request_id: HeaderValue,
    traceparent: HeaderValue,
    tracestate: Option<HeaderValue>,
    idempotency_key: Option<HeaderValue>,
}

impl Door {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        service: &Arc<Service>,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Self {
        let trace = ids::trace(headers);
        Self {
            shared: Arc::clone(shared),
            service: Arc::clone(service),
            caller,
            ids: Ids {
                request_id: ids::header(headers),
                traceparent: trace.parent,
                tracestate: trace.state,
                idempotency_key: headers.get(IDEMPOTENCY_KEY).cloned(),
            },
            priority: Priority::Normal,
            deadline: None,
        }
    }

    /// The same request on terms that its caller named.
    pub(crate) fn on_terms(
        mut self,
        priority: Priority,
        deadline: Instant,
        idempotency_key: Option<HeaderValue>,
    ) -> Self {
        self.priority = priority;
        self.deadline = Some(deadline);
        self.ids.idempotency_key = idempotency_key.or(self.ids.idempotency_key);
        self
    }

    /// The same request at the door of another service.
    pub(crate) fn at(&self, service: &Arc<Service>) -> Self {
        Self {
            service: Arc::clone(service),
            ..self.clone()
        }
    }

    /// The same door for the gateway itself, on nobody's behalf.
    pub(crate) fn for_house(&self) -> Self {
        Self {
            caller: Caller::new(Bytes::new(), Owner::default()),
            ..self.clone()
        }
    }

    /// What may happen to a message: reads may be sent twice; a tool's call only by the
    /// operator's word, the annotations of a trusted server, or with an idempotency key.
    pub(crate) fn class(&self, envelope: &Envelope<'_>) -> RequestClass {
        let Some(method) = envelope.method() else {
            return RequestClass::Unsafe;
        };
        if method::is_safe(method) {
            return RequestClass::Safe;
        }
        match method {
            "tools/call" => {
                let tool = envelope.subject().unwrap_or_default();
                self.service
                    .class(&tool, self.ids.idempotency_key.is_some())
            }
            // Another session, should one be made in vain, costs nobody anything.
            "initialize" => RequestClass::Idempotent,
            _ if method.starts_with("notifications/") => RequestClass::Idempotent,
            _ => RequestClass::Unsafe,
        }
    }

    /// The headers that mirror a tool's arguments, as far as the tool asks for any.
    pub(crate) async fn params(&self, envelope: &Envelope<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let _ = envelope;
        Vec::new()
    }

    /// Sends a message through the service's stack.
    ///
    /// # Errors
    ///
    /// When no answer came, in the words for its client.
    pub(crate) async fn send(&self, message: Message) -> Result<Response<Payload>, Refusal> {
        let timeout = self.service.timeout();
        let latest = self.shared.clock().now() + timeout;
        let deadline = self.deadline.map_or(latest, |deadline| deadline.min(latest));
        let outbound = Outbound::new(Parts {
            method: message.method,
            path: PathAndQuery::from_static("/"),
            body: message.body,
            class: message.class,
            priority: self.priority,
            deadline,
            correlation_id: self.ids.request_id.clone(),
            request_id: self.ids.request_id.clone(),
            agent_id: None,
            idempotency_key: self.ids.idempotency_key.clone(),
            traceparent: self.ids.traceparent.clone(),
            tracestate: self.ids.tracestate.clone(),
            form: Form::Message {
                headers: message.headers,
                owner: self.caller.owner,
                instance: message.instance,
            },
            tried: Mutex::default(),
            timed: AtomicBool::new(false),
        });
        self.service
            .call(outbound)
            .await
            .map_err(|failure| Refusal::of_failure(self.service.name(), failure, timeout))
    }
}

/// A message on its way to an upstream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) body: Bytes,
    pub(crate) class: RequestClass,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) instance: Option<Arc<str>>,
}
