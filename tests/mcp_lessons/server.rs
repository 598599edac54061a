//! A scripted MCP server that can hold streams open and notices who closes them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// A request as the server heard it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The JSON-RPC method; empty if there is none.
    pub fn rpc(&self) -> String {
        self.json()["method"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// What the server says.
pub enum Say {
    /// A body of a known length.
    Whole(u16, Vec<(&'static str, String)>, Bytes),
    /// A body that comes in pieces, of this content type.
    Pieces(&'static str, Pieces),
    /// The same, once this becomes true.
    Later(watch::Receiver<bool>, &'static str, Pieces),
    /// Nothing, ever.
    Nothing,
}

/// The pieces of a body.
pub struct Pieces(mpsc::UnboundedReceiver<Bytes>);

/// Writes the pieces of a body, and knows when nobody reads them any more.
#[derive(Clone, Debug)]
pub struct Pen(mpsc::UnboundedSender<Bytes>);

impl Pen {
    pub fn write(&self, piece: impl Into<Bytes>) {
        let _ = self.0.send(piece.into());
    }

    /// Writes a message as an event.
    pub fn event(&self, message: &Value) {
        self.write(format!("data: {message}\n\n"));
    }

    /// Waits until the reader is gone.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

pub fn pieces() -> (Pen, Pieces) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Pen(sender), Pieces(receiver))
}

/// An event stream, and what writes it.
pub fn events() -> (Pen, Say) {
    let (pen, pieces) = pieces();
    (pen, Say::Pieces("text/event-stream", pieces))
}

pub fn json(value: &Value) -> Say {
    text(value.to_string())
}

pub fn text(body: impl Into<Bytes>) -> Say {
    Say::Whole(
        200,
        vec![("content-type", "application/json".into())],
        body.into(),
    )
}

pub fn status(status: u16) -> Say {
    Say::Whole(status, Vec::new(), Bytes::new())
}

pub fn result(heard: &Heard, result: &Value) -> Say {
    json(&json!({"jsonrpc": "2.0", "id": heard.json()["id"], "result": result}))
}

pub fn error(status: u16, heard: &Heard, code: i64, message: &str) -> Say {
    let body = json!({"jsonrpc": "2.0", "id": heard.json()["id"],
        "error": {"code": code, "message": message}});
    Say::Whole(
        status,
        vec![("content-type", "application/json".into())],
        body.to_string().into(),
    )
}

type Handler = Box<dyn Fn(&Heard) -> Say + Send + Sync>;

/// The server, for as long as it is held.
pub struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    told: Arc<tokio::sync::Notify>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(handler: impl Fn(&Heard) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let told = Arc::new(tokio::sync::Notify::new());
        let shared = (
            Arc::clone(&heard),
            Arc::<Handler>::new(Box::new(handler)),
            Arc::clone(&told),
        );
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let shared = shared.clone();
                let service = hyper::service::service_fn(move |request| {
                    let (heard, handler, told) = shared.clone();
                    async move { Ok::<_, Infallible>(answer(request, &heard, &handler, &told).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            address,
            heard,
            told,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }

    /// How often it heard a JSON-RPC method.
    pub fn count(&self, method: &str) -> usize {
        self.heard().iter().filter(|it| it.rpc() == method).count()
    }

    /// Waits until it has heard something of this kind.
    pub async fn until(&self, what: impl Fn(&Heard) -> bool) -> Heard {
        let found = async {
            loop {
                let told = self.told.notified();
                if let Some(found) = self.heard().into_iter().find(&what) {
                    return found;
                }
                told.await;
            }
        };
        let limit = std::time::Duration::from_secs(10);
        let found = tokio::time::timeout(limit, found).await;
        found.unwrap_or_else(|_| panic!("never heard; but {:#?}", self.heard()))
    }
}

async fn answer(
    request: Request<Incoming>,
    heard: &Mutex<Vec<Heard>>,
    handler: &Handler,
    told: &tokio::sync::Notify,
) -> Response<Either<Full<Bytes>, Pieces>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole request").to_bytes();
    let one = Heard {
        method: head.method,
        headers: head.headers,
        body,
    };
    let said = handler(&one);
    heard.lock().push(one);
    told.notify_waiters();
    match said {
        Say::Whole(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Either::Left(Full::new(body))).expect("valid")
        }
        Say::Pieces(kind, pieces) => in_pieces(kind, pieces),
        Say::Later(mut when, kind, pieces) => {
            let _ = when.wait_for(|it| *it).await;
            in_pieces(kind, pieces)
        }
        Say::Nothing => std::future::pending().await,
    }
}

fn in_pieces(kind: &'static str, pieces: Pieces) -> Response<Either<Full<Bytes>, Pieces>> {
    Response::builder()
        .header("content-type", kind)
        .body(Either::Right(pieces))
        .expect("valid")
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|it| it.map(|it| Ok(Frame::data(it))))
    }
}

/// A server of 2025-11-25 that keeps sessions `s-1`, `s-2` and so on, of which it can lose all.
#[derive(Debug, Default)]
pub struct Sessions {
    begun: AtomicUsize,
    lost: AtomicUsize,
}

impl Sessions {
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Forgets every session so far.
    pub fn lose(&self) {
        self.lost.store(self.begun(), Ordering::SeqCst);
    }

    /// The answer to whatever is no matter of the tests: the handshake, its refusal to speak
    /// 2026-07-28, notifications, goodbyes. `lost` is what it says to a session it lost.
    pub fn housekeeping(&self, heard: &Heard, lost: impl Fn(&Heard) -> Say) -> Option<Say> {
        let method = heard.rpc();
        if method == "initialize" {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let body = json!({"jsonrpc": "2.0", "id": heard.json()["id"], "result": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}},
                "serverInfo": {"name": "scripted", "version": "1"}}});
            let headers = vec![
                ("content-type", "application/json".to_owned()),
                ("mcp-session-id", format!("s-{number}")),
            ];
            return Some(Say::Whole(200, headers, body.to_string().into()));
        }
        let session = heard
            .header("mcp-session-id")
            .and_then(|id| id.strip_prefix("s-"));
        let Some(session) = session.and_then(|number| number.parse::<usize>().ok()) else {
            return Some(error(
                400,
                heard,
                -32000,
                "Bad Request: Server not initialized",
            ));
        };
        if session <= self.lost.load(Ordering::SeqCst) {
            return Some(lost(heard));
        }
        if heard.method == Method::DELETE {
            return Some(status(200));
        }
        let is_aside = heard.json()["id"].is_null() || heard.json()["method"].is_null();
        (heard.method == Method::POST && is_aside).then(|| status(202))
    }
}

/// What a server of 2026-07-28 says to whatever is no matter of the tests.
pub fn modern_housekeeping(heard: &Heard) -> Option<Say> {
    if heard.method != Method::POST {
        return Some(status(405));
    }
    match &*heard.rpc() {
        "initialize" => Some(error(400, heard, -32022, "unsupported protocol version")),
        "server/discover" => Some(result(
            heard,
            &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {"listChanged": true}}, "ttlMs": 0,
                "cacheScope": "private"}),
        )),
        _ => None,
    }
}
