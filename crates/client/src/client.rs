use std::{
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_workers::PerWorker;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONTENT_LENGTH, HOST},
    uri::Scheme,
};
use http_body::Body;
use http_body_util::Full;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use tower_service::Service;

use crate::{
    Buffered, ClientConfig, ClientError, InvalidClient, ResponseBody, ResponseFuture,
    connector::Connector,
};

/// Sends requests over pooled connections and streams the responses.
///
/// One `Arc` wide: clones share the pool. Always ready; how many exchanges may be under way is a
/// concurrency limit's decision.
///
/// Connections are kept per scheme and authority, and on the threads of
/// [`Workers`](bartizan_workers::Workers) by each for itself. A request waits for whichever comes
/// first, a free connection or a new one. A connection that the server closed while it was idle is
/// noticed and dropped; if the server closes it in the very moment in which a request is given to it, the
/// request goes to another connection if nothing of it was written, and fails with
/// [`ClientError::Interrupted`] if some of it was. Nothing else is ever sent twice.
///
/// `Host` (or `:authority`), `content-length` and `connection` are hyper's to set. A caller that
/// keeps the `Host` value of an instance at hand and sets it saves hyper formatting it each time.
/// The request's version is ignored: the connection decides it.
///
/// # Always within a timeout
///
/// A server may never answer, and in one rare case hyper never does: a request handed to an
/// HTTP/1.1 connection in the instant in which that connection ends may be left in between, not
/// written and not handed back ([hyper#4122], open as of 1.12). Against a server that breaks most
/// of its connections it was measured about once in 200 000 exchanges, with hyper-util's client
/// alone as with this one. Dropping the future, as a timeout does, frees everything.
///
/// [hyper#4122]: https://github.com/hyperium/hyper/issues/4122
///
/// # Cancellation
///
/// Dropping the future closes an HTTP/1.1 connection that carries its request, or resets the
/// HTTP/2 stream, so that the server may notice. A connection in the making is given up unless
/// another request waits for it.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: PerWorker<legacy::Client<Connector, Full<Bytes>>>,
    connector: Connector,
    pool: Pool,
    max_response_bytes: usize,
    /// What every server is called, whatever its address.
    host: Option<HeaderValue>,
}

#[derive(Clone, Copy)]
struct Pool {
    idle_timeout: Duration,
    max_idle_per_host: usize,
}

impl Pool {
    /// The pool of each of so many workers.
    fn share(self, workers: NonZeroUsize) -> Self {
        Self {
            max_idle_per_host: self.max_idle_per_host.div_ceil(workers.get()),
            ..self
        }
    }

    fn client(self, connector: &Connector) -> legacy::Client<Connector, Full<Bytes>> {
        legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            // Without a timer of its own the pool never evicts an idle connection.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle_per_host)
            // Repeats only requests that hyper hands back unwritten from a reused connection.
            .retry_canceled_requests(true)
            .http2_keep_alive_interval(HTTP2_KEEP_ALIVE.0)
            .http2_keep_alive_timeout(HTTP2_KEEP_ALIVE.1)
            .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .build(connector.clone())
    }
}

/// How often a busy HTTP/2 connection is asked whether it lives, and how long it may think about
/// it. Without it a connection whose peer vanished swallows requests until TCP gives up, which
/// takes a quarter of an hour on Linux.
const HTTP2_KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// What may arrive on an HTTP/2 connection before any of it is read: the most there can be. With
/// hyper's 5 MiB three answers whose readers are slow, of 2 MiB each, would hold up all others of the
/// connection. The windows of the answers bound it.
const HTTP2_CONNECTION_WINDOW: u32 = (1 << 31) - 1;

impl Client {
    /// Reads certificates, if any are named, and builds the pool. Connects to nobody.
    ///
    /// # Errors
    ///
    /// When the connect timeout is zero, or a certificate or key cannot be used.
    pub fn new(config: &ClientConfig) -> Result<Self, InvalidClient> {
        config.validate()?;
        let pool = Pool {
            idle_timeout: config.pool_idle_timeout,
            max_idle_per_host: config.max_idle_per_host,
        };
        let connector = Connector::new(config)?;
        Ok(Self::over(connector, pool, config.max_response_bytes, None))
    }

    /// A client with connections of its own that takes every server for that at `address`,
    /// wherever it is.
    ///
    /// For instances that are found by their addresses, such as those behind a name: `Host` says
    /// the name, and so does TLS, where the certificate must be the name's. What the request says
    /// of either does not count. HTTP/1.1 is spoken, since a request of HTTP/2 has no `Host`
    /// besides its address. An `address` without a host is no name, and changes nothing.
    #[must_use]
    pub fn named(&self, address: &Uri) -> Self {
        let Some(authority) = address.authority().filter(|it| !it.host().is_empty()) else {
            return self.clone();
        };
        let usual = match address.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let host = match authority.port_u16() {
            Some(port) if port != usual => format!("{}:{port}", authority.host()),
            _ => authority.host().to_owned(),
        };
        let shared = &self.shared;
        Self::over(
            shared.connector.named(authority.host()),
            shared.pool,
            shared.max_response_bytes,
            HeaderValue::try_from(host).ok(),
        )
    }

    /// A client with connections of its own that takes the hosts of requests for fully qualified
    /// names, with or without the dot at their end.
    ///
    /// For instances whose hosts come from records, such as the targets of SRV records: they are
    /// looked up as they are, and not in the search domains of the system. `Host` and TLS say what the
    /// request says. Where a hosts file has such a name, but no name server, it is not found.
    #[must_use]
    pub fn fully_qualified(&self) -> Self {
        let shared = &self.shared;
        Self::over(
            shared.connector.fully_qualified(),
            shared.pool,
            shared.max_response_bytes,
            shared.host.clone(),
        )
    }

    fn over(
        connector: Connector,
        pool: Pool,
        max_response_bytes: usize,
        host: Option<HeaderValue>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                http: PerWorker::new(pool.client(&connector)),
                connector,
                pool,
                max_response_bytes,
                host,
            }),
        }
    }

    /// A service over the same pool that collects response bodies.
    #[must_use]
    pub fn buffered(&self) -> Buffered {
        Buffered::new(self.clone(), self.shared.max_response_bytes)
    }

    /// Sends a request with an absolute URI; the future ends when the response's headers are here.
    pub fn send(&self, mut request: Request<Full<Bytes>>) -> ResponseFuture {
        if let Err(reason) = reachable(request.uri()) {
            return ResponseFuture::invalid_uri(reason);
        }
        *request.version_mut() = Version::HTTP_11;
        if request.body().is_end_stream() && anticipates_content(request.method()) {
            let length = HeaderValue::from_static("0");
            request.headers_mut().insert(CONTENT_LENGTH, length);
        }
        if let Some(host) = &self.shared.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        let shared = &self.shared;
        let own = |workers| shared.pool.share(workers).client(&shared.connector);
        let http = shared.http.get(own);
        ResponseFuture::new(http.request(request))
    }
}

/// Methods whose requests have content, so that one without should say so (RFC 9110, 8.6). hyper
/// is silent about an empty body, which some servers answer with 411.
fn anticipates_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn reachable(uri: &Uri) -> Result<(), &'static str> {
    match uri.scheme() {
        None => return Err("it has no scheme"),
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {}
        Some(_) => return Err("its scheme is neither http nor https"),
    }
    match (uri.host(), uri.authority()) {
        (None | Some(""), _) => Err("it has no host"),
        // They would not be sent, and be shown in errors.
        (_, Some(authority)) if authority.as_str().contains('@') => {
            Err("it has a user name or a password")
        }
        _ => Ok(()),
    }
}

impl Service<Request<Full<Bytes>>> for Client {
    type Response = Response<ResponseBody>;
    type Error = ClientError;
    type Future = ResponseFuture;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        self.send(request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("max_response_bytes", &self.shared.max_response_bytes)
            .finish_non_exhaustive()
    }
}
