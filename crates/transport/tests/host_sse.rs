//! A host before scripted servers of HTTP+SSE.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_clock::Clock;
use bartizan_protocol::{edit, sse};
use bartizan_transport::{
    host::{Connect, Host, HostBody, HostError, HostLimits},
    sse::SseLimits,
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::{mpsc, oneshot};
use tower_service::Service;

type Chunks = Pin<Box<dyn http_body::Body<Data = Bytes, Error = String> + Send>>;

/// A request that a test answers by hand.
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    reply: oneshot::Sender<Result<Response<Chunks>, Broken>>,
}

/// How far a request got that has no answer.
#[derive(Debug, thiserror::Error)]
#[error("no connection")]
struct Broken(FaultKind);

impl Fault for Broken {
    fn fault(&self) -> FaultKind {
        self.0
    }
}

impl Asked {
    fn answer(self, response: http::response::Builder) -> mpsc::Sender<Bytes> {
        let (sender, chunks) = mpsc::channel::<Bytes>(16);
        let chunks = stream::unfold(chunks, |mut chunks| async move {
            let chunk = chunks.recv().await?;
            Some((Ok::<_, String>(Frame::data(chunk)), chunks))
        });
        let body: Chunks = Box::pin(StreamBody::new(chunks));
        let _ = self.reply.send(Ok(response.body(body).unwrap()));
        sender
    }

    fn status(self, status: u16) {
        self.answer(Response::builder().status(status));
    }

    /// The server is not asked.
    fn reject(self) {
        let rejected = FaultKind::Rejected { retry_after: None };
        let _ = self.reply.send(Err(Broken(rejected)));
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A server in memory.
#[derive(Clone)]
struct Server(mpsc::UnboundedSender<Asked>);

impl Service<Request<Full<Bytes>>> for Server {
    type Response = Response<Chunks>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Chunks>, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let asked = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let (reply, replied) = oneshot::channel();
            let request = Asked {
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body: body.collect().await.unwrap().to_bytes(),
                reply,
            };
            asked
                .send(request)
                .map_err(|_| Broken(FaultKind::NotSent))?;
            replied.await.unwrap_or(Err(Broken(FaultKind::Interrupted)))
        })
    }
}

fn host() -> (Host, mpsc::UnboundedReceiver<Asked>) {
    let (asked, requests) = mpsc::unbounded_channel();
    let url = Uri::from_static("http://127.0.0.1:3001/sse");
    let connect = Connect::sse(Server(asked), url, SseLimits::default());
    (
        Host::new(connect, HostLimits::default(), Clock::tokio()),
        requests,
    )
}

fn initialize() -> Request<Bytes> {
    message(None, "initialize", "Bearer one")
}

fn message(session: Option<&str>, method: &str, credential: &str) -> Request<Bytes> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
    // A service may want its key in the query instead.
    let key = credential.trim_start_matches("Bearer ");
    let mut request = Request::post(format!("/?key={key}"))
        .header("authorization", credential)
        .header("x-tenant", "acme")
        .header("traceparent", "00-1")
        .header("mcp-method", method);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.body(body.into()).unwrap()
}

fn result(id: &str) -> Bytes {
    let result = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    sse::message(result.as_bytes())
}

/// Opens the stream of a session and answers its handshake.
async fn begin(
    host: &Host,
    requests: &mut mpsc::UnboundedReceiver<Asked>,
) -> (String, mpsc::Sender<Bytes>) {
    let (begun, stream) = tokio::join!(host.call(initialize(), 0), async {
        let get = requests.recv().await.unwrap();
        assert_eq!(get.method, Method::GET);
        assert_eq!(get.uri, "http://127.0.0.1:3001/sse?key=one");
        assert_eq!(get.header("authorization"), Some("Bearer one"));
        assert_eq!(get.header("x-tenant"), Some("acme"));
        assert_eq!(get.header("traceparent"), None);
        assert_eq!(get.header("mcp-method"), None);
        let stream = get.answer(Response::builder().header("content-type", "text/event-stream"));
        let endpoint = Bytes::from_static(b"event: endpoint\ndata: /messages\n\n");
        stream.send(endpoint).await.unwrap();
        let post = requests.recv().await.unwrap();
        assert_eq!(post.uri, "http://127.0.0.1:3001/messages?key=one");
        assert_eq!(post.header("authorization"), Some("Bearer one"));
        assert_eq!(post.header("content-type"), Some("application/json"));
        assert_eq!(edit::get(&post.body, &["method"]), Some("\"initialize\""));
        post.status(202);
        stream.send(result("1")).await.unwrap();
        stream
    });
    let session = begun.unwrap().headers()["mcp-session-id"].clone();
    (session.to_str().unwrap().to_owned(), stream)
}

async fn whole(answer: Response<HostBody>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_a_stream_of_its_own() {
    let (host, mut requests) = host();
    let (session, stream) = begin(&host, &mut requests).await;
    let (answer, ()) = tokio::join!(
        host.call(message(Some(&session), "ping", "Bearer one"), 0),
        async {
            requests.recv().await.unwrap().status(202);
            stream.send(result("1")).await.unwrap();
        }
    );
    assert_eq!(
        whole(answer.unwrap()).await,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#
    );
    let end = Request::delete("/").header("mcp-session-id", &session);
    let ended = host.call(end.body(Bytes::new()).unwrap(), 0).await.unwrap();
    assert_eq!(ended.status(), StatusCode::OK);
    // Nobody reads the stream any more.
    stream.closed().await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn d15_a_refreshed_credential_takes_the_place_of_the_old_one() {
    let (host, mut requests) = host();
    let (session, stream) = begin(&host, &mut requests).await;
    let (refused, ()) = tokio::join!(
        host.call(message(Some(&session), "ping", "Bearer one"), 0),
        async { requests.recv().await.unwrap().status(401) }
    );
    // Whoever injects credentials learns of it as from any server of Streamable HTTP.
    assert_eq!(refused.unwrap().status(), StatusCode::UNAUTHORIZED);
    let (answer, ()) = tokio::join!(
        host.call(message(Some(&session), "ping", "Bearer two"), 0),
        async {
            let post = requests.recv().await.unwrap();
            assert_eq!(post.header("authorization"), Some("Bearer two"));
            post.status(202);
            stream.send(result("1")).await.unwrap();
        }
    );
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_that_lets_nobody_in_is_passed_on() {
    let (host, mut requests) = host();
    let (refused, ()) = tokio::join!(host.call(initialize(), 0), async {
        let get = requests.recv().await.unwrap();
        get.answer(
            Response::builder()
                .status(401)
                .header("www-authenticate", "Bearer realm=\"x\"")
                .header("set-cookie", "a=b"),
        );
    });
    let refused = refused.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"x\"");
    assert!(!refused.headers().contains_key("set-cookie"));
    assert_eq!(host.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_limited_message_says_when_to_come_back() {
    let (host, mut requests) = host();
    let (session, _stream) = begin(&host, &mut requests).await;
    let (limited, ()) = tokio::join!(
        host.call(message(Some(&session), "ping", "Bearer one"), 0),
        async {
            let post = requests.recv().await.unwrap();
            post.answer(Response::builder().status(429).header("retry-after", "3"));
        }
    );
    let limited = limited.unwrap();
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers()["retry-after"], "3");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_got_nothing() {
    let (host, requests) = host();
    drop(requests);
    let failed = host.call(initialize(), 0).await;
    assert!(
        matches!(failed, Err(HostError::Unsent { .. })),
        "{failed:?}"
    );
    assert_eq!(host.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_asked_for_a_want_of_our_own_has_not_failed() {
    let (host, mut requests) = host();
    let (rejected, ()) = tokio::join!(host.call(initialize(), 0), async {
        requests.recv().await.unwrap().reject();
    });
    assert!(
        matches!(rejected, Err(HostError::Overloaded { .. })),
        "{rejected:?}"
    );
    assert!(!host.failed_within(Duration::from_secs(60)));
    let (session, _stream) = begin(&host, &mut requests).await;
    let (rejected, ()) = tokio::join!(
        host.call(message(Some(&session), "tools/call", "Bearer one"), 0),
        async { requests.recv().await.unwrap().reject() }
    );
    assert!(
        matches!(rejected, Err(HostError::Overloaded { .. })),
        "{rejected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn d2_a_server_that_forgot_the_session_has_another_begun() {
    let (host, mut requests) = host();
    let (session, stream) = begin(&host, &mut requests).await;
    let (lost, ()) = tokio::join!(
        host.call(message(Some(&session), "tools/call", "Bearer one"), 0),
        async { requests.recv().await.unwrap().status(404) }
    );
    assert_eq!(lost.unwrap().status(), StatusCode::NOT_FOUND);
    stream.closed().await;
    begin(&host, &mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn d2_a_call_that_may_have_run_is_not_said_to_be_lost() {
    let (host, mut requests) = host();
    let (session, _stream) = begin(&host, &mut requests).await;
    let mut other = message(Some(&session), "ping", "Bearer one");
    *other.body_mut() = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#.into();
    let (first, second, ()) = tokio::join!(
        host.call(message(Some(&session), "tools/call", "Bearer one"), 0),
        host.call(other, 0),
        async {
            requests.recv().await.unwrap().status(202);
            requests.recv().await.unwrap().status(404);
        }
    );
    assert!(matches!(first, Err(HostError::Interrupted { .. })));
    assert_eq!(second.unwrap().status(), StatusCode::NOT_FOUND);
}

/// A server may not know a notification, or a balancer not send it where the session is.
#[tokio::test(start_paused = true)]
async fn a_notification_that_is_not_found_ends_no_call() {
    let (host, mut requests) = host();
    let (session, stream) = begin(&host, &mut requests).await;
    let mut notification = message(Some(&session), "ping", "Bearer one");
    let body = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
    *notification.body_mut() = body.into();
    let (called, told, ()) = tokio::join!(
        host.call(message(Some(&session), "tools/call", "Bearer one"), 0),
        host.call(notification, 0),
        async {
            let call = requests.recv().await.unwrap();
            let id = edit::get(&call.body, &["id"]).unwrap().to_owned();
            call.status(202);
            requests.recv().await.unwrap().status(404);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            let _ = stream.send(sse::message(answer.as_bytes())).await;
        }
    );
    assert_eq!(told.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(called.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_interrupts_what_is_under_way() {
    let (host, mut requests) = host();
    let (session, stream) = begin(&host, &mut requests).await;
    let (failed, ()) = tokio::join!(
        host.call(message(Some(&session), "tools/call", "Bearer one"), 0),
        async {
            requests.recv().await.unwrap().status(202);
            drop(stream);
        }
    );
    assert!(
        matches!(failed, Err(HostError::Interrupted { .. })),
        "{failed:?}"
    );
    let lost = host
        .call(message(Some(&session), "ping", "Bearer one"), 0)
        .await;
    assert_eq!(lost.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_a_revision_that_the_transport_cannot_have() {
    let (host, mut requests) = host();
    let mut probe = message(None, "server/discover", "Bearer one");
    let version = "2026-07-28".parse().unwrap();
    probe.headers_mut().insert("mcp-protocol-version", version);
    let answer = host.call(probe, 0).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(requests.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_closed() {
    let (host, mut requests) = host();
    let (_, stream) = begin(&host, &mut requests).await;
    let start = Clock::tokio().now();
    stream.closed().await;
    let after = Clock::tokio().now() - start;
    assert_eq!(after.as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_dropped_closes_its_streams() {
    let (host, mut requests) = host();
    let (_, stream) = begin(&host, &mut requests).await;
    drop(host);
    stream.closed().await;
}
