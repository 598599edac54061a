use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{Buffered, ClientError};
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
use tower_service::Service;

use super::Outbound;

/// One instance of a service: completes a request's target and sends it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    target: Arc<Target>,
    client: Buffered,
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
#[error("{error}")]
pub(crate) struct EndpointError {
    pub(crate) endpoint: Arc<str>,
    #[source]
    pub(crate) error: ClientError,
}

impl Fault for EndpointError {
    fn fault(&self) -> FaultKind {
        self.error.fault()
    }
}

impl Endpoint {
    pub(crate) fn new(instance: &Instance, client: Buffered) -> Self {
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
            error,
        })
    }

    fn call(&mut self, request: Request<Outbound>) -> Self::Future {
        let mut request = request.map(|outbound| Full::new(outbound.parts().body.clone()));
        // A target that does not fit together is refused by the client, which names it.
        if let Ok(uri) = self.target.uri(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.headers_mut().insert(HOST, self.target.host.clone());
        EndpointFuture {
            inner: self.client.call(request),
            target: Arc::clone(&self.target),
        }
    }
}

#[pin_project]
#[derive(Debug)]
pub(crate) struct EndpointFuture {
    #[pin]
    inner: <Buffered as Service<Request<Full<Bytes>>>>::Future,
    target: Arc<Target>,
}

impl Future for EndpointFuture {
    type Output = Result<Response<Payload>, EndpointError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let endpoint = Arc::clone(&this.target.text);
        Poll::Ready(match ready!(this.inner.poll(cx)) {
            Ok(response) => Ok(response.map(|bytes| Payload {
                bytes,
                endpoint,
                attempts: 1,
            })),
            Err(error) => Err(EndpointError { endpoint, error }),
        })
    }
}
