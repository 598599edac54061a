//! The ids that a request carries through the gateway.

use bartizan_telemetry::{RequestId, TraceContext, tracestate};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request id of a request: the caller's own if it is sound, else a new one, which is
/// written into `headers` for whoever asks later.
pub(crate) fn ensure(headers: &mut HeaderMap) -> HeaderValue {
    match headers.get(X_REQUEST_ID) {
        Some(id) if RequestId::accepts(id.as_bytes()) => id.clone(),
        _ => {
            let id = new_request_id();
            headers.insert(X_REQUEST_ID, id.clone());
            id
        }
    }
}

/// The request id that [`ensure`] left in `headers`.
pub(crate) fn header(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(X_REQUEST_ID)
        .cloned()
        .unwrap_or_else(new_request_id)
}

/// The text of the request id that [`ensure`] left in `headers`.
pub(crate) fn text(headers: &HeaderMap) -> &str {
    let id = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    id.unwrap_or_default()
}

pub(crate) fn new_request_id() -> HeaderValue {
    RequestId::random().to_header()
}

/// The trace headers to send on.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) parent: HeaderValue,
    pub(crate) state: Option<HeaderValue>,
}

/// A span below the caller's, or a new trace if the caller has none or a broken one, whose
/// state then goes nowhere: it belongs to the trace that could not be read.
pub(crate) fn trace(headers: &HeaderMap) -> Trace {
    match TraceContext::from_headers(headers) {
        Some(Ok(context)) => Trace {
            parent: context.child().to_header(),
            state: tracestate(headers),
        },
        Some(Err(_)) | None => new_trace(),
    }
}

pub(crate) fn new_trace() -> Trace {
    Trace {
        parent: TraceContext::random().to_header(),
        state: None,
    }
}
