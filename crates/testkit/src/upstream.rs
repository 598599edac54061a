use std::{
    collections::VecDeque, convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};

/// A request as an [`Upstream`] received it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The target as sent.
    pub uri: Uri,
    /// All headers as sent.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Recorded {
    /// The text of a header, if it was sent once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the recorded body is JSON")
    }
}

/// What an [`Upstream`] does with one request.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answer,
    Close,
    Truncate,
    Hang,
}

impl Reply {
    /// A response with this status and an empty body.
    ///
    /// # Panics
    ///
    /// When `status` is not one.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a valid status"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            fate: Fate::Answer,
        }
    }

    /// A 200 response with a JSON body, sent as given.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::status(200)
            .header("content-type", "application/json")
            .body(body)
    }

    /// Reads the request, then closes the connection without a word.
    pub fn close() -> Self {
        Self {
            fate: Fate::Close,
            ..Self::status(200)
        }
    }

    /// Announces a longer body than it sends, then closes the connection.
    pub fn truncated() -> Self {
        Self {
            fate: Fate::Truncate,
            ..Self::status(200)
        }
    }

    /// Reads the request and never answers.
    pub fn hang() -> Self {
        Self {
            fate: Fate::Hang,
            ..Self::status(200)
        }
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// When name or value is not valid in HTTP.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a valid header name"),
            HeaderValue::from_str(value).expect("a valid header value"),
        );
        self
    }

    /// Replaces the status.
    ///
    /// # Panics
    ///
    /// When `status` is not one.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).expect("a valid status");
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Waits before answering.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Handler = Box<dyn Fn(&Recorded) -> Reply + Send + Sync>;

struct Shared {
    queue: Mutex<VecDeque<Reply>>,
    asides: Mutex<Vec<(String, Reply)>>,
    handler: Mutex<Handler>,
    recorded: watch::Sender<Vec<Recorded>>,
    connections: Mutex<usize>,
}

/// An HTTP/1.1 server on a loopback port that the operating system chose.
///
/// Answers the queued replies first, in order, then whatever its handler says (200 with `{}`
/// unless told otherwise). Dropping it closes the listener and every connection.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    /// Has the port as well, where the system allows it, for when the listener is gone: a connection
    /// of anybody's that came to have it would keep the next server from it for a minute.
    place: Option<TcpSocket>,
}

impl Upstream {
    /// Starts a server that answers `{}`.
    ///
    /// # Panics
    ///
    /// When no loopback port can be bound.
    pub async fn start() -> Self {
        Self::start_with(|_| Reply::json("{}")).await
    }

    /// Starts a server that answers what `handler` says.
    ///
    /// # Panics
    ///
    /// When no loopback port can be bound.
    pub async fn start_with(handler: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), handler).await
    }

    /// Starts a server at `address`, for one that comes back where it was.
    ///
    /// # Panics
    ///
    /// When the address cannot be bound.
    pub async fn start_at(
        address: SocketAddr,
        handler: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let socket = bound(address).expect("a free loopback port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let place = bound(address).ok();
        let listener = socket.listen(1024).expect("a port that nobody listens at");
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            asides: Mutex::default(),
            handler: Mutex::new(Box::new(handler)),
            recorded: watch::Sender::default(),
            connections: Mutex::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
        Self {
            address,
            shared,
            stop,
            place,
        }
    }

    /// A loopback address at which connections are refused as long as the process runs: the port
    /// is taken, so that no other server comes to be there.
    ///
    /// # Panics
    ///
    /// When no loopback port can be bound.
    #[must_use]
    pub fn refusing() -> SocketAddr {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(any).expect("a free loopback port");
        let socket: &'static TcpSocket = Box::leak(Box::new(socket));
        socket.local_addr().expect("a bound socket has an address")
    }

    /// A loopback address on which nothing listens, and something may later.
    ///
    /// # Panics
    ///
    /// When no loopback port can be bound.
    #[must_use]
    pub fn nobody() -> SocketAddr {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = bound(any).expect("a free loopback port");
        let address = socket.local_addr().expect("a bound socket has an address");
        Box::leak(Box::new(socket));
        address
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Queues a reply for the next request that finds it.
    pub fn reply(&self, reply: Reply) -> &Self {
        self.shared.queue.lock().push_back(reply);
        self
    }

    /// Answers `path` with `reply` from now on, whatever is queued, and without recording it.
    pub fn aside(&self, path: &str, reply: Reply) -> &Self {
        self.shared.asides.lock().push((path.to_owned(), reply));
        self
    }

    /// Replaces the handler that answers when nothing is queued.
    pub fn handle(&self, handler: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) {
        *self.shared.handler.lock() = Box::new(handler);
    }

    /// All requests so far, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.recorded.borrow().clone()
    }

    /// How many requests arrived so far.
    pub fn hits(&self) -> usize {
        self.shared.recorded.borrow().len()
    }

    /// Waits until so many requests have arrived.
    ///
    /// # Panics
    ///
    /// When they have not for twenty seconds.
    pub async fn arrived(&self, number: usize) {
        let mut recorded = self.shared.recorded.subscribe();
        let arrived = recorded.wait_for(|requests| requests.len() >= number);
        let arrived = tokio::time::timeout(Duration::from_secs(20), arrived).await;
        assert!(arrived.is_ok(), "{} of {number} requests", self.hits());
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        *self.shared.connections.lock()
    }

    /// Closes the listener and every connection, in the middle of whatever they do.
    pub async fn kill(mut self) -> SocketAddr {
        let _ = self.stop.send(true);
        self.stop.closed().await;
        Box::leak(Box::new(self.place.take()));
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("address", &self.address)
            .field("hits", &self.hits())
            .finish_non_exhaustive()
    }
}

/// A socket with this address, which others may have that do not listen.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                *shared.connections.lock() += 1;
                tokio::spawn(connection(stream, Arc::clone(&shared), stopped.clone()));
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    // A reply that breaks the connection says so here; the connection's future is then dropped.
    let (break_it, mut broken) = tokio::sync::mpsc::channel::<Option<Bytes>>(1);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (shared, break_it) = (Arc::clone(&shared), break_it.clone());
        async move { answer(&shared, request, &break_it).await }
    });
    let raw = stream.into_std().and_then(|s| Ok((s.try_clone()?, s)));
    let Ok((mut twin, stream)) = raw
        .and_then(|(twin, stream)| Ok((TcpStream::from_std(twin)?, TcpStream::from_std(stream)?)))
    else {
        return;
    };
    let serve =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = serve => {}
        _ = stopped.changed() => {}
        last_words = broken.recv() => {
            if let Some(Some(bytes)) = last_words {
                let _ = twin.write_all(&bytes).await;
                let _ = twin.shutdown().await;
            }
        }
    }
}

/// What to do with a request, which is recorded unless it is an aside.
fn reply(shared: &Shared, request: Recorded) -> Reply {
    let asides = shared.asides.lock();
    if let Some((_, reply)) = asides.iter().find(|(path, _)| path == request.uri.path()) {
        return reply.clone();
    }
    let queued = shared.queue.lock().pop_front();
    let reply = queued.unwrap_or_else(|| (shared.handler.lock())(&request));
    shared
        .recorded
        .send_modify(|requests| requests.push(request));
    reply
}

async fn answer(
    shared: &Shared,
    request: Request<Incoming>,
    break_it: &tokio::sync::mpsc::Sender<Option<Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(Response::new(Full::default()));
    };
    let recorded = Recorded {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: body.to_bytes(),
    };
    let reply = reply(shared, recorded);
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    match reply.fate {
        Fate::Answer => {}
        Fate::Close => {
            let _ = break_it.send(None).await;
            std::future::pending::<()>().await;
        }
        Fate::Truncate => {
            let half =
                Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":");
            let _ = break_it.send(Some(half)).await;
            std::future::pending::<()>().await;
        }
        Fate::Hang => std::future::pending::<()>().await,
    }
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}
