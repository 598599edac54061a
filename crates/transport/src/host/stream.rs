//! HTTP+SSE as a wire.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_classify::{Fault, FaultKind};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Request, Response, Uri,
    header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::Body;
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tower_service::Service;

use super::{HostError, QUIET, connect::Refused};
use crate::{
    link::{Wire, WireError},
    query::with_query,
    sse::{self, SseError, SseLimits},
};

/// Headers of one message, or of the other transport, which do not go along.
const OWN: [HeaderName; 12] = [
    QUIET,
    ACCEPT,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-request-id"),
];

/// What goes with every request of one connection: what the message had that was sent last, so
/// that a credential which was refreshed meanwhile takes the place of the old one.
#[derive(Clone, Default)]
pub(super) struct Passed(Arc<Mutex<Along>>);

#[derive(Default)]
struct Along {
    headers: HeaderMap,
    query: Option<Box<str>>,
}

impl Passed {
    pub(super) fn new(head: &Parts) -> Self {
        let passed = Self::default();
        passed.set(head);
        passed
    }

    pub(super) fn set(&self, head: &Parts) {
        let passes = |name: &HeaderName| !OWN.contains(name) && !name.as_str().starts_with("mcp-");
        let headers = head.headers.iter().filter(|(name, _)| passes(name));
        *self.0.lock() = Along {
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            query: head.uri.query().map(Into::into),
        };
    }

    fn add_to<B>(&self, request: &mut Request<B>) {
        let along = self.0.lock();
        for (name, value) in &along.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        if let Some(query) = &along.query {
            *request.uri_mut() = with_query(request.uri(), query);
        }
    }
}

impl fmt::Debug for Passed {
    /// Without what is passed, which holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passed").finish_non_exhaustive()
    }
}

/// Adds what is passed along to each request.
#[derive(Clone, Debug)]
struct Passing<S> {
    inner: S,
    passed: Passed,
}

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for Passing<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> S::Future {
        self.passed.add_to(&mut request);
        self.inner.call(request)
    }
}

/// Opens a stream, and gives the wire over it and what keeps it open.
pub(super) async fn open<S, B>(
    service: S,
    url: Uri,
    limits: SseLimits,
    passed: Passed,
) -> Result<(Wire, oneshot::Sender<()>), Refused>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Fault + fmt::Display + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
{
    let service = Passing {
        inner: service,
        passed,
    };
    let wire = match sse::connect(service, &url, HeaderMap::new(), limits).await {
        Ok(wire) => wire,
        Err(SseError::Refused { status, headers }) => {
            return Err(Refused::Answered(status, headers));
        }
        // The server was not asked.
        Err(SseError::Service(error)) if matches!(error.fault(), FaultKind::Rejected { .. }) => {
            return Err(HostError::overloaded(error.to_string()).into());
        }
        Err(error) => return Err(HostError::unsent(error.to_string()).into()),
    };
    let (arrived, incoming) = mpsc::channel(limits.queue.max(1));
    let (open, closed) = oneshot::channel();
    tokio::spawn(pass_on(wire.incoming, arrived, closed));
    let outgoing = wire.outgoing;
    Ok((Wire { outgoing, incoming }, open))
}

/// Passes on what arrives until `closed`, which ends the stream, as nothing receives it any more.
async fn pass_on(
    mut incoming: mpsc::Receiver<Result<Bytes, WireError>>,
    arrived: mpsc::Sender<Result<Bytes, WireError>>,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        let item = tokio::select! {
            _ = &mut closed => return,
            () = arrived.closed() => return,
            item = incoming.recv() => item,
        };
        let Some(item) = item else { return };
        if arrived.send(item).await.is_err() {
            return;
        }
    }
}
