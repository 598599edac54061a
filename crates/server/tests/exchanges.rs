//! What reaches the service, and what of its answers reaches the client.

mod common;

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bartizan_server::{BindError, InvalidServer, Server, ServerConfig};
use bartizan_testkit::Probe;
use bytes::Bytes;
use common::{
    GET, Running, answer, bind, exchange, h2, read_to_end, read_until, request, soon, write,
};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tower::service_fn;

#[tokio::test]
async fn both_versions_without_tls() {
    let server = Running::plain(&ServerConfig::default());
    exchange(&mut server.connect().await).await;
    let mut client = h2(server.connect().await).await;
    let response = client.send_request(request("/")).await.unwrap();
    assert_eq!(
        (response.version(), response.status().as_u16()),
        (Version::HTTP_2, 200)
    );
}

#[tokio::test]
async fn http2_can_be_turned_off() {
    let config = ServerConfig {
        http2: false,
        ..ServerConfig::default()
    };
    let server = Running::plain(&config);
    exchange(&mut server.connect().await).await;
    let mut stream = server.connect().await;
    write(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answer = read_to_end(&mut stream).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn a_method_that_begins_like_the_preface() {
    let server = Running::plain(&ServerConfig::default());
    let request = "PROPFIND / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for at in 1..5 {
        let (start, rest) = request.split_at(at);
        let mut stream = server.connect().await;
        write(&mut stream, start.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        write(&mut stream, rest.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{start}: {answer}");
    }
}

#[tokio::test]
async fn requests_know_where_they_come_from() {
    let server = Running::plain(&ServerConfig::default());
    let mut stream = server.connect().await;
    let local = stream.local_addr().unwrap().to_string();
    write(&mut stream, b"GET /remote HTTP/1.1\r\nhost: x\r\n\r\n").await;
    read_until(&mut stream, &local).await;

    let stream = server.connect().await;
    let local = stream.local_addr().unwrap().to_string();
    let mut client = h2(stream).await;
    let response = client.send_request(request("/remote")).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), local);
}

/// The probe panics if it is called unready or as a clone of what was made ready.
#[tokio::test]
async fn a_readied_service_is_the_one_that_is_called() {
    let probe = Probe::new(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let probe = probe.ready_after(3);
    let state = probe.state();
    let server = Running::serve(bind(&ServerConfig::default(), None), probe);
    let mut stream = server.connect().await;
    for _ in 0..3 {
        exchange(&mut stream).await;
    }
    let mut client = h2(server.connect().await).await;
    client.send_request(request("/")).await.unwrap();
    assert_eq!(
        (state.calls(), state.completed(), state.readied()),
        (4, 4, 4)
    );
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_exchange() {
    let probe = Probe::new(|_: Request<Incoming>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let state = probe.state();
    let server = Running::serve(bind(&ServerConfig::default(), None), probe);
    let mut stream = server.connect().await;
    write(&mut stream, GET).await;
    soon(async {
        while state.calls() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    drop(stream);
    server.until_open(0).await;
    assert_eq!(state.cancelled(), 1);
}

/// To close the sending side looks as leaving does, which must cancel.
#[tokio::test]
async fn a_client_that_closes_its_sending_side_hears_only_what_is_answered_at_once() {
    let server = Running::plain(&ServerConfig::default());
    for (path, begins) in [("/remote", "HTTP/1.1 200 "), ("/slow", ""), ("/stream", "")] {
        let mut stream = server.connect().await;
        write(
            &mut stream,
            format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
        )
        .await;
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with(begins), "{path}: {answer}");
        assert!(
            !answer.contains("slow") && !answer.contains('y'),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_error_of_the_service_ends_only_its_connection() {
    let service = service_fn(|request: Request<Incoming>| async move {
        if request.uri().path() == "/fail" {
            return Err(std::io::Error::other("no answer"));
        }
        Ok(Response::new(Full::new(Bytes::new())))
    });
    let server = Running::serve(bind(&ServerConfig::default(), None), service);
    let mut good = server.connect().await;
    exchange(&mut good).await;
    let mut bad = server.connect().await;
    write(&mut bad, b"GET /fail HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(read_to_end(&mut bad).await, "");
    exchange(&mut good).await;
}

#[tokio::test]
async fn a_panic_of_the_service_ends_only_its_connection() {
    let service = service_fn(|request: Request<Incoming>| async move {
        assert_ne!(request.uri().path(), "/panic", "as asked");
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let config = ServerConfig {
        max_connections: 1,
        ..ServerConfig::default()
    };
    let server = Running::serve(bind(&config, None), service);
    let mut bad = server.connect().await;
    write(&mut bad, b"GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(read_to_end(&mut bad).await, "");
    // Its place is free again.
    exchange(&mut server.connect().await).await;
}

#[tokio::test]
async fn addresses_that_cannot_be_listened_on() {
    let config = ServerConfig::default();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let error = Server::bind(&[free, address], &config, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: address in use")
    );
    // TEST-NET-1: no machine has it.
    let foreign: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let error = Server::bind(&[foreign], &config, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot listen on 192.0.2.1:80: address not available"
    );
    let error = Server::bind(&[], &config, None).unwrap_err();
    assert!(matches!(error, BindError::NoAddress));
    let config = ServerConfig {
        idle_timeout: Duration::ZERO,
        ..config
    };
    let error = Server::bind(&[free], &config, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "idle_timeout is zero: no client could be served"
    );
    let config = ServerConfig {
        max_header_bytes: 1 << 20,
        ..ServerConfig::default()
    };
    assert_eq!(
        config.validate(),
        Err(InvalidServer::HeaderBytes { most: 400 * 1024 })
    );
}

#[test]
fn outside_of_a_runtime_it_says_so() {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let error = Server::bind(&[free], &ServerConfig::default(), None).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test]
async fn several_addresses_share_one_bound() {
    let config = ServerConfig {
        max_connections: 1,
        ..ServerConfig::default()
    };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let bound = Server::bind(&[free, free, free], &config, None).unwrap();
    let addresses = bound.local_addrs().to_vec();
    assert_eq!(bound.local_addr(), addresses[0]);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(bound.serve(service_fn(answer), async {
        let _ = stopped.await;
    }));
    for address in addresses.iter().cycle().take(9) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        exchange(&mut stream).await;
    }
    drop(stop);
    soon(served).await.unwrap();
    for address in addresses {
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
