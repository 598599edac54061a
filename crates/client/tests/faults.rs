//! What each way to fail says about how far the request got, over real sockets.

use std::{io, net::SocketAddr, time::Duration};

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{Buffered, Client, ClientConfig, ClientError, ConnectStage};
use bartizan_testkit::{Reply, Upstream};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn client() -> Buffered {
    Client::new(&ClientConfig::default()).unwrap().buffered()
}

fn get(url: impl AsRef<str>) -> Request<Full<Bytes>> {
    Request::get(url.as_ref()).body(Full::default()).unwrap()
}

/// Answers each connection's first request with `answer`, then closes.
async fn once(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_head(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        }
    });
    address
}

/// Reads up to the end of a request's headers; `false` if the connection ended before.
async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

#[tokio::test]
async fn refused() {
    let nobody = Upstream::nobody();
    let error = client().send(get(format!("http://{nobody}/"))).await;
    let error = error.unwrap_err();
    assert_eq!(error.fault(), FaultKind::NotSent);
    assert_eq!(error.to_string(), format!("connection refused: {nobody}"));
    let ClientError::Connect(connect) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(connect.stage(), ConnectStage::Tcp);
    assert_eq!(connect.authority().unwrap().as_str(), nobody.to_string());
    assert!(!connect.is_timeout());
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let error = client().send(get("http://nobody.invalid/")).await;
    let error = error.unwrap_err();
    assert_eq!(error.fault(), FaultKind::NotSent);
    assert!(error.to_string().ends_with(": nobody.invalid"), "{error}");
}

#[tokio::test]
async fn a_backlog_that_nobody_empties() {
    // A queue for one connection, and more connections than that: further handshakes are
    // dropped, as by a host that is overwhelmed.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let full = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(full)).await
    {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "the backlog has no end");
    }

    let config = ClientConfig {
        connect_timeout: Duration::from_millis(100),
        ..ClientConfig::default()
    };
    let client = Client::new(&config).unwrap();
    let error = client.send(get(format!("http://{full}/"))).await;
    let error = error.unwrap_err();
    assert_eq!(error.fault(), FaultKind::NotSent);
    assert_eq!(
        error.to_string(),
        format!("connecting took more than 100ms: {full}")
    );
}

#[tokio::test]
async fn closed_without_an_answer() {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::close());
    let error = client().send(get(upstream.url())).await.unwrap_err();
    assert_eq!(error.fault(), FaultKind::Interrupted);
    assert_eq!(
        error.to_string(),
        "exchange interrupted: connection closed before message completed"
    );
    assert_eq!(upstream.hits(), 1, "nothing is sent twice");
}

/// What comes before the request was written ends the connection, and the request stays here.
#[tokio::test]
async fn a_server_that_speaks_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut not_sent = 0;
    // Which side is first is a race; a server that wins it has read nothing.
    for _ in 0..100 {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let busy = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(busy).await.unwrap();
            let mut request = Vec::new();
            let _ = stream.read_to_end(&mut request).await;
            request
        };
        let exchange = async {
            let client = client();
            client.send(get(format!("http://{address}/"))).await
        };
        let (request, answer) = tokio::join!(server, exchange);
        match answer {
            Err(error) if error.fault() == FaultKind::NotSent => {
                assert!(request.is_empty(), "{}", request.escape_ascii());
                assert!(
                    error
                        .to_string()
                        .starts_with("connection closed before the request was written: "),
                    "{error}"
                );
                not_sent += 1;
            }
            Err(error) => assert_eq!(error.fault(), FaultKind::Interrupted),
            Ok(response) => assert_eq!(response.status(), 503),
        }
    }
    assert!(not_sent > 0);
}

#[tokio::test]
async fn a_body_cut_short() {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::truncated());
    let error = client().send(get(upstream.url())).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Interrupted { .. }),
        "{error:?}"
    );
    assert_eq!(error.fault(), FaultKind::Interrupted);
}

#[tokio::test]
async fn chunks_cut_short() {
    let address = once(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    let error = client().send(get(format!("http://{address}/"))).await;
    assert_eq!(error.unwrap_err().fault(), FaultKind::Interrupted);
}

#[tokio::test]
async fn half_a_header() {
    let address = once(b"HTTP/1.1 200 OK\r\ncontent-le").await;
    let error = client().send(get(format!("http://{address}/"))).await;
    assert_eq!(error.unwrap_err().fault(), FaultKind::Interrupted);
}

#[tokio::test]
async fn something_else_than_http() {
    let address = once(b"SSH-2.0-OpenSSH_9.9\r\n").await;
    let error = client().send(get(format!("http://{address}/"))).await;
    let error = error.unwrap_err();
    assert_eq!(error.fault(), FaultKind::Interrupted);
    assert!(
        error.to_string().starts_with("exchange interrupted: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_streamed_body_cut_short() {
    use http_body_util::BodyExt;

    let upstream = Upstream::start().await;
    upstream.reply(Reply::truncated());
    let client = Client::new(&ClientConfig::default()).unwrap();
    let response = client.send(get(upstream.url())).await.unwrap();
    assert_eq!(response.status(), 200);
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.fault(), FaultKind::Interrupted);
}

#[tokio::test]
async fn uris_that_lead_nowhere() {
    let client = client();
    for (uri, reason) in [
        ("/path", "it has no scheme"),
        ("127.0.0.1:80", "it has no scheme"),
        ("ftp://127.0.0.1/", "its scheme is neither http nor https"),
    ] {
        let error = client.send(get(uri)).await.unwrap_err();
        assert_eq!(error.fault(), FaultKind::Caller);
        assert_eq!(error.to_string(), format!("invalid uri: {reason}"));
    }
}

#[tokio::test]
async fn the_version_of_the_request_does_not_matter() {
    let upstream = Upstream::start().await;
    for version in [
        http::Version::HTTP_10,
        http::Version::HTTP_2,
        http::Version::HTTP_3,
    ] {
        let mut request = get(upstream.url());
        *request.version_mut() = version;
        let response = client().send(request).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_11);
    }
}

#[tokio::test]
async fn a_dropped_exchange_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let exchange = tokio::spawn(client().send(get(format!("http://{address}/"))));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_head(&mut stream).await);
    exchange.abort();
    let end = stream.read_u8().await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
}
