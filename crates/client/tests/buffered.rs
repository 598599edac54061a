//! Collected responses: whole, bounded, and not copied without need.

use std::time::Duration;

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{Buffered, Client, ClientConfig, ClientError};
use bartizan_testkit::{Reply, Upstream};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Service, ServiceExt};

fn buffered(limit: usize) -> Buffered {
    let config = ClientConfig {
        max_response_bytes: limit,
        ..ClientConfig::default()
    };
    Client::new(&config).unwrap().buffered()
}

fn get(url: impl AsRef<str>) -> Request<Full<Bytes>> {
    Request::get(url.as_ref()).body(Full::default()).unwrap()
}

/// The next connection, once its request is there.
async fn asked(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream
}

fn too_large(error: &ClientError, expected: usize) -> bool {
    matches!(error, ClientError::ResponseTooLarge { limit } if *limit == expected)
}

#[tokio::test]
async fn bodies_of_all_sizes_arrive_whole() {
    let upstream = Upstream::start().await;
    let client = buffered(4 << 20);
    for size in [0, 1, 1_000, 9_000, 70_000, 1 << 20, 4 << 20] {
        let body: Bytes = (0..size).map(|i| (i % 251) as u8).collect();
        upstream.reply(Reply::json(body.clone()).header("x-size", &size.to_string()));
        let response = client.send(get(upstream.url())).await.unwrap();
        assert_eq!(response.headers()["x-size"], size.to_string());
        assert!(*response.body() == body, "{size} bytes differ");
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes() {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::json("12345"));
    let client = buffered(5);
    client.send(get(upstream.url())).await.unwrap();
    upstream.reply(Reply::json("123456"));
    let error = client.send(get(upstream.url())).await.unwrap_err();
    assert!(too_large(&error, 5), "{error:?}");
    assert_eq!(error.to_string(), "response body is larger than 5 bytes");
    // The service is alive and would say the same again.
    assert_eq!(error.fault(), FaultKind::Caller);
}

#[tokio::test]
async fn an_announced_length_is_refused_unread() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut stream = asked(&listener).await;
        // Headers only: a client that waits for the body waits for ever.
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await
    });
    let refused = buffered(1_000).send(get(url));
    let refused = tokio::time::timeout(Duration::from_secs(5), refused).await;
    let error = refused.expect("it does not wait").unwrap_err();
    assert!(too_large(&error, 1_000), "{error:?}");
    server.await.unwrap().expect("the connection is closed");
}

#[tokio::test]
async fn chunks_are_counted_as_they_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut stream = asked(&listener).await;
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // Without end, until the client hangs up.
        while stream.write_all(b"400\r\n").await.is_ok()
            && stream.write_all(&[b'x'; 0x400]).await.is_ok()
            && stream.write_all(b"\r\n").await.is_ok()
        {}
    });
    let refused = buffered(50_000).send(get(url));
    let refused = tokio::time::timeout(Duration::from_secs(5), refused).await;
    let error = refused.expect("it does not wait").unwrap_err();
    assert!(too_large(&error, 50_000), "{error:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_head_response_has_a_length_and_no_body() {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::json("longer than the limit"));
    let mut request = get(upstream.url());
    *request.method_mut() = Method::HEAD;
    let response = buffered(5).send(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "21");
    assert_eq!(response.body(), "");
}

#[tokio::test]
async fn it_is_a_tower_service() {
    let upstream = Upstream::start().await;
    let mut service = buffered(100);
    let ready = service.ready().await.unwrap();
    let response = ready.call(get(upstream.url())).await.unwrap();
    assert_eq!(response.body(), "{}");

    let streamed = Client::new(&ClientConfig::default()).unwrap();
    let response = streamed.oneshot(get(upstream.url())).await.unwrap();
    assert_eq!(response.status(), 200);
}
