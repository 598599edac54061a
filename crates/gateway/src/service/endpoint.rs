use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{Buffered, ClientError};
use bartizan_clock::Clock;
use bartizan_discovery::Instance;
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::Full;
use pin_project::pin_project;
use thiserror::Error;
use tokio::time::Sleep;
use tower_service::Service;

use super::Outbound;

/// One instance of a service: completes a request's target, sends it, and ends the attempt
/// when its own time, or what is left of the whole call's, has passed.
///
/// The timer runs here and not further out so that an instance that hangs is seen to fail by
/// the balancer, which can set it aside, and by the breaker.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    target: Arc<Target>,
    client: Buffered,
    attempt_timeout: Option<Duration>,
    clock: Clock,
}

/// What is computed once per instance instead of once per request.
#[derive(Debug)]
struct Target {
    scheme: Scheme,
    authority: Authority,
    /// A path in front of `/api/...`, without a slash at its end.
    base: Box<str>,
    host: HeaderValue,
    /// The instance as configured, for the answer's `serviceEndpoint`.
    text: Arc<str>,
}

/// The body of a backend's answer, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    pub(crate) endpoint: Arc<str>,
    /// How many attempts the call took, filled in by the retry layer.
    pub(crate) attempts: u32,
}

/// An exchange with one instance that failed.
#[derive(Debug, Error)]
#[error("{kind}")]
pub(crate) struct EndpointError {
    pub(crate) endpoint: Arc<str>,
    #[source]
    pub(crate) kind: EndpointErrorKind,
}

#[derive(Debug, Error)]
pub(crate) enum EndpointErrorKind {
    #[error("no answer in time")]
    TimedOut {
        /// The attempt's own limit, if that is what ended it and not the call's deadline.
        limit: Option<Duration>,
    },
    #[error(transparent)]
    Exchange(ClientError),
}

impl Fault for EndpointError {
    fn fault(&self) -> FaultKind {
        match &self.kind {
            EndpointErrorKind::TimedOut { .. } => FaultKind::TimedOut,
            EndpointErrorKind::Exchange(error) => error.fault(),
        }
    }
}

impl Endpoint {
    pub(crate) fn new(
        instance: &Instance,
        client: Buffered,
        attempt_timeout: Option<Duration>,
        clock: Clock,
    ) -> Self {
        let uri = instance.uri();
        let authority = uri
            .authority()
            .cloned()
            .unwrap_or_else(|| Authority::from_static("localhost"));
        let scheme = uri.scheme().cloned().unwrap_or(Scheme::HTTP);
        let host = host_header(&scheme, &authority);
        Self {
            target: Arc::new(Target {
                base: uri.path().trim_end_matches('/').into(),
                text: Arc::clone(instance.id()),
                scheme,
                authority,
                host,
            }),
            client,
            attempt_timeout,
            clock,
        }
    }
}

/// The `Host` of requests to `authority`: the port only where it is not the scheme's own.
fn host_header(scheme: &Scheme, authority: &Authority) -> HeaderValue {
    let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let text = match authority.port_u16() {
        Some(port) if port != default_port => format!("{}:{port}", authority.host()),
        _ => authority.host().to_owned(),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("localhost"))
}

impl Target {
    fn uri(&self, relative: &Uri) -> Result<Uri, http::Error> {
        let path = match relative.path_and_query() {
            Some(path) if self.base.is_empty() => path.clone(),
            Some(path) => PathAndQuery::try_from(format!("{}{path}", self.base))?,
            None => PathAndQuery::from_static("/"),
        };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Ok(Uri::from_parts(parts)?)
    }
}

impl Service<Request<Outbound>> for Endpoint {
    type Response = Response<Payload>;
    type Error = EndpointError;
    type Future = EndpointFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let endpoint = &self.target.text;
        self.client.poll_ready(cx).map_err(|error| EndpointError {
            endpoint: Arc::clone(endpoint),
            kind: EndpointErrorKind::Exchange(error),
        })
    }

    fn call(&mut self, request: Request<Outbound>) -> Self::Future {
        let left = request.body().deadline() - self.clock.now();
        let limit = self.attempt_timeout.filter(|limit| *limit < left);
        request.body().set_timed(true);
        let mut request = request.map(|outbound| Full::new(outbound.parts().body.clone()));
        // A target that does not fit together is refused by the client, which names it.
        if let Ok(uri) = self.target.uri(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.headers_mut().insert(HOST, self.target.host.clone());
        EndpointFuture {
            inner: self.client.call(request),
            sleep: self.clock.sleep(limit.unwrap_or(left)),
            limit,
            target: Arc::clone(&self.target),
        }
    }
}

#[pin_project]
#[derive(Debug)]
pub(crate) struct EndpointFuture {
    #[pin]
    inner: <Buffered as Service<Request<Full<Bytes>>>>::Future,
    #[pin]
    sleep: Sleep,
    limit: Option<Duration>,
    target: Arc<Target>,
}

impl Future for EndpointFuture {
    type Output = Result<Response<Payload>, EndpointError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.inner.poll(cx) {
            Poll::Ready(result) => result.map_err(EndpointErrorKind::Exchange),
            Poll::Pending => {
                ready!(this.sleep.poll(cx));
                Err(EndpointErrorKind::TimedOut { limit: *this.limit })
            }
        };
        let endpoint = Arc::clone(&this.target.text);
        Poll::Ready(match result {
            Ok(response) => Ok(response.map(|bytes| Payload {
                bytes,
                endpoint,
                attempts: 1,
            })),
            Err(kind) => Err(EndpointError { endpoint, kind }),
        })
    }
}
