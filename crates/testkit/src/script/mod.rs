//! Servers that answer as a script has it, over TCP or a Unix socket, streams included.

mod cluster;
mod engine;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
    task::JoinSet,
};

pub use self::{cluster::Cluster, engine::Engine};

/// What a [`Script`] was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path, without the query.
    pub path: String,
    /// The query as sent, empty without.
    pub query: String,
    /// All headers as sent.
    pub headers: HeaderMap,
}

impl Asked {
    /// What `request` asks.
    pub fn new<B>(request: &Request<B>) -> Self {
        Self {
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
        }
    }

    /// A value of the query, decoded.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|it| it.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
        Some(decoded.expect("UTF-8").into_owned())
    }
}

/// What a [`Script`] answers.
#[derive(Debug)]
pub enum Answer {
    /// A status and a body of JSON.
    Json(u16, String),
    /// A status, with a `retry-after` of so many seconds.
    Later(u16, u64),
    /// Goes on until the sender is dropped; an error cuts the connection.
    Stream(Frames),
    /// Nothing, for ever.
    Never,
}

/// The frames of a body that goes on.
pub type Frames = mpsc::UnboundedReceiver<io::Result<Bytes>>;
/// Whence they come.
pub type Tap = mpsc::UnboundedSender<io::Result<Bytes>>;

/// How a server refuses whatever it is asked.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// With a status, and these words.
    Status(u16, &'static str),
    /// With a status, until so many seconds have passed.
    Later(u16, u64),
    /// It does not answer at all.
    Silence,
    /// It begins a list, and the connection breaks.
    HalfAList,
}

/// Who answers requests to a [`ScriptServer`].
pub trait Script: Send + Sync + 'static {
    /// What is answered to this.
    fn answer(&self, asked: &Asked) -> Answer;
}

/// The answer as a response, for tests that need no socket.
///
/// # Panics
///
/// When its status is none.
pub async fn respond(script: Arc<dyn Script>, asked: Asked) -> Response<ScriptBody> {
    let (status, wait, body) = match script.answer(&asked) {
        Answer::Json(status, text) => (status, None, ScriptBody::Whole(Some(text.into()))),
        Answer::Later(status, seconds) => (status, Some(seconds), ScriptBody::Whole(None)),
        Answer::Stream(frames) => (200, None, ScriptBody::Stream(frames)),
        Answer::Never => std::future::pending().await,
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).expect("a valid status"))
        .header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = wait {
        response = response.header("retry-after", seconds);
    }
    response.body(body).expect("a valid response")
}

/// The body of an answer.
#[derive(Debug)]
pub enum ScriptBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// What comes next.
    Stream(Frames),
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let data = match self.get_mut() {
            Self::Whole(bytes) => bytes.take().map(Ok),
            Self::Stream(frames) => std::task::ready!(frames.poll_recv(context)),
        };
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }
}

/// A server that closes its listener and all connections when it is dropped.
#[derive(Debug)]
pub struct ScriptServer {
    tasks: JoinSet<()>,
}

impl ScriptServer {
    /// At a port of 127.0.0.1; 0 is any.
    ///
    /// # Panics
    ///
    /// When it is taken.
    pub async fn tcp(port: u16, script: Arc<dyn Script>) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a free loopback port");
        let address = listener.local_addr();
        let address = address.expect("a bound listener has an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                connections.spawn(serve(TokioIo::new(stream), Arc::clone(&script)));
            }
        });
        (Self { tasks }, address)
    }

    /// At a socket in the file system, in the place of what is there.
    ///
    /// # Panics
    ///
    /// When no socket can be there.
    pub fn unix(path: &Path, script: Arc<dyn Script>) -> Self {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).expect("a socket");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                connections.spawn(serve(TokioIo::new(stream), Arc::clone(&script)));
            }
        });
        Self { tasks }
    }

    /// Ends it, in the middle of whatever it does.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn serve(io: impl Read + Write + Unpin, script: Arc<dyn Script>) {
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let script = Arc::clone(&script);
        async move { Ok::<_, Infallible>(respond(script, Asked::new(&request)).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(io, service)
        .await;
}

/// Everything that was asked, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Asked>>);

impl Log {
    pub(crate) fn note(&self, asked: &Asked) {
        self.0.lock().push(asked.clone());
    }

    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().clone()
    }
}
