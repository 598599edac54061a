//! The end of a server: what is finished, what is closed, what is cut.

mod common;

use std::time::Duration;

use bartizan_server::{Drained, ServerConfig};
use common::{Running, exchange, h2, read_to_end, read_until, request, soon, write};
use http_body_util::BodyExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn an_exchange_under_way_is_finished() {
    let mut server = Running::plain(&ServerConfig::default());
    let address = server.address;
    let mut stream = server.connect().await;
    write(&mut stream, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.until_begun(1).await;
    let drained = server.drain();
    // The client is told that the connection ends with this answer, and it does.
    let answer = read_to_end(&mut stream).await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("slow"), "{answer}");
    let expected = Drained {
        finished: 1,
        aborted: 0,
    };
    assert_eq!(soon(drained).await.unwrap(), expected);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_streamed_answer_is_finished() {
    let server = Running::plain(&ServerConfig::default());
    let mut stream = server.connect().await;
    write(&mut stream, b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    read_until(&mut stream, "x\r\n").await;
    let drained = server.drain();
    assert!(read_to_end(&mut stream).await.ends_with("y\r\n0\r\n\r\n"));
    assert_eq!(soon(drained).await.unwrap().finished, 1);
}

#[tokio::test]
async fn connections_without_an_exchange_are_closed_at_once() {
    let server = Running::plain(&ServerConfig::default());
    let mut silent = server.connect().await;
    let mut idle = server.connect().await;
    exchange(&mut idle).await;
    let mut half = server.connect().await;
    exchange(&mut half).await;
    write(&mut half, b"GET / HT").await;
    let mut client = h2(server.connect().await).await;
    client.send_request(request("/")).await.unwrap();
    server.until_open(4).await;

    let drained = soon(server.drain()).await.unwrap();
    let expected = Drained {
        finished: 4,
        aborted: 0,
    };
    assert_eq!(drained, expected);
    for stream in [&mut silent, &mut idle, &mut half] {
        assert_eq!(read_to_end(stream).await, "");
    }
    assert!(client.ready().await.is_err());
}

#[tokio::test]
async fn what_is_stuck_is_cut_and_counted() {
    let config = ServerConfig {
        drain_timeout: Duration::from_millis(200),
        ..ServerConfig::default()
    };
    let mut server = Running::plain(&config);
    let mut stuck = server.connect().await;
    write(&mut stuck, b"GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut idle = server.connect().await;
    exchange(&mut idle).await;
    let mut client = h2(server.connect().await).await;
    let stuck2 = tokio::spawn(client.send_request(request("/stuck")));
    server.until_begun(3).await;

    let stats = std::sync::Arc::clone(&server.stats);
    let drained = soon(server.drain()).await.unwrap();
    let expected = Drained {
        finished: 1,
        aborted: 2,
    };
    assert_eq!(drained, expected);
    assert_eq!(read_to_end(&mut stuck).await, "");
    assert!(soon(stuck2).await.unwrap().is_err());
    assert_eq!(stats.current(), 0);
}

#[tokio::test]
async fn http2_exchanges_are_finished() {
    let server = Running::plain(&ServerConfig::default());
    let mut client = h2(server.connect().await).await;
    let slow = tokio::spawn(client.send_request(request("/slow")));
    let streamed = client.send_request(request("/stream")).await.unwrap();
    let drained = server.drain();
    let body = streamed.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "xy");
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    let expected = Drained {
        finished: 1,
        aborted: 0,
    };
    assert_eq!(soon(drained).await.unwrap(), expected);
}

#[tokio::test]
async fn no_time_to_drain() {
    let config = ServerConfig {
        drain_timeout: Duration::ZERO,
        ..ServerConfig::default()
    };
    let mut server = Running::plain(&config);
    let mut stream = server.connect().await;
    write(&mut stream, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.until_begun(1).await;
    let drained = soon(server.drain()).await.unwrap();
    assert_eq!(drained.aborted, 1);
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_server_that_is_dropped_cuts_everything() {
    let server = Running::plain(&ServerConfig::default());
    let address = server.address;
    let mut stream = server.connect().await;
    write(&mut stream, b"GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.until_open(1).await;
    server.abort();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

/// Clients that send one request after another, on two threads, while the server goes away: each
/// request is answered in full, or its connection had been closed before an answer began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_by_halves() {
    for _ in 0..20 {
        let server = Running::plain(&ServerConfig::default());
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let mut stream = server.connect().await;
            clients.spawn(async move {
                let mut answered = 0;
                loop {
                    use tokio::io::{AsyncReadExt, AsyncWriteExt};
                    let post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok";
                    if stream.write_all(post).await.is_err() {
                        return answered;
                    }
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"\r\n\r\nok") {
                        match stream.read_u8().await {
                            Ok(byte) => answer.push(byte),
                            Err(_) => {
                                assert!(answer.is_empty(), "{}", answer.escape_ascii());
                                return answered;
                            }
                        }
                    }
                    answered += 1;
                }
            });
        }
        server.until_open(16).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let drained = soon(server.drain()).await.unwrap();
        assert_eq!((drained.finished, drained.aborted), (16, 0));
        let answered: usize = soon(clients.join_all()).await.into_iter().sum();
        assert!(answered > 0);
    }
}
