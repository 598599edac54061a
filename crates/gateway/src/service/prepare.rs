use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_clock::Clock;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT, VIA},
    uri::{Parts as UriParts, PathAndQuery},
};
use tower_service::Service;

use super::{
    Outbound,
    outbound::{Form, Parts},
};
use crate::ids::{
    IDEMPOTENCY_KEY, TRACEPARENT, TRACESTATE, X_AGENT_ID, X_CORRELATION_ID, X_REQUEST_ID, joined,
};

const X_REQUEST_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
const X_RETRY_ATTEMPT: HeaderName = HeaderName::from_static("x-retry-attempt");

const MESSAGE_USER_AGENT: &str = concat!("bartizan/", env!("CARGO_PKG_VERSION"));

/// Room for every header below, the credential and `host`, so that the map grows once.
const HEADERS: usize = 16;

/// Makes the HTTP request of an attempt, from an allow-list: nothing that the caller sent as a
/// header reaches a backend unless it stands here.
#[derive(Clone, Debug)]
pub(crate) struct Prepare<S> {
    inner: S,
    clock: Clock,
    /// What this gateway is called where a request has been.
    pseudonym: HeaderValue,
    fixed: Arc<Fixed>,
}

/// What the operator adds to every message.
#[derive(Default)]
pub(crate) struct Fixed {
    pub(crate) headers: Box<[(HeaderName, HeaderValue)]>,
    /// With the query that the URL of each instance gets.
    pub(crate) target: Option<PathAndQuery>,
}

impl fmt::Debug for Fixed {
    /// Without the query, which may be a secret; headers are marked as such.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixed")
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl<S> Prepare<S> {
    pub(crate) fn new(inner: S, clock: Clock, pseudonym: HeaderValue, fixed: Fixed) -> Self {
        Self {
            inner,
            clock,
            pseudonym,
            fixed: Arc::new(fixed),
        }
    }
}

impl<S> Service<Outbound> for Prepare<S>
where
    S: Service<Request<Outbound>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, outbound: Outbound) -> Self::Future {
        let parts = outbound.parts();
        let (headers, target) = match &parts.form {
            Form::Operation => (self.operation(&outbound), None),
            Form::Message { headers, .. } => {
                (self.message(parts, headers), self.fixed.target.as_ref())
            }
        };
        let mut uri = UriParts::default();
        uri.path_and_query = Some(target.unwrap_or(&parts.path).clone());
        let method = parts.method.clone();
        let mut request = Request::new(outbound);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        *request.headers_mut() = headers;
        self.inner.call(request)
    }
}

impl<S> Prepare<S> {
    fn operation(&self, outbound: &Outbound) -> HeaderMap {
        let parts = outbound.parts();
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/plain, */*"),
        );
        // What is not said to be unwanted may be sent (RFC 9110, 12.5.3), and nobody here unpacks it.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if !parts.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // The original's own name, which backends may have in an allow-list.
        headers.insert(USER_AGENT, HeaderValue::from_static("MCP-Gateway/1.0.0"));
        headers.insert(X_CORRELATION_ID, parts.correlation_id.clone());
        let left = outbound.deadline() - self.clock.now();
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        headers.insert(X_REQUEST_TIMEOUT_MS, HeaderValue::from(left_ms));
        if let Some(agent_id) = &parts.agent_id {
            headers.insert(X_AGENT_ID, agent_id.clone());
        }
        if outbound.attempt() > 1 {
            headers.insert(X_RETRY_ATTEMPT, HeaderValue::from(outbound.attempt()));
        }
        self.trace(parts, &mut headers);
        headers
    }

    fn message(&self, parts: &Parts, own: &[(HeaderName, HeaderValue)]) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(USER_AGENT, HeaderValue::from_static(MESSAGE_USER_AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in self.fixed.headers.iter().chain(own) {
            headers.append(name.clone(), value.clone());
        }
        self.trace(parts, &mut headers);
        headers
    }

    /// What lets a backend's records be joined with ours, whatever is asked of it.
    fn trace(&self, parts: &Parts, headers: &mut HeaderMap) {
        let trace = &parts.trace;
        headers.insert(X_REQUEST_ID, parts.request_id.clone());
        headers.insert(TRACEPARENT, trace.parent.clone());
        headers.insert(
            VIA,
            match &trace.via {
                Some(before) => joined(before, &self.pseudonym),
                None => self.pseudonym.clone(),
            },
        );
        let optional = [
            (IDEMPOTENCY_KEY, &parts.idempotency_key),
            (TRACESTATE, &trace.state),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}
