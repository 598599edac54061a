//! A service of Streamable HTTP that says what a test wants, and a client on a pipe.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_protocol::sse;
use bartizan_transport::front::{self, End, FrontLimits};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower::Service;

pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
pub(crate) type Reply = Response<StreamBody<Chunks>>;

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The JSON-RPC method, or the HTTP method of what has no message.
    pub(crate) fn what(&self) -> String {
        let json = self.json();
        match json["method"].as_str() {
            Some(method) => method.to_owned(),
            None if self.body.is_empty() => self.method.to_string(),
            None => "response".to_owned(),
        }
    }
}

type Handler = dyn Fn(Seen) -> BoxFuture<'static, Reply> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Scripted {
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Seen>>>,
    changed: Arc<Notify>,
}

impl Scripted {
    pub(crate) fn new<F>(handler: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self {
            handler: Arc::new(move |seen| Box::pin(handler(seen))),
            seen: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// One that knows how sessions begin and end, and leaves the rest to `handler`.
    pub(crate) fn with_sessions<F>(handler: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let handler = Arc::new(handler);
        Self::new(move |seen| {
            let handler = Arc::clone(&handler);
            async move {
                match seen.what().as_str() {
                    "initialize" => initialized("s1", &seen.json()),
                    "notifications/initialized" => status(202),
                    "DELETE" => status(200),
                    _ => handler(seen).await,
                }
            }
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// What arrived, by name.
    pub(crate) fn names(&self) -> Vec<String> {
        self.seen().iter().map(Seen::what).collect()
    }

    /// Waits until so many of that name have arrived, and gives the last.
    pub(crate) async fn arrived(&self, name: &str, count: usize) -> Seen {
        let arrived = async {
            loop {
                let changed = self.changed.notified();
                let seen = self.seen();
                let mut all = seen.iter().filter(|it| it.what() == name);
                if let Some(found) = all.nth(count - 1) {
                    return found.clone();
                }
                changed.await;
            }
        };
        let arrived = timeout(Duration::from_secs(600), arrived).await;
        arrived.unwrap_or_else(|_| panic!("no {count} {name} in {:?}", self.names()))
    }
}

impl Service<Request<Full<Bytes>>> for Scripted {
    type Response = Reply;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Reply, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            assert_eq!(head.uri.path(), "/mcp/x");
            assert_eq!(head.headers["host"], "localhost");
            let body = body.collect().await.unwrap().to_bytes();
            let seen = Seen {
                method: head.method,
                headers: head.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            this.seen.lock().push(seen.clone());
            this.changed.notify_waiters();
            Ok((this.handler)(seen).await)
        })
    }
}

fn reply(status: u16, kind: Option<&str>, chunks: Chunks) -> Reply {
    let mut builder = Response::builder().status(status);
    if let Some(kind) = kind {
        builder = builder.header("content-type", kind);
    }
    builder.body(StreamBody::new(chunks)).unwrap()
}

pub(crate) fn status(status: u16) -> Reply {
    reply(status, None, Box::pin(stream::empty()))
}

pub(crate) fn json_status(status: u16, text: impl Into<String>) -> Reply {
    let chunk = Ok(Frame::data(Bytes::from(text.into())));
    reply(
        status,
        Some("application/json; charset=utf-8"),
        Box::pin(stream::iter([chunk])),
    )
}

pub(crate) fn json(text: impl Into<String>) -> Reply {
    json_status(200, text)
}

/// A stream of these messages.
pub(crate) fn events(messages: impl Stream<Item = String> + Send + 'static) -> Reply {
    raw_events(messages.map(|message| sse::message(message.as_bytes())))
}

pub(crate) fn raw_events(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Reply {
    let chunks = chunks.map(|chunk| Ok(Frame::data(chunk)));
    reply(200, Some("text/event-stream"), Box::pin(chunks))
}

/// The result of a request.
pub(crate) fn result(request: &Value, result: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#,
        request["id"]
    )
}

pub(crate) fn initialized(session: &str, request: &Value) -> Reply {
    let version = &request["params"]["protocolVersion"];
    let answer = format!(r#"{{"protocolVersion":{version},"capabilities":{{}}}}"#);
    let mut reply = json(result(request, &answer));
    let session = session.parse().unwrap();
    reply.headers_mut().insert("mcp-session-id", session);
    reply
}

/// Notices when it is dropped.
pub(crate) struct Dropped(pub(crate) Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A client, and the front that serves it.
pub(crate) struct Client {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    input: Option<WriteHalf<DuplexStream>>,
    served: JoinHandle<std::io::Result<End>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Client {
    pub(crate) fn of(service: &Scripted) -> Self {
        Self::with(service, FrontLimits::default(), 1 << 20)
    }

    pub(crate) fn with(service: &Scripted, limits: FrontLimits, pipe: usize) -> Self {
        let (client, front) = tokio::io::duplex(pipe);
        let (reader, writer) = tokio::io::split(front);
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(front::serve(
            service.clone(),
            Uri::from_static("/mcp/x"),
            reader,
            writer,
            limits,
            async {
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            },
        ));
        let (output, input) = tokio::io::split(client);
        Self {
            lines: BufReader::new(output).lines(),
            input: Some(input),
            served,
            stop: Some(stop),
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    /// Sends a request.
    pub(crate) async fn ask(&mut self, id: u32, method: &str, params: &str) {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.say(&text).await;
    }

    pub(crate) async fn notify(&mut self, method: &str, params: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        self.say(&text).await;
    }

    /// The next line, as it is.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let line = timeout(Duration::from_secs(600), self.lines.next_line()).await;
        line.expect("something is said").unwrap()
    }

    pub(crate) async fn hear(&mut self) -> Value {
        let line = self.line().await.expect("the front is there");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line}"))
    }

    /// Begins a session of 2025-11-25.
    pub(crate) async fn begin(&mut self) {
        self.ask(0, "initialize", r#"{"protocolVersion":"2025-11-25"}"#)
            .await;
        assert_eq!(self.hear().await["result"]["protocolVersion"], "2025-11-25");
        self.notify("notifications/initialized", "{}").await;
    }

    /// Says no more.
    pub(crate) async fn hang_up(&mut self) {
        let mut input = self.input.take().unwrap();
        input.shutdown().await.unwrap();
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Hears all that is still said, to the end.
    pub(crate) async fn rest(mut self) -> (Vec<String>, End) {
        let mut lines = Vec::new();
        let mut reader = self.lines;
        let served = &mut self.served;
        let mut end = None;
        loop {
            tokio::select! {
                line = reader.next_line() => match line.unwrap() {
                    Some(line) => lines.push(line),
                    None => break,
                },
                served = &mut *served, if end.is_none() => end = Some(served.unwrap().unwrap()),
            }
            if end.is_some() {
                // What was written is all in the pipe.
                while let Ok(Ok(Some(line))) =
                    timeout(Duration::from_millis(1), reader.next_line()).await
                {
                    lines.push(line);
                }
                break;
            }
        }
        let end = match end {
            Some(end) => end,
            None => self.served.await.unwrap().unwrap(),
        };
        (lines, end)
    }

    /// How serving ends while nothing is read and the pipe is open.
    pub(crate) async fn unread_end(&mut self) -> End {
        let served = timeout(Duration::from_secs(600), &mut self.served).await;
        served.expect("it ends").unwrap().unwrap()
    }

    /// Goes away without a word.
    pub(crate) async fn vanish(self) -> std::io::Result<End> {
        let Self {
            lines,
            input,
            served,
            stop,
        } = self;
        drop((lines, input));
        let served = timeout(Duration::from_secs(600), served).await;
        drop(stop);
        served.expect("it ends").unwrap()
    }
}
