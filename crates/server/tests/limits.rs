//! What a client may not do: be slow, be silent, be large, be too many.

mod common;

use std::{convert::Infallible, future::ready, time::Duration};

use bartizan_server::ServerConfig;
use bytes::Bytes;
use common::{GET, Running, exchange, h2, read_to_end, read_until, request, soon, write};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, channel::Channel};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::Instant,
};
use tower::service_fn;

/// 100 ms for headers, 300 ms of silence.
fn impatient() -> ServerConfig {
    ServerConfig {
        header_read_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(300),
        ..ServerConfig::default()
    }
}

/// How long something took. The server is promised to be no earlier than the time says; how much
/// later it is depends on the machine.
struct Watch(Instant);

impl Watch {
    #[allow(clippy::disallowed_methods, reason = "measures real sockets")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn took_at_least(&self, millis: u64) {
        assert!(self.0.elapsed() >= Duration::from_millis(millis));
    }
}

#[tokio::test]
async fn half_a_header_is_cut_off() {
    let server = Running::plain(&impatient());
    let mut stream = server.connect().await;
    let watch = Watch::start();
    write(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert_eq!(read_to_end(&mut stream).await, "");
    watch.took_at_least(100);
    server.until_open(0).await;
    assert_eq!(server.stats.cut(), 1);
}

#[tokio::test]
async fn dripping_does_not_help() {
    let server = Running::plain(&impatient());
    let mut stream = server.connect().await;
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        while writer.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let end = async {
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest).await;
    };
    soon(async {
        tokio::select! {
            () = drip => {}
            () = end => {}
        }
    })
    .await;
    server.until_open(0).await;
}

#[tokio::test]
async fn half_a_second_header_is_cut_off_too() {
    let config = ServerConfig {
        idle_timeout: Duration::from_secs(600),
        ..impatient()
    };
    let server = Running::plain(&config);
    let mut stream = server.connect().await;
    exchange(&mut stream).await;
    // Long enough for a sweep to see that the exchange is over.
    tokio::time::sleep(Duration::from_millis(100)).await;
    write(&mut stream, b"GET / HT").await;
    assert_eq!(read_to_end(&mut stream).await, "");
    assert_eq!(server.stats.cut(), 1);
}

#[tokio::test]
async fn silence_from_the_start_is_cut_off() {
    let server = Running::plain(&impatient());
    let mut stream = server.connect().await;
    let watch = Watch::start();
    assert_eq!(read_to_end(&mut stream).await, "");
    watch.took_at_least(100);
}

#[tokio::test]
async fn idle_connections_are_closed_in_time_and_not_before() {
    let server = Running::plain(&impatient());
    let mut stream = server.connect().await;
    // Pauses longer than a header may take, but shorter than silence may last.
    for _ in 0..3 {
        exchange(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    exchange(&mut stream).await;
    let watch = Watch::start();
    assert_eq!(read_to_end(&mut stream).await, "");
    watch.took_at_least(300);
    server.until_open(0).await;
    assert_eq!(server.stats.cut(), 0, "closed, not cut");
}

#[tokio::test]
async fn who_takes_no_answers_is_cut_off() {
    let answer = |_| {
        ready(Ok::<_, Infallible>(Response::new(Full::from(vec![
            b'x';
            8 << 20
        ]))))
    };
    let server = Running::serve(common::bind(&impatient(), None), service_fn(answer));
    let mut stream = server.connect().await;
    let watch = Watch::start();
    write(&mut stream, &GET.repeat(4)).await;
    server.until_open(1).await;
    server.until_open(0).await;
    watch.took_at_least(300);
    assert_eq!(server.stats.cut(), 1);
    drop(stream);
}

#[tokio::test]
async fn who_takes_answers_slowly_gets_all_of_them() {
    let answer = |_| {
        ready(Ok::<_, Infallible>(Response::new(Full::from(vec![
            b'x';
            8 << 20
        ]))))
    };
    let config = ServerConfig {
        idle_timeout: Duration::from_secs(1),
        ..ServerConfig::default()
    };
    let server = Running::serve(common::bind(&config, None), service_fn(answer));
    let mut stream = server.connect().await;
    write(&mut stream, GET).await;
    let (mut bytes, mut chunk) = (0, vec![0; 1 << 20]);
    while bytes < 8 << 20 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        bytes += soon(stream.read(&mut chunk)).await.unwrap();
    }
    assert_eq!(server.stats.cut(), 0);
}

/// Over HTTP/2 a client holds up one answer by giving it no window.
#[tokio::test]
async fn what_is_not_taken_of_a_connection_is_given_up() {
    let (given_up, mut notices) = mpsc::unbounded_channel();
    let answer = move |request: Request<Incoming>| {
        let given_up = given_up.clone();
        async move {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
            let path = request.uri().path().to_owned();
            tokio::spawn(async move {
                let piece = Bytes::from(vec![b'x'; 256 << 10]);
                let mut left = 4_u32;
                while left > 0 && sender.send_data(piece.clone()).await.is_ok() {
                    left -= 1;
                }
                let _ = given_up.send((path, left));
            });
            Ok::<_, Infallible>(Response::new(body))
        }
    };
    let server = Running::serve(common::bind(&impatient(), None), service_fn(answer));
    let stream = TokioIo::new(server.connect().await);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(100_000);
    let (mut client, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);

    let watch = Watch::start();
    let untaken = client.send_request(request("/untaken")).await.unwrap();
    // The others of the connection come and go meanwhile, whatever one of them does.
    let is_given_up = |(path, left): (String, u32)| path == "/untaken" && left > 0;
    soon(async {
        while !notices.try_recv().is_ok_and(is_given_up) {
            let other = client.send_request(request("/taken")).await.unwrap();
            let body = other.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.len(), 1 << 20);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    watch.took_at_least(300);
    assert!(soon(untaken.into_body().collect()).await.is_err());
    assert_eq!((server.stats.total(), server.stats.cut()), (1, 0));
}

#[tokio::test]
async fn who_takes_an_answer_of_http2_slowly_gets_all_of_it() {
    let answer = |_| {
        ready(Ok::<_, Infallible>(Response::new(Full::from(vec![
            b'x';
            1 << 18
        ]))))
    };
    let server = Running::serve(common::bind(&impatient(), None), service_fn(answer));
    let stream = TokioIo::new(server.connect().await);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // A pause for each of 16 pieces of the answer.
    builder.initial_stream_window_size(16 << 10);
    let (mut client, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let watch = Watch::start();
    let mut body = client.send_request(request("/")).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(1 << 18));
    let mut bytes = 0;
    while let Some(frame) = soon(body.frame()).await {
        bytes += frame.unwrap().into_data().unwrap().len();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bytes, 1 << 18);
    watch.took_at_least(600);
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let server = Running::plain(&impatient());
    let mut client = h2(server.connect().await).await;
    let watch = Watch::start();
    client.send_request(request("/")).await.unwrap();
    soon(async {
        while client.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    watch.took_at_least(300);
    server.until_open(0).await;
}

/// Between requests, HTTP/2 has frames that are no header.
#[tokio::test]
async fn an_http2_client_may_take_its_time_to_ask() {
    let config = ServerConfig {
        idle_timeout: Duration::from_secs(600),
        ..impatient()
    };
    let server = Running::plain(&config);
    let mut client = h2(server.connect().await).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send_request(request("/")).await.unwrap();
    }
    assert_eq!(server.stats.total(), 1);
}

#[tokio::test]
async fn long_exchanges_are_nobodys_business_here() {
    let config = ServerConfig {
        idle_timeout: Duration::from_millis(50),
        header_read_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let server = Running::plain(&config);
    // A pause of half a second within the answer.
    let mut stream = server.connect().await;
    write(&mut stream, b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = read_until(&mut stream, "0\r\n\r\n").await;
    assert!(
        answer.contains("x\r\n") && answer.contains("y\r\n"),
        "{answer}"
    );
    // A pause of 300 ms before it.
    let mut stream = server.connect().await;
    write(&mut stream, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    read_until(&mut stream, "slow").await;
    // And over HTTP/2.
    let mut client = h2(server.connect().await).await;
    let streamed = client.send_request(request("/stream")).await.unwrap();
    let body = streamed.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "xy");
}

#[tokio::test]
async fn headers_that_are_too_large() {
    let config = ServerConfig {
        max_header_bytes: 2_000,
        ..ServerConfig::default()
    };
    let server = Running::plain(&config);
    for (size, status) in [(1_000, "200"), (3_000, "431"), (300_000, "431")] {
        let mut stream = server.connect().await;
        let head = format!(
            "GET / HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n",
            "x".repeat(size)
        );
        // The server may hang up before it has read all of it.
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        let expected = format!("HTTP/1.1 {status} ");
        // What a hang-up with unread bytes leaves of the answer is up to the kernel.
        assert!(answer.starts_with(&expected) || size > 100_000, "{answer}");
    }
}

#[tokio::test]
async fn headers_that_are_too_many() {
    for max_headers in [100, 20] {
        let config = ServerConfig {
            max_headers,
            ..ServerConfig::default()
        };
        let server = Running::plain(&config);
        for (count, status) in [(max_headers, "200"), (max_headers + 1, "431")] {
            let mut stream = server.connect().await;
            let headers = "x: y\r\n".repeat(count - 1);
            let head = format!("GET / HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
            write(&mut stream, head.as_bytes()).await;
            let answer = read_to_end(&mut stream).await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&expected), "{count} headers: {answer}");
        }
    }
}

#[tokio::test]
async fn at_most_so_many_connections() {
    let config = ServerConfig {
        max_connections: 2,
        ..ServerConfig::default()
    };
    let server = Running::plain(&config);
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    exchange(&mut one).await;
    exchange(&mut two).await;
    // The kernel lets the third in; the server does not.
    let mut three = server.connect().await;
    write(&mut three, GET).await;
    let waited = Duration::from_millis(100);
    let answered = tokio::time::timeout(waited, three.readable()).await;
    assert!(answered.is_err(), "it is not served");
    assert_eq!(server.stats.current(), 2);
    // The others go on, and the third takes the place of the first that leaves.
    exchange(&mut two).await;
    drop(one);
    read_until(&mut three, "\r\n\r\n").await;
    assert_eq!((server.stats.current(), server.stats.total()), (2, 3));
    // A client that leaves while it waits costs no place.
    drop(server.connect().await);
    drop(two);
    exchange(&mut server.connect().await).await;
    exchange(&mut three).await;
    drop(three);
    server.until_open(0).await;
}

#[tokio::test]
async fn silent_clients_free_their_places() {
    let config = ServerConfig {
        max_connections: 1,
        ..impatient()
    };
    let server = Running::plain(&config);
    let _silent = server.connect().await;
    exchange(&mut server.connect().await).await;
    assert_eq!(server.stats.cut(), 1);
}
