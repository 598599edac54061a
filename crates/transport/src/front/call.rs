use std::sync::atomic::{AtomicBool, Ordering};

use bartizan_protocol::{Batch, Envelope, Era, Id, Kind, error::ErrorMessage, method};
use bytes::Bytes;
use http::HeaderMap;

use super::{params::Params, session::Session};
use bartizan_protocol::headers::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, encode};

/// A message of the client on its way, with what must be known of it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) message: Bytes,
    pub(super) era: Era,
    pub(super) method: Option<Box<str>>,
    /// The ids, as JSON, that an answer is due for.
    pub(super) ids: Box<[Box<str>]>,
    is_batch: bool,
    /// The client wants no answer any more.
    cancelled: AtomicBool,
}

impl Call {
    pub(super) fn of(message: Bytes, envelope: &Envelope<'_>) -> Self {
        let is_request = envelope.kind() == Kind::Request;
        let id = envelope.id().filter(|_| is_request);
        let era = if envelope.protocol_version().is_some() {
            Era::Modern
        } else {
            Era::Legacy
        };
        Self {
            era,
            method: envelope.method().map(Into::into),
            ids: id.iter().map(|id| id.as_raw().into()).collect(),
            is_batch: false,
            cancelled: AtomicBool::new(false),
            message,
        }
    }

    /// Several messages at once, of which some may be no messages.
    pub(super) fn of_batch(message: Bytes) -> Self {
        let mut ids = Vec::new();
        if let Ok(batch) = Batch::read(&message) {
            for member in &batch {
                let envelope = Envelope::read(member).ok();
                let request = envelope.filter(|it| it.kind() == Kind::Request);
                let id = request.and_then(|it| it.id());
                ids.extend(id.map(|id| Box::from(id.as_raw())));
            }
        }
        Self {
            era: Era::Legacy,
            method: None,
            ids: ids.into(),
            is_batch: true,
            cancelled: AtomicBool::new(false),
            message,
        }
    }

    pub(super) fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }

    /// Whether an answer is due; to a batch always, since it may be refused as a whole.
    pub(super) fn is_request(&self) -> bool {
        self.is_batch || !self.ids.is_empty()
    }

    pub(super) fn is_batch(&self) -> bool {
        self.is_batch
    }

    /// Whether it is the request of this id, and no other.
    pub(super) fn has_id(&self, id: Id<'_>) -> bool {
        matches!(&*self.ids, [only] if Id::new(only) == Some(id))
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether it is a stream that ends only when somebody wants it to.
    pub(super) fn is_subscription(&self) -> bool {
        self.is(method::SUBSCRIPTIONS_LISTEN)
    }

    /// Adds the headers that tell its era, and what 2026-07-28 mirrors of it.
    pub(super) fn set_headers(
        &self,
        session: Option<&Session>,
        params: &Params,
        headers: &mut HeaderMap,
    ) {
        if self.era == Era::Legacy {
            if !self.is(method::INITIALIZE)
                && let Some(session) = session
            {
                session.set_headers(headers);
            }
            return;
        }
        let Ok(envelope) = Envelope::read(&self.message) else {
            return;
        };
        if let Some(version) = envelope.protocol_version_text() {
            headers.insert(MCP_PROTOCOL_VERSION, encode(&version));
        }
        let Some(method) = envelope.method() else {
            return;
        };
        headers.insert(MCP_METHOD, encode(method));
        if method::is_modern(method)
            && let Some(subject) = envelope.subject()
        {
            headers.insert(MCP_NAME, encode(&subject));
            if method == method::TOOLS_CALL {
                params.mirror(&subject, envelope.arguments().unwrap_or("{}"), headers);
            }
        }
    }

    /// The refusal of all requests in `ids`, of this message.
    pub(super) fn refusal(
        &self,
        ids: &[Box<str>],
        code: i64,
        text: &str,
        data: Option<&str>,
    ) -> Bytes {
        let of = |id| {
            let message = ErrorMessage {
                id,
                code,
                message: text,
                data,
            };
            message.to_bytes()
        };
        if !self.is_batch || ids.is_empty() {
            return of(ids.first().map(|id| &**id));
        }
        let mut all = Vec::from(b"[");
        for id in ids {
            if all.len() > 1 {
                all.push(b',');
            }
            all.extend_from_slice(&of(Some(id)));
        }
        all.push(b']');
        all.into()
    }
}
