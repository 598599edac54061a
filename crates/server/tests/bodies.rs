//! Request bodies collected within a size and a time.

mod common;

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_server::{CollectError, ServerConfig, collect};
use bytes::Bytes;
use common::{Running, h2, read_to_end, read_until, write};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;

async fn post(head: &str, body: &[u8]) -> String {
    let server = Running::plain(&ServerConfig::default());
    let mut stream = server.connect().await;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n\r\n");
    write(&mut stream, head.as_bytes()).await;
    write(&mut stream, body).await;
    read_to_end(&mut stream).await
}

#[tokio::test]
async fn whole_bodies() {
    let answer = post("content-length: 5", b"hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nhello"));
    let answer = post("content-length: 0", b"").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let chunks = b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    let answer = post("transfer-encoding: chunked", chunks).await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let most = [b'x'; 100];
    let answer = post("content-length: 100", &most).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn half_a_body_times_out() {
    for (head, half) in [
        ("content-length: 10", &b"hello"[..]),
        ("content-length: 10", b""),
        ("transfer-encoding: chunked", b"a\r\nhello"),
    ] {
        let answer = post(head, half).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.ends_with("request body took more than 200ms"));
    }
}

#[tokio::test]
async fn a_dripping_body_times_out() {
    let server = Running::plain(&ServerConfig::default());
    let mut stream = server.connect().await;
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 90\r\n\r\n";
    write(&mut stream, head).await;
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        for _ in 0..80 {
            let _ = writer.write_all(b"x").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut answer = [0; 12];
    common::soon(tokio::io::AsyncReadExt::read_exact(
        &mut reader,
        &mut answer,
    ))
    .await
    .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    drip.abort();
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    // Nothing of the body is sent: the announced length is enough.
    let answer = post("content-length: 101", b"").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with("request body is larger than 100 bytes"));
    let chunk = format!("65\r\n{}\r\n", "x".repeat(101));
    let answer = post("transfer-encoding: chunked", chunk.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_no_body() {
    let answer = post("transfer-encoding: chunked", b"what?\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn over_http2() {
    let server = Running::plain(&ServerConfig::default());
    let mut client = h2(server.connect().await).await;
    for (size, status) in [(0, 200), (100, 200), (101, 413), (1 << 20, 413)] {
        let body = Full::new(Bytes::from(vec![b'x'; size]));
        let request = Request::post("http://server/").body(body).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{size}");
        if status == 200 {
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes().len(), size);
        }
    }
}

/// On a runtime without timers, setting one would panic.
#[test]
fn a_body_that_is_here_needs_no_timer() {
    let serve = async {
        let (client, server) = tokio::io::duplex(4096);
        let service =
            hyper::service::service_fn(async |request: Request<hyper::body::Incoming>| {
                let body = collect(request.into_body(), 100, Duration::from_secs(1)).await;
                body.map(|body| http::Response::new(Full::new(body)))
            });
        let io = hyper_util::rt::TokioIo::new(server);
        let builder = hyper::server::conn::http1::Builder::new();
        tokio::spawn(builder.serve_connection(io, service));

        let io = hyper_util::rt::TokioIo::new(client);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        for body in ["", "x", "a whole body"] {
            let request = Request::post("/")
                .body(Full::new(Bytes::from(body)))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            let collected = response.into_body().collect().await.unwrap();
            assert_eq!(collected.to_bytes(), body);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_io().build().unwrap();
    runtime.block_on(serve);
}

/// A body of the given pieces; an empty one stands for "not yet".
struct Pieces {
    pieces: VecDeque<Bytes>,
    announced: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.pieces.pop_front() {
            Some(piece) if piece.is_empty() => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(piece) if piece == "!" => {
                Poll::Ready(Some(Err(std::io::Error::other("it broke"))))
            }
            piece => Poll::Ready(piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.announced {
            SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
        } else {
            SizeHint::default()
        }
    }
}

fn pieces(pieces: &[&'static str], announced: bool) -> Pieces {
    let pieces = pieces.iter().copied().map(Bytes::from).collect();
    Pieces { pieces, announced }
}

#[tokio::test(start_paused = true)]
async fn pieces_are_joined() {
    let patience = Duration::from_secs(1);
    for announced in [false, true] {
        for (given, whole) in [
            (&[][..], ""),
            (&["one"], "one"),
            (&["", "", "", "one"], "one"),
            (&["one", "", "two", "", "", "three"], "onetwothree"),
        ] {
            let body = collect(pieces(given, announced), 11, patience).await;
            assert_eq!(body.unwrap(), whole);
        }
        for given in [&["123456789012"][..], &["1234567890", "12"]] {
            let error = collect(pieces(given, announced), 11, patience).await;
            assert!(matches!(error, Err(CollectError::TooLarge { limit: 11 })));
        }
    }
    let broken = collect(pieces(&["one", "!"], false), 11, patience).await;
    assert_eq!(
        broken.unwrap_err().to_string(),
        "request body was cut short: it broke"
    );
}

#[tokio::test]
async fn one_piece_is_not_copied() {
    let piece = Bytes::from(vec![b'x'; 10]);
    let address = piece.as_ptr();
    let body = collect(Full::new(piece), 10, Duration::from_secs(1)).await;
    assert_eq!(body.unwrap().as_ptr(), address);
}

#[tokio::test]
async fn a_body_that_is_refused_does_not_end_the_connection() {
    let server = Running::plain(&ServerConfig::default());
    let mut stream = server.connect().await;
    let body = "x".repeat(101);
    let two = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\n\r\n{body}\
         POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"
    );
    write(&mut stream, two.as_bytes()).await;
    let answers = read_until(&mut stream, "ok").await;
    assert!(answers.starts_with("HTTP/1.1 413 "), "{answers}");
}
