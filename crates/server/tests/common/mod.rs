//! A server under test and raw clients for it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{convert::Infallible, error::Error, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_server::{
    Bound, CollectError, Drained, RemoteAddr, Server, ServerConfig, Stats, Tls, collect,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full, channel::Channel};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tower::{Service, service_fn};

pub(crate) const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A server at a free port of loopback.
pub(crate) fn bind(config: &ServerConfig, tls: Option<&Tls>) -> Bound {
    Server::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], config, tls).unwrap()
}

/// A server that runs until it is told to drain.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stats: Arc<Stats>,
    /// How many exchanges have come to [`answer`].
    begun: watch::Receiver<usize>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Drained>,
}

impl Running {
    pub(crate) fn serve<S, B>(bound: Bound, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (address, stats) = (bound.local_addr(), bound.stats());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(bound.serve(service, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stats,
            begun: watch::channel(0).1,
            stop,
            served,
        }
    }

    /// A server that answers as [`answer`] does.
    pub(crate) fn plain(config: &ServerConfig) -> Self {
        let (begin, begun) = watch::channel(0);
        let begin = Arc::new(begin);
        let service = service_fn(move |request| {
            begin.send_modify(|count| *count += 1);
            answer(request)
        });
        Self {
            begun,
            ..Self::serve(bind(config, None), service)
        }
    }

    /// Waits until so many exchanges have begun since the start.
    pub(crate) async fn until_begun(&mut self, count: usize) {
        let begun = soon(self.begun.wait_for(|begun| *begun >= count)).await;
        assert!(begun.is_ok());
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Begins the drain; the handle tells how it ended.
    pub(crate) fn drain(self) -> JoinHandle<Drained> {
        let _ = self.stop.send(());
        self.served
    }

    /// Drops the server's future.
    pub(crate) fn abort(self) {
        self.served.abort();
    }

    /// Waits for so many connections to be open.
    pub(crate) async fn until_open(&self, count: usize) {
        soon(async {
            while self.stats.current() != count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

type Answer = Response<Either<Full<Bytes>, Channel<Bytes, Infallible>>>;

/// `/remote` says where the request came from, `/slow` takes 300 ms, `/stuck` takes for ever,
/// `/stream` sends `x` and half a second later `y`, `/unread` does not read the request's body;
/// anything else returns it if it has at most 100 bytes and comes within 200 ms.
pub(crate) async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let text = |text: String| Response::new(Either::Left(Full::new(Bytes::from(text))));
    Ok(match request.uri().path() {
        "/remote" => match request.extensions().get::<RemoteAddr>() {
            Some(remote) => text(remote.0.to_string()),
            None => text("unknown".to_owned()),
        },
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            text("slow".to_owned())
        }
        "/stuck" => std::future::pending().await,
        "/stream" => {
            let (mut sender, body) = Channel::new(1);
            tokio::spawn(async move {
                let _ = sender.send_data(Bytes::from("x")).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                let _ = sender.send_data(Bytes::from("y")).await;
            });
            Response::new(Either::Right(body))
        }
        "/unread" => text("unread".to_owned()),
        _ => match collect(request.into_body(), 100, Duration::from_millis(200)).await {
            Ok(body) => Response::new(Either::Left(Full::new(body))),
            Err(error) => {
                let mut response = text(error.to_string());
                *response.status_mut() = match error {
                    CollectError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                    CollectError::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
                    _ => StatusCode::BAD_REQUEST,
                };
                response
            }
        },
    })
}

/// Bounds what a broken server would leave waiting.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(5);
    let ended = tokio::time::timeout(limit, future).await;
    ended.expect("it ends within five seconds")
}

/// Writes and expects the server to take it.
pub(crate) async fn write(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
}

/// Reads until the connection ends, however it ends.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8(all).unwrap()
}

/// Reads until what came ends with `end`.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    soon(async {
        while !all.ends_with(end.as_bytes()) {
            all.push(stream.read_u8().await.expect("the connection goes on"));
        }
    })
    .await;
    String::from_utf8(all).unwrap()
}

/// One whole exchange on a connection that stays open, with an empty answer.
pub(crate) async fn exchange(stream: &mut TcpStream) {
    write(stream, GET).await;
    let head = read_until(stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

/// An HTTP/2 connection.
pub(crate) async fn h2<I>(io: I) -> http2::SendRequest<Full<Bytes>>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn request(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(format!("http://server{path}"));
    request.body(Full::default()).unwrap()
}
