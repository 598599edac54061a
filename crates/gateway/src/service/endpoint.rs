use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{Buffered, BufferedFuture, Client, ClientError, ResponseFuture};
use bartizan_clock::Clock;
use bartizan_discovery::Instance;
use bartizan_protocol::unmarked;
use bartizan_transport::{
    host::{Host, HostBody, HostError},
    with_query,
};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{CONTENT_ENCODING, HOST},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::Full;
use pin_project::pin_project;
use thiserror::Error;
use tokio::time::Sleep;
use tower_service::Service;

use super::{Form, Outbound, stream::Stream};

/// One instance of a service: completes a request's target, sends it, and ends the attempt
/// when its own time, or what is left of the whole call's, has passed.
///
/// The timer runs here and not further out so that an instance that hangs is seen to fail by
/// the balancer, which can set it aside, and by the breaker.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    target: Arc<Target>,
    client: Client,
    buffered: Buffered,
    /// Answers messages, if the instance does not speak Streamable HTTP.
    host: Option<Host>,
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
    /// All of it, which is where messages go.
    uri: Uri,
    id: Arc<str>,
}

/// The body of a backend's answer, and where it came from.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The whole body, or nothing if it is a stream.
    pub(crate) bytes: Bytes,
    /// The rest of the answer to a message.
    pub(crate) stream: Option<Stream>,
    pub(crate) endpoint: Arc<str>,
    /// How many attempts the call took, filled in by the retry layer.
    pub(crate) attempts: u32,
}

/// An exchange with one instance that failed.
#[derive(Debug, Error)]
#[error("{kind}")]
pub(crate) struct EndpointError {
    pub(crate) endpoint: Arc<str>,
    /// Whether it was asked for what it may have to tell, and for no call.
    pub(crate) listens: bool,
    #[source]
    pub(crate) kind: EndpointErrorKind,
}

#[derive(Debug, Error)]
pub(crate) enum EndpointErrorKind {
    #[error("no answer in time")]
    TimedOut {
        /// The attempt's own limit, if that is what ended it and not the call's deadline.
        limit: Option<Duration>,
        /// Whether the deadline came so soon that it says nothing of the instance.
        was_hasty: bool,
    },
    /// The answer is compressed, though every request asks for it as it is.
    #[error("the answer is encoded as {encoding}, which nobody asked for")]
    Encoded { encoding: Box<str> },
    #[error(transparent)]
    Exchange(ClientError),
    #[error(transparent)]
    Host(HostError),
}

impl Fault for EndpointError {
    fn fault(&self) -> FaultKind {
        if self.listens {
            // Idle listeners come again and again while a server restarts, and would open the circuit
            // of callers that there are none of.
            return FaultKind::Caller;
        }
        match &self.kind {
            // Or a caller without patience could have everybody's circuit opened.
            EndpointErrorKind::TimedOut {
                was_hasty: true, ..
            } => FaultKind::Caller,
            EndpointErrorKind::TimedOut { .. } => FaultKind::TimedOut,
            // As of an answer that is too large: the instance lives, and would say the same again.
            EndpointErrorKind::Encoded { .. } => FaultKind::Caller,
            EndpointErrorKind::Exchange(error) => error.fault(),
            EndpointErrorKind::Host(error) => host_fault(error),
        }
    }
}

/// How far a message got that a host was given.
pub(super) fn host_fault(error: &HostError) -> FaultKind {
    match error {
        HostError::Unsent {
            retry_after: None, ..
        } => FaultKind::NotSent,
        // The program was not started, since that has failed too often: asking again at once
        // cannot help.
        HostError::Unsent { retry_after, .. } => FaultKind::Rejected {
            retry_after: *retry_after,
        },
        HostError::Overloaded { retry_after, .. } => FaultKind::Rejected {
            retry_after: Some(*retry_after),
        },
        _ => FaultKind::Interrupted,
    }
}

/// What an instance must be given before it is held against it that there was no answer when a
/// deadline came; half of an attempt's own limit if that is less.
const FAIR: Duration = Duration::from_secs(1);

impl Endpoint {
    pub(crate) fn new(
        instance: &Instance,
        client: &Client,
        host: Option<Host>,
        attempt_timeout: Option<Duration>,
        clock: Clock,
    ) -> Self {
        let uri = instance.uri();
        let authority = uri
            .authority()
            .cloned()
            .unwrap_or_else(|| Authority::from_static("localhost"));
        let scheme = uri.scheme().cloned().unwrap_or(Scheme::HTTP);
        let host_header = host_header(&scheme, &authority);
        Self {
            target: Arc::new(Target {
                base: uri.path().trim_end_matches('/').into(),
                id: Arc::clone(instance.id()),
                scheme,
                authority,
                host: host_header,
                uri: uri.clone(),
            }),
            buffered: client.buffered(),
            client: client.clone(),
            host,
            attempt_timeout,
            clock,
        }
    }
}

impl Endpoint {
    /// What answers messages in the place of an instance that does not speak Streamable HTTP.
    pub(super) fn host(&self) -> Option<&Host> {
        self.host.as_ref()
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
        let endpoint = &self.target.id;
        self.buffered.poll_ready(cx).map_err(|error| EndpointError {
            endpoint: Arc::clone(endpoint),
            listens: false,
            kind: EndpointErrorKind::Exchange(error),
        })
    }

    fn call(&mut self, request: Request<Outbound>) -> Self::Future {
        let left = request.body().deadline() - self.clock.now();
        let limit = self.attempt_timeout.filter(|limit| *limit < left);
        let fair = self.attempt_timeout.map_or(FAIR, |it| FAIR.min(it / 2));
        let outbound = request.body().clone();
        outbound.set_timed(true);
        EndpointFuture {
            is_hasty: limit.is_none() && left < fair,
            listens: outbound.parts().listens(),
            exchange: if left.is_zero() {
                // What comes too late does nothing that nobody waits for.
                Exchange::Late
            } else {
                outbound.note_sent();
                self.exchange(request)
            },
            outbound,
            sleep: self.clock.sleep(limit.unwrap_or(left)),
            limit,
            target: Arc::clone(&self.target),
        }
    }
}

impl Endpoint {
    fn exchange(&self, request: Request<Outbound>) -> Exchange {
        let owner = match &request.body().parts().form {
            Form::Message { owner, .. } => Some(*owner),
            Form::Operation => None,
        };
        if let (Some(owner), Some(host)) = (owner, &self.host) {
            let host = host.clone();
            let request = request.map(|outbound| outbound.parts().body.clone());
            return Exchange::Hosted(Box::pin(async move { host.call(request, owner.0).await }));
        }
        let mut request = request.map(|outbound| Full::new(outbound.parts().body.clone()));
        request.headers_mut().insert(HOST, self.target.host.clone());
        if owner.is_some() {
            // Of the path nothing was asked; the query is a credential that belongs there.
            *request.uri_mut() = match request.uri().query() {
                Some(query) => with_query(&self.target.uri, query),
                None => self.target.uri.clone(),
            };
            return Exchange::Streamed(self.client.send(request));
        }
        // A target that does not fit together is refused by the client, which names it.
        if let Ok(uri) = self.target.uri(request.uri()) {
            *request.uri_mut() = uri;
        }
        Exchange::Collected(self.buffered.send(request))
    }
}

#[pin_project]
#[derive(Debug)]
pub(crate) struct EndpointFuture {
    exchange: Exchange,
    #[pin]
    sleep: Sleep,
    limit: Option<Duration>,
    is_hasty: bool,
    listens: bool,
    /// Knows that there is a timer, which it is told when there is none any more.
    outbound: Outbound,
    target: Arc<Target>,
}

enum Exchange {
    /// The deadline was over before it began.
    Late,
    Collected(BufferedFuture),
    Streamed(ResponseFuture),
    // Boxed, since what a host does is an `async fn`, whose type has no name; next to a message
    // through a pipe the allocation is nothing.
    Hosted(Pin<Box<dyn Future<Output = Result<Response<HostBody>, HostError>> + Send>>),
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "Late",
            Self::Collected(_) => "Collected",
            Self::Streamed(_) => "Streamed",
            Self::Hosted(_) => "Hosted",
        })
    }
}

/// The whole body of an answer, or the rest of it.
type Answered = Result<Response<(Bytes, Option<Stream>)>, EndpointErrorKind>;

/// An answer whose body is what it says, and not a compressed form of it. Of a refusal the status
/// says enough.
fn readable<B>(response: Response<B>) -> Result<Response<B>, EndpointErrorKind> {
    match response.headers().get(CONTENT_ENCODING) {
        Some(encoding) if response.status().is_success() && encoding != "identity" => {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).into();
            Err(EndpointErrorKind::Encoded { encoding })
        }
        _ => Ok(response),
    }
}

impl Exchange {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answered> {
        let streamed = |stream: Stream| (Bytes::new(), Some(stream));
        Poll::Ready(match self {
            // The timer is over as well.
            Self::Late => return Poll::Pending,
            Self::Collected(future) => ready!(Pin::new(future).poll(cx))
                .map_err(EndpointErrorKind::Exchange)
                .and_then(readable)
                .map(|it| it.map(|bytes| (unmarked(bytes), None))),
            Self::Streamed(future) => ready!(Pin::new(future).poll(cx))
                .map_err(EndpointErrorKind::Exchange)
                .and_then(readable)
                .map(|it| it.map(|body| streamed(body.into()))),
            Self::Hosted(future) => ready!(future.as_mut().poll(cx))
                .map(|it| it.map(|body| streamed(body.into())))
                .map_err(EndpointErrorKind::Host),
        })
    }
}

impl Future for EndpointFuture {
    type Output = Result<Response<Payload>, EndpointError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.exchange.poll(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                ready!(this.sleep.poll(cx));
                Err(EndpointErrorKind::TimedOut {
                    limit: *this.limit,
                    was_hasty: *this.is_hasty,
                })
            }
        };
        // The layers outside may go on to wait for something else.
        this.outbound.set_timed(false);
        let endpoint = Arc::clone(&this.target.id);
        Poll::Ready(match result {
            Ok(response) => Ok(response.map(|(bytes, stream)| Payload {
                bytes,
                stream: stream.map(|stream| stream.listening(*this.listens)),
                endpoint,
                attempts: 1,
            })),
            Err(kind) => Err(EndpointError {
                endpoint,
                listens: *this.listens,
                kind,
            }),
        })
    }
}
