use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{body::Body, error::Error};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");

/// Up to this size a backend's answer is copied into the envelope: one write of one buffer is
/// cheaper than three chunks. Above it the bytes are passed on as they came.
const COPY_UP_TO: usize = 16 * 1024;

/// What every answer to one request says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The caller's `id`, as it was written.
    pub(super) request_id: Option<&'a RawValue>,
    pub(super) correlation_id: &'a str,
    pub(super) now: SystemTime,
    pub(super) elapsed: Duration,
}

impl Context<'_> {
    /// What is said to a request of which nothing is known.
    pub(super) fn unknown(now: SystemTime) -> Self {
        Self {
            request_id: None,
            correlation_id: "",
            now,
            elapsed: Duration::ZERO,
        }
    }
}

/// What the gateway says about the exchange with a backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) endpoint: &'a str,
    pub(super) attempts: u32,
}

/// A backend's failure, or the lack of its answer.
#[derive(Debug)]
pub(super) struct BackendFailure<'a> {
    pub(super) message: String,
    /// The answer, where there was one.
    pub(super) details: Option<(StatusCode, &'a [u8])>,
    /// What strict callers get as the status.
    pub(super) strict_status: StatusCode,
    pub(super) strict_code: &'static str,
    pub(super) retry_after_seconds: Option<u64>,
}

/// The documented success: HTTP 200 with the backend's JSON as `data`.
pub(super) fn success(context: &Context<'_>, data: &Bytes, about: About<'_>) -> Response<Body> {
    let copied = data.len() <= COPY_UP_TO;
    let mut head = Vec::with_capacity(384 + if copied { data.len() } else { 0 });
    open_envelope(&mut head, context, true);
    head.extend_from_slice(b",\"data\":");
    let body = match raw(data) {
        Some(_) if !copied => {
            let mut tail = Vec::with_capacity(192);
            close_envelope(&mut tail, context, about);
            Body::chunks([head.into(), data.clone(), tail.into()])
        }
        raw => {
            match raw {
                Some(raw) => head.extend_from_slice(raw.get().as_bytes()),
                None => json(&mut head, &String::from_utf8_lossy(data)),
            }
            close_envelope(&mut head, context, about);
            Body::from(head)
        }
    };
    response(StatusCode::OK, JSON, body)
}

/// A backend's failure as documented: HTTP 200 with `success: false`.
pub(super) fn backend_failure(
    context: &Context<'_>,
    failure: &BackendFailure<'_>,
    about: About<'_>,
) -> Response<Body> {
    let mut out = Vec::with_capacity(512);
    open_envelope(&mut out, context, false);
    out.extend_from_slice(b",\"error\":{\"code\":\"MCP_ERROR\",\"message\":");
    json(&mut out, &failure.message);
    out.extend_from_slice(b",\"details\":");
    details(&mut out, failure);
    out.extend_from_slice(b",\"timestamp\":");
    timestamp(&mut out, context.now);
    out.extend_from_slice(b",\"correlationId\":");
    json(&mut out, context.correlation_id);
    out.push(b'}');
    close_envelope(&mut out, context, about);
    with_retry_after(
        response(StatusCode::OK, JSON, Body::from(out)),
        failure.retry_after_seconds,
    )
}

/// A backend's failure for strict callers: its own status, or a gateway's, as a problem.
pub(super) fn strict_backend_failure(
    context: &Context<'_>,
    failure: &BackendFailure<'_>,
    about: About<'_>,
) -> Response<Body> {
    let mut out = Vec::with_capacity(512);
    let status = failure.strict_status;
    open_problem(&mut out, status, &failure.message, failure.strict_code);
    close_problem(&mut out, context, failure.retry_after_seconds);
    out.extend_from_slice(b",\"serviceEndpoint\":");
    json(&mut out, about.endpoint);
    let _ = write!(out, ",\"retryCount\":{}", about.attempts.saturating_sub(1));
    out.extend_from_slice(b",\"details\":");
    details(&mut out, failure);
    out.push(b'}');
    with_retry_after(
        response(status, PROBLEM, Body::from(out)),
        failure.retry_after_seconds,
    )
}

/// The gateway's own refusal as documented: HTTP 500, but for what is new with this gateway.
pub(super) fn refusal(error: &Error, now: SystemTime) -> Response<Body> {
    let status = match error {
        // No client expects 500 of these, so they say what they are.
        Error::Unauthenticated
        | Error::ForeignPage
        | Error::ForeignHost
        | Error::NoHost
        | Error::NoRoom
        | Error::SlowBody
        | Error::Compressed
        | Error::Loop => error.status(),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    plain_error(status, error, now)
}

/// The gateway's own refusal for strict callers: a status that says what it was, as a problem.
pub(super) fn strict_refusal(error: &Error, context: &Context<'_>) -> Response<Body> {
    problem(error.status(), error, context)
}

/// An error as a problem with the given status.
pub(super) fn problem(status: StatusCode, error: &Error, context: &Context<'_>) -> Response<Body> {
    let mut out = Vec::with_capacity(320);
    open_problem(&mut out, status, &error.to_string(), error.code());
    close_problem(&mut out, context, error.retry_after_seconds());
    out.push(b'}');
    with_error_headers(response(status, PROBLEM, Body::from(out)), error)
}

/// `{"success":false,"error":{...}}` with the given status.
pub(super) fn plain_error(status: StatusCode, error: &Error, now: SystemTime) -> Response<Body> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"success\":false,\"error\":{\"code\":\"MCP_ERROR\",\"message\":");
    json(&mut out, &error.to_string());
    out.extend_from_slice(b",\"timestamp\":");
    timestamp(&mut out, now);
    if let Some(seconds) = error.retry_after_seconds() {
        let _ = write!(out, ",\"retryAfter\":{seconds}");
    }
    out.extend_from_slice(b"}}");
    with_error_headers(response(status, JSON, Body::from(out)), error)
}

/// `value` as JSON at the end of `out`.
pub(super) fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing to a vector cannot fail, and neither can serialising strings and plain structs.
    let _ = serde_json::to_writer(out, value);
}

/// `data` as it is, if it is one JSON value.
fn raw(data: &[u8]) -> Option<&RawValue> {
    serde_json::from_str(str::from_utf8(data).ok()?).ok()
}

/// `value` in decimal at the end of `out`, without the detour through `fmt`.
fn number<N: itoa::Integer>(out: &mut Vec<u8>, value: N) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// An RFC 3339 timestamp in milliseconds and UTC, quoted.
pub(super) fn timestamp(out: &mut Vec<u8>, at: SystemTime) {
    let _ = write!(out, "\"{}\"", humantime::format_rfc3339_millis(at));
}

/// A response of the given type.
pub(super) fn response(status: StatusCode, kind: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().reserve(8);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn open_envelope(out: &mut Vec<u8>, context: &Context<'_>, success: bool) {
    let since_epoch = context.now.duration_since(UNIX_EPOCH).unwrap_or_default();
    out.extend_from_slice(b"{\"id\":\"response_");
    number(out, since_epoch.as_millis());
    out.push(b'"');
    if let Some(id) = context.request_id {
        out.extend_from_slice(b",\"requestId\":");
        out.extend_from_slice(id.get().as_bytes());
    }
    out.extend_from_slice(b",\"timestamp\":");
    timestamp(out, context.now);
    out.extend_from_slice(if success {
        b",\"success\":true"
    } else {
        b",\"success\":false"
    });
}

fn close_envelope(out: &mut Vec<u8>, context: &Context<'_>, about: About<'_>) {
    out.extend_from_slice(b",\"metadata\":{\"processingTime\":");
    number(out, context.elapsed.as_millis());
    out.extend_from_slice(b",\"serviceEndpoint\":");
    json(out, about.endpoint);
    out.extend_from_slice(b",\"retryCount\":");
    number(out, about.attempts.saturating_sub(1));
    out.extend_from_slice(b",\"cacheHit\":false}}");
}

fn details(out: &mut Vec<u8>, failure: &BackendFailure<'_>) {
    let Some((status, data)) = failure.details else {
        out.extend_from_slice(b"{}");
        return;
    };
    let _ = write!(out, "{{\"status\":{},\"statusText\":", status.as_u16());
    json(out, status.canonical_reason().unwrap_or_default());
    out.extend_from_slice(b",\"data\":");
    match raw(data) {
        Some(raw) => out.extend_from_slice(raw.get().as_bytes()),
        None => json(out, &String::from_utf8_lossy(data)),
    }
    out.push(b'}');
}

fn open_problem(out: &mut Vec<u8>, status: StatusCode, detail: &str, code: &str) {
    out.extend_from_slice(b"{\"type\":\"about:blank\",\"title\":");
    json(out, status.canonical_reason().unwrap_or("Error"));
    let _ = write!(out, ",\"status\":{},\"detail\":", status.as_u16());
    json(out, detail);
    out.extend_from_slice(b",\"success\":false,\"code\":");
    json(out, code);
}

fn close_problem(out: &mut Vec<u8>, context: &Context<'_>, retry_after_seconds: Option<u64>) {
    out.extend_from_slice(b",\"timestamp\":");
    timestamp(out, context.now);
    if let Some(id) = context.request_id {
        out.extend_from_slice(b",\"requestId\":");
        out.extend_from_slice(id.get().as_bytes());
    }
    if !context.correlation_id.is_empty() {
        out.extend_from_slice(b",\"correlationId\":");
        json(out, context.correlation_id);
    }
    if let Some(seconds) = retry_after_seconds {
        let _ = write!(out, ",\"retryAfter\":{seconds}");
    }
}

fn with_retry_after(mut response: Response<Body>, seconds: Option<u64>) -> Response<Body> {
    if let Some(seconds) = seconds {
        let seconds = HeaderValue::from(seconds);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn with_error_headers(response: Response<Body>, error: &Error) -> Response<Body> {
    let mut response = with_retry_after(response, error.retry_after_seconds());
    let headers = response.headers_mut();
    match error {
        Error::RateLimited { limit, .. } => {
            headers.insert(X_RATELIMIT_LIMIT, HeaderValue::from(*limit));
            headers.insert(X_RATELIMIT_REMAINING, HeaderValue::from(0));
        }
        Error::Unauthenticated => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}
