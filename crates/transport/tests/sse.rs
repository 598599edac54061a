//! HTTP+SSE against scripted servers, in memory and on real sockets.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{Client, ClientConfig};
use bartizan_protocol::sse;
use bartizan_testkit::{Reply, Upstream};
use bartizan_transport::{
    link::{Ids, Link, LinkError, LinkLimits, Wire},
    sse::{SseError, SseLimits, connect},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tower_service::Service;

/// A body whose chunks a test sends.
#[derive(Debug)]
struct Chunks(mpsc::Receiver<Result<Bytes, String>>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        self.0
            .poll_recv(cx)
            .map(|chunk| chunk.map(|c| c.map(Frame::data)))
    }
}

struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    reply: oneshot::Sender<Response<Chunks>>,
}

impl Asked {
    /// Answers with an empty body.
    fn answer(self, status: u16) {
        self.respond(Response::builder().status(status));
    }

    fn respond(self, builder: http::response::Builder) -> mpsc::Sender<Result<Bytes, String>> {
        let (chunks, body) = mpsc::channel(64);
        let _ = self.reply.send(builder.body(Chunks(body)).unwrap());
        chunks
    }

    fn stream(self) -> mpsc::Sender<Result<Bytes, String>> {
        self.respond(Response::builder().header("content-type", "text/event-stream; charset=utf-8"))
    }
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
struct Broken;

impl Fault for Broken {
    fn fault(&self) -> FaultKind {
        FaultKind::NotSent
    }
}

/// A server in memory: a test answers each request by hand.
#[derive(Clone)]
struct Server(mpsc::UnboundedSender<Asked>);

fn server() -> (Server, mpsc::UnboundedReceiver<Asked>) {
    let (asked, requests) = mpsc::unbounded_channel();
    (Server(asked), requests)
}

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
            let body = body.collect().await.unwrap().to_bytes();
            let (reply, replied) = oneshot::channel();
            let request = Asked {
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body,
                reply,
            };
            asked.send(request).map_err(|_| Broken)?;
            replied.await.map_err(|_| Broken)
        })
    }
}

const URL: &str = "http://127.0.0.1:3001/sse";
const ENDPOINT: &str = "event: endpoint\ndata: /messages?sessionId=1\n\n";

/// A connection, the stream of its server, and the requests to come.
async fn connected(
    limits: SseLimits,
) -> (
    Wire,
    mpsc::Sender<Result<Bytes, String>>,
    mpsc::UnboundedReceiver<Asked>,
) {
    let (service, mut requests) = server();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer t".parse().unwrap());
    let url = Uri::from_static(URL);
    let connecting = tokio::spawn(async move { connect(service, &url, headers, limits).await });
    let get = requests.recv().await.unwrap();
    assert_eq!(
        (&get.method, &get.uri),
        (&Method::GET, &Uri::from_static(URL))
    );
    assert_eq!(get.headers["accept"], "text/event-stream");
    assert_eq!(get.headers["authorization"], "Bearer t");
    let stream = get.stream();
    stream.send(Ok(ENDPOINT.into())).await.unwrap();
    (connecting.await.unwrap().unwrap(), stream, requests)
}

/// Why connecting fails when the server does `act`.
async fn failure(limits: SseLimits, act: impl AsyncFnOnce(Asked)) -> SseError<Broken> {
    let (service, mut requests) = server();
    let url = Uri::from_static(URL);
    let connecting =
        tokio::spawn(async move { connect(service, &url, HeaderMap::new(), limits).await });
    act(requests.recv().await.unwrap()).await;
    connecting.await.unwrap().unwrap_err()
}

fn call(id: u32) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x"}}}}"#).into()
}

fn answer(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":1.10}}}}"#)
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

async fn settle() {
    for _ in 0..40 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn messages_go_to_the_endpoint_and_come_from_the_stream() {
    let (mut wire, stream, mut requests) = connected(SseLimits::default()).await;
    wire.outgoing.send(call(1)).await.unwrap();
    let post = requests.recv().await.unwrap();
    assert_eq!(post.method, Method::POST);
    assert_eq!(post.uri, "http://127.0.0.1:3001/messages?sessionId=1");
    assert_eq!(post.headers["content-type"], "application/json");
    assert_eq!(post.headers["authorization"], "Bearer t");
    assert_eq!(post.body, call(1));
    post.answer(202);
    let event = format!(
        ": hello\n\nevent: message\ndata: {}\n\nevent: other\ndata: x\n\n",
        answer(1)
    );
    let (head, tail) = event.split_at(40);
    stream.send(Ok(head.to_owned().into())).await.unwrap();
    stream.send(Ok(tail.to_owned().into())).await.unwrap();
    stream.send(Ok(sse::message(b"{}"))).await.unwrap();
    assert_eq!(wire.incoming.recv().await, Some(Ok(answer(1).into())));
    assert_eq!(wire.incoming.recv().await, Some(Ok("{}".into())));
}

#[tokio::test(start_paused = true)]
async fn a_message_behind_the_endpoint_in_one_chunk_is_not_lost() {
    let (service, mut requests) = server();
    let url = Uri::from_static("/sse");
    let connecting = tokio::spawn(async move {
        connect(service, &url, HeaderMap::new(), SseLimits::default()).await
    });
    let stream = requests.recv().await.unwrap().stream();
    let chunk = format!("{ENDPOINT}data: {{}}\n\n");
    stream.send(Ok(chunk.into())).await.unwrap();
    let mut wire = connecting.await.unwrap().unwrap();
    assert_eq!(wire.incoming.recv().await, Some(Ok("{}".into())));
    wire.outgoing.send(call(1)).await.unwrap();
    let post = requests.recv().await.unwrap();
    assert_eq!(
        post.uri, "/messages?sessionId=1",
        "only a path, as was given"
    );
}

#[tokio::test(start_paused = true)]
async fn hostile_endpoint_on_another_host_is_refused_and_nothing_is_posted() {
    for endpoint in [
        "http://evil.example/m",
        "//evil.example/m",
        "https://127.0.0.1:3001/m",
    ] {
        let error = failure(SseLimits::default(), async |get: Asked| {
            let event = format!("event: endpoint\ndata: {endpoint}\n\n");
            get.stream().send(Ok(event.into())).await.unwrap();
        })
        .await;
        assert!(matches!(error, SseError::Endpoint(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_names_an_endpoint_is_given_up_in_time() {
    // It says nothing at all, not even headers.
    let mut kept = None;
    let error = failure(SseLimits::default(), async |get| kept = Some(get)).await;
    assert!(matches!(error, SseError::TimedOut));

    // It says other things, for ever.
    let error = failure(SseLimits::default(), async |get: Asked| {
        let stream = get.stream();
        while stream.send(Ok(": wait\n\n".into())).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert!(matches!(error, SseError::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn an_endless_event_is_bounded() {
    let limits = SseLimits {
        event_bytes: 1000,
        ..SseLimits::default()
    };
    let error = failure(limits, async |get: Asked| {
        let stream = get.stream();
        while stream.send(Ok(vec![b'x'; 100].into())).await.is_ok() {}
    })
    .await;
    assert!(matches!(error, SseError::TooLarge(_)), "{error}");

    let (mut wire, stream, _requests) = connected(limits).await;
    tokio::spawn(async move {
        let _ = stream.send(Ok("data: {\"id\":1,\"result\":".into())).await;
        for _ in 0..1000 {
            let _ = stream.send(Ok(vec![b'x'; 100].into())).await;
        }
        let _ = stream.send(Ok("\n\n".into())).await;
        let _ = stream.send(Ok(sse::message(answer(2).as_bytes()))).await;
    });
    let refused = wire.incoming.recv().await.unwrap().unwrap();
    assert_eq!(json(&refused)["error"]["code"], 41301);
    let next = wire.incoming.recv().await.unwrap();
    assert_eq!(next, Ok(answer(2).into()));
    assert!(wire.incoming.recv().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn connecting_says_why_it_failed() {
    let limits = SseLimits::default();
    let error = failure(limits, async |get: Asked| {
        get.respond(
            Response::builder()
                .status(401)
                .header("www-authenticate", "Bearer"),
        );
    })
    .await;
    let SseError::Refused { status, headers } = error else {
        panic!("{error}")
    };
    assert_eq!(
        (status.as_u16(), &headers["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );

    let redirect = failure(limits, async |get: Asked| get.answer(302)).await;
    assert!(
        matches!(redirect, SseError::Refused { .. }),
        "no redirect is followed"
    );
    let error = failure(limits, async |get: Asked| get.answer(200)).await;
    assert!(matches!(error, SseError::NotAStream));
    let error = failure(limits, async |get: Asked| drop(get.stream())).await;
    assert!(matches!(error, SseError::Broken(_)));
    let error = failure(limits, async |get: Asked| {
        get.stream().send(Err("reset".to_owned())).await.unwrap();
    })
    .await;
    assert_eq!(
        error.to_string(),
        "stream broke before it named an endpoint: reset"
    );
    let error = failure(limits, async |get| drop(get)).await;
    assert!(matches!(error, SseError::Service(Broken)));
    let url = Uri::from_static("ftp://a/sse");
    let error = connect(server().0, &url, HeaderMap::new(), limits).await;
    assert!(matches!(error, Err(SseError::Address(_))));
}

#[tokio::test(start_paused = true)]
async fn connecting_can_be_given_up_at_any_await() {
    for stage in 0..3 {
        let (service, mut requests) = server();
        let url = Uri::from_static(URL);
        let connecting = tokio::spawn(async move {
            connect(service, &url, HeaderMap::new(), SseLimits::default()).await
        });
        let get = requests.recv().await.unwrap();
        if stage == 0 {
            connecting.abort();
            settle().await;
            assert!(get.reply.is_closed());
            continue;
        }
        let stream = get.stream();
        if stage == 2 {
            stream.send(Ok("event: endpoint\n".into())).await.unwrap();
        }
        settle().await;
        connecting.abort();
        stream.closed().await;
        assert!(requests.recv().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_fails_its_request_only() {
    let (wire, stream, mut requests) = connected(SseLimits::default()).await;
    let link = Link::new(wire, LinkLimits::default());
    let mut exchanges = Vec::new();
    for id in 1..=4 {
        exchanges.push(link.request(call(id), Ids::Keep).await.unwrap());
    }
    for status in [503, 401, 429] {
        let post = requests.recv().await.unwrap();
        let builder = Response::builder().status(status);
        drop(post.respond(builder.header("retry-after", "7")));
    }
    drop(requests.recv().await.unwrap());
    let mut codes = Vec::new();
    for (exchange, id) in exchanges.iter_mut().zip(1..) {
        let error = json(&exchange.next().await.unwrap().unwrap());
        assert_eq!(error["id"], id);
        codes.push(error["error"]["code"].as_i64().unwrap());
        if id < 4 {
            assert_eq!(error["error"]["data"]["retryAfter"], 7);
        }
    }
    assert_eq!(codes, [50203, 50202, 42901, 50201]);
    let mut fifth = link.request(call(5), Ids::Keep).await.unwrap();
    requests.recv().await.unwrap().answer(200);
    stream
        .send(Ok(sse::message(answer(5).as_bytes())))
        .await
        .unwrap();
    assert_eq!(fifth.next().await, Some(Ok(answer(5).into())));
}

#[tokio::test(start_paused = true)]
async fn an_answer_above_the_limit_fails_its_request_only() {
    let limits = SseLimits {
        event_bytes: 1000,
        ..SseLimits::default()
    };
    let (wire, stream, mut requests) = connected(limits).await;
    let link = Link::new(wire, LinkLimits::default());
    let mut exchanges = Vec::new();
    for id in 1..=2 {
        exchanges.push(link.request(call(id), Ids::Keep).await.unwrap());
        requests.recv().await.unwrap().answer(202);
    }
    let long = "x".repeat(2000);
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{long}"}}}}"#);
    for message in [large, answer(2)] {
        let event = sse::message(message.as_bytes());
        stream.send(Ok(event)).await.unwrap();
    }
    let refused = json(&exchanges[0].next().await.unwrap().unwrap());
    assert_eq!(refused["error"]["code"], 41301, "{refused}");
    assert_eq!(exchanges[1].next().await, Some(Ok(answer(2).into())));

    // As the SDK for TypeScript writes it.
    let mut third = link.request(call(3), Ids::Keep).await.unwrap();
    requests.recv().await.unwrap().answer(202);
    let mut fourth = link.request(call(4), Ids::Keep).await.unwrap();
    requests.recv().await.unwrap().answer(202);
    let large = format!(r#"{{"result":{{"text":"{long}"}},"jsonrpc":"2.0","id":3}}"#);
    for chunk in sse::message(large.as_bytes()).chunks(700) {
        let chunk = Bytes::copy_from_slice(chunk);
        stream.send(Ok(chunk)).await.unwrap();
    }
    let soon = Duration::from_secs(1);
    let refused = tokio::time::timeout(soon, third.next()).await;
    let refused = json(&refused.expect("an end").unwrap().unwrap());
    assert_eq!(refused["error"]["code"], 41301, "{refused}");
    assert_eq!(refused["id"], 3);
    // Whose it is that tells it neither first nor last is known as long as there is only one.
    let large = format!(r#"{{"result":{{"text":"{long}"}},"id":4,"x":1}}"#);
    let event = sse::message(large.as_bytes());
    stream.send(Ok(event)).await.unwrap();
    let refused = json(&fourth.next().await.unwrap().unwrap());
    assert_eq!(refused["error"]["code"], 41301, "{refused}");
    assert_eq!(refused["id"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_ends_the_wire() {
    let (wire, stream, mut requests) = connected(SseLimits::default()).await;
    let link = Link::new(wire, LinkLimits::default());
    let mut exchange = link.request(call(1), Ids::Keep).await.unwrap();
    requests.recv().await.unwrap().answer(404);
    let lost = exchange.next().await;
    let Some(Err(LinkError::Closed { sent: false, .. })) = lost else {
        panic!("the session is lost: {lost:?}")
    };
    stream.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_ends_the_wire_with_its_reason() {
    for (chunk, reason) in [
        (
            Some(Err("reset".to_owned())),
            "the event stream broke: reset",
        ),
        (None, "the event stream ended"),
    ] {
        let (wire, stream, mut requests) = connected(SseLimits::default()).await;
        let link = Link::new(wire, LinkLimits::default());
        let mut exchange = link.request(call(1), Ids::Keep).await.unwrap();
        let post = requests.recv().await.unwrap();
        if let Some(chunk) = chunk {
            stream.send(chunk).await.unwrap();
        }
        drop(stream);
        let Some(Err(LinkError::Closed {
            reason: why,
            sent: true,
        })) = exchange.next().await
        else {
            panic!("the stream is lost")
        };
        assert_eq!(why.to_string(), reason);
        settle().await;
        assert!(post.reply.is_closed(), "what was being posted is given up");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_streams_and_slow_calls_take_as_long_as_they_take() {
    let (wire, stream, mut requests) = connected(SseLimits::default()).await;
    let link = Link::new(wire, LinkLimits::default());
    let mut exchange = link.request(call(1), Ids::Keep).await.unwrap();
    // This server accepts a request when it has answered it.
    let post = requests.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(!post.reply.is_closed());
    stream
        .send(Ok(sse::message(answer(1).as_bytes())))
        .await
        .unwrap();
    post.answer(200);
    assert_eq!(exchange.next().await, Some(Ok(answer(1).into())));
}

/// lemonmade/XcodeMCPKit#210 over HTTP: a server that holds the POST of a call until the call is
/// over must still hear of its cancellation.
#[tokio::test(start_paused = true)]
async fn xcodemcpkit_210_cancel_does_not_wait_until_the_call_is_accepted() {
    let (wire, _stream, mut requests) = connected(SseLimits::default()).await;
    let link = Link::new(wire, LinkLimits::default());
    let exchange = link.request(call(9), Ids::Remap).await.unwrap();
    let post = requests.recv().await.unwrap();
    assert_eq!(post.body, call(1));
    drop(exchange);
    let cancel = requests.recv().await.unwrap();
    assert_eq!(json(&cancel.body)["method"], "notifications/cancelled");
    assert_eq!(json(&cancel.body)["params"]["requestId"], 1);
    settle().await;
    assert!(post.reply.is_closed(), "nobody waits for the call any more");
}

#[tokio::test(start_paused = true)]
async fn nothing_overtakes_initialized_but_requests_run_side_by_side() {
    let (wire, _stream, mut requests) = connected(SseLimits::default()).await;
    wire.outgoing.send(INITIALIZED.into()).await.unwrap();
    wire.outgoing.send(call(1)).await.unwrap();
    wire.outgoing.send(call(2)).await.unwrap();
    let initialized = requests.recv().await.unwrap();
    settle().await;
    assert!(requests.try_recv().is_err());
    initialized.answer(202);
    let first = requests.recv().await.unwrap();
    let second = requests.recv().await.unwrap();
    assert_eq!((&first.body, &second.body), (&call(1), &call(2)));

    // A server that never accepts it does not hold up the rest for ever.
    wire.outgoing.send(INITIALIZED.into()).await.unwrap();
    wire.outgoing.send(call(3)).await.unwrap();
    let _never = requests.recv().await.unwrap();
    assert_eq!(requests.recv().await.unwrap().body, call(3));
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_never_accepted_are_bounded() {
    let limits = SseLimits {
        posts: 2,
        ..SseLimits::default()
    };
    let (mut wire, _stream, mut requests) = connected(limits).await;
    let mut held = Vec::new();
    for id in 1..=3 {
        wire.outgoing.send(call(id)).await.unwrap();
        held.push(requests.recv().await.unwrap());
    }
    let given_up = json(&wire.incoming.recv().await.unwrap().unwrap());
    assert_eq!(
        (&given_up["id"], &given_up["error"]["code"]),
        (&1.into(), &50302.into())
    );
    settle().await;
    let closed: Vec<_> = held.iter().map(|post| post.reply.is_closed()).collect();
    assert_eq!(closed, [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn letting_go_of_the_link_closes_the_stream_after_the_last_words() {
    let (wire, stream, mut requests) = connected(SseLimits::default()).await;
    let link = Link::new(wire, LinkLimits::default());
    let exchange = link.request(call(1), Ids::Keep).await.unwrap();
    let _call = requests.recv().await.unwrap();
    drop(link);
    drop(exchange);
    let cancel = requests.recv().await.unwrap();
    assert_eq!(json(&cancel.body)["method"], "notifications/cancelled");
    settle().await;
    assert!(!stream.is_closed(), "the session lives until it has heard");
    cancel.answer(202);
    stream.closed().await;
    assert!(requests.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn letting_go_is_bounded_in_time() {
    let (wire, stream, mut requests) = connected(SseLimits::default()).await;
    wire.outgoing.send(call(1)).await.unwrap();
    let post = requests.recv().await.unwrap();
    drop(wire);
    stream.closed().await;
    assert!(post.reply.is_closed());
}

/// A whole server on a real socket: a stream, and an endpoint that echoes into it.
async fn echo_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (events, _) = tokio::sync::broadcast::channel::<Bytes>(1024);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let events = events.clone();
            let service =
                hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let events = events.clone();
                    async move { Ok::<_, Infallible>(echo(request, events).await) }
                });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    address
}

async fn echo(
    request: Request<hyper::body::Incoming>,
    events: tokio::sync::broadcast::Sender<Bytes>,
) -> Response<Chunks> {
    let (chunks, body) = mpsc::channel(64);
    if request.method() == Method::GET {
        let mut arriving = events.subscribe();
        tokio::spawn(async move {
            let _ = chunks
                .send(Ok("event: endpoint\r\ndata: /m\r\n\r\n".into()))
                .await;
            while let Ok(event) = arriving.recv().await {
                if chunks.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        });
        let builder = Response::builder().header("content-type", "text/event-stream");
        return builder.body(Chunks(body)).unwrap();
    }
    let body_sent = request.into_body().collect().await.unwrap().to_bytes();
    let message = json(&body_sent);
    if message["id"].is_u64() {
        let id = &message["id"];
        let n = &message["params"]["n"];
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":{n}}}}}"#);
        let _ = events.send(sse::message(answer.as_bytes()));
    }
    let _ = chunks.send(Ok("Accepted".into())).await;
    Response::builder().status(202).body(Chunks(body)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_over_real_sockets() {
    let address = echo_server().await;
    let client = Client::new(&ClientConfig::default()).unwrap();
    let url: Uri = format!("http://{address}/sse").parse().unwrap();
    let wire = connect(client, &url, HeaderMap::new(), SseLimits::default())
        .await
        .unwrap();
    let link = Arc::new(Link::new(wire, LinkLimits::default()));
    let tasks = (0..8_u64).map(|task| {
        let link = Arc::clone(&link);
        tokio::spawn(async move {
            for round in 0..25_u64 {
                let n = task * 100 + round;
                let request = format!(
                    r#"{{"jsonrpc":"2.0","id":{round},"method":"tools/call","params":{{"n":{n}}}}}"#
                );
                let mut exchange = link.request(request.into(), Ids::Remap).await.unwrap();
                let answer = json(&exchange.next().await.unwrap().unwrap());
                assert_eq!(
                    (&answer["id"], &answer["result"]["n"]),
                    (&round.into(), &n.into())
                );
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn real_servers_that_do_not_speak_it() {
    let upstream = Upstream::start().await;
    let client = Client::new(&ClientConfig::default()).unwrap();
    let url: Uri = format!("{}/sse", upstream.url()).parse().unwrap();
    let connect = || connect(client.clone(), &url, HeaderMap::new(), SseLimits::default());
    assert!(matches!(connect().await, Err(SseError::NotAStream)));
    upstream.reply(Reply::status(405));
    assert!(matches!(connect().await, Err(SseError::Refused { status, .. }) if status == 405));
    upstream.reply(Reply::close());
    assert!(matches!(connect().await, Err(SseError::Service(_))));
    let short = Reply::status(200).header("content-type", "text/event-stream");
    upstream.reply(short.body(ENDPOINT));
    let mut wire = connect().await.unwrap();
    let end = wire.incoming.recv().await.unwrap().unwrap_err();
    assert_eq!(end.to_string(), "the event stream ended");
}
