//! The ids that a request carries through the gateway.

use bartizan_telemetry::{RequestId, TraceContext, tracestate};
use http::{HeaderMap, HeaderName, HeaderValue, header::VIA};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const X_AGENT_ID: HeaderName = HeaderName::from_static("x-agent-id");
pub(crate) const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest correlation id, agent id and idempotency key accepted, in bytes.
pub(crate) const MAX_ID_LENGTH: usize = 512;

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

/// The key by which a service tells a repetition from a new call. One without a word in it is none.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let key = headers.get(IDEMPOTENCY_KEY)?;
    (!key.as_bytes().trim_ascii().is_empty()).then(|| key.clone())
}

/// The caller's own correlation id, if it is sound.
pub(crate) fn correlation(headers: &HeaderMap) -> Option<&HeaderValue> {
    let given = headers.get(X_CORRELATION_ID);
    given.filter(|id| !id.is_empty() && id.len() <= MAX_ID_LENGTH)
}

pub(crate) fn new_request_id() -> HeaderValue {
    RequestId::random().to_header()
}

/// The headers to send on that say where a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) parent: HeaderValue,
    pub(crate) state: Option<HeaderValue>,
    /// Which gateways and proxies it has passed before this one.
    pub(crate) via: Option<HeaderValue>,
}

/// A span below the caller's, or a new trace if the caller has none or a broken one, whose
/// state then goes nowhere: it belongs to the trace that could not be read.
pub(crate) fn trace(headers: &HeaderMap) -> Trace {
    let via = via(headers);
    match TraceContext::from_headers(headers) {
        Some(Ok(context)) => Trace {
            parent: context.child().to_header(),
            state: tracestate(headers),
            via,
        },
        Some(Err(_)) | None => Trace { via, ..new_trace() },
    }
}

pub(crate) fn new_trace() -> Trace {
    Trace {
        parent: TraceContext::random().to_header(),
        state: None,
        via: None,
    }
}

/// All that is said of the way, in one value.
fn via(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(VIA).iter();
    let first = values.next()?.clone();
    Some(values.fold(first, |before, next| joined(&before, next)))
}

/// Both values as one list; the latter alone if they cannot be one.
pub(crate) fn joined(before: &HeaderValue, next: &HeaderValue) -> HeaderValue {
    let both = [before.as_bytes(), b", ", next.as_bytes()].concat();
    HeaderValue::from_bytes(&both).unwrap_or_else(|_| next.clone())
}

/// What a gateway is called among those that a request has passed (RFC 9110, section 7.6.3): by a
/// name of its own, or two in a row would be taken for a loop.
pub(crate) fn pseudonym() -> HeaderValue {
    let name = format!("1.1 bartizan-{:016x}", fastrand::u64(..));
    HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("1.1 bartizan"))
}

/// Whether a request has passed the gateway of this [pseudonym] before.
pub(crate) fn has_passed(headers: &HeaderMap, pseudonym: &HeaderValue) -> bool {
    let mut values = headers.get_all(VIA).iter();
    values.any(|value| {
        let mut hops = value.as_bytes().split(|byte| *byte == b',');
        hops.any(|hop| hop.trim_ascii() == pseudonym.as_bytes())
    })
}
