//! Kept connections: reuse, age, and the moment in which a server closes one.

use std::{
    collections::HashMap,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{Client, ClientConfig};
use bartizan_testkit::{Reply, Upstream};
use bartizan_workers::Workers;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn post(url: impl AsRef<str>) -> Request<Full<Bytes>> {
    Request::post(url.as_ref()).body(Full::default()).unwrap()
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let upstream = Upstream::start().await;
    let client = Client::new(&ClientConfig::default()).unwrap().buffered();
    for _ in 0..5 {
        let response = client.clone().send(post(upstream.url())).await.unwrap();
        assert_eq!(response.body(), "{}");
    }
    assert_eq!(upstream.connections(), 1);
    let sent = &upstream.requests()[0];
    assert_eq!(sent.header("host"), Some(&*upstream.address().to_string()));
    assert_eq!(sent.headers.len(), 2, "only host and length: {sent:?}");
}

/// A connection belongs to the thread whose runtime drives it: taken to another, each of its
/// exchanges would wake both.
#[tokio::test]
async fn each_worker_keeps_connections_of_its_own() {
    let upstream = Upstream::start().await;
    let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
    let client = Client::new(&ClientConfig::default()).unwrap().buffered();
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    for _ in 0..2 {
        let (client, url, tell) = (client.clone(), upstream.url(), tell.clone());
        workers.spawner().spawn(async move {
            for _ in 0..5 {
                let exchange = client.clone().send(post(&url)).await;
                tell.send(exchange.unwrap().status()).await.unwrap();
            }
            // So that the next task goes to the other worker, and finds this one's idle.
            std::future::pending::<()>().await;
        });
        for _ in 0..5 {
            assert_eq!(told.recv().await.unwrap(), 200);
        }
    }
    assert_eq!(upstream.connections(), 2);
    client.send(post(upstream.url())).await.unwrap();
    assert_eq!(upstream.connections(), 3, "no worker runs here");
}

#[tokio::test]
async fn workers_keep_equal_shares_of_the_idle_connections() {
    let upstream = Upstream::start().await;
    upstream.handle(|_| Reply::status(200).after(Duration::from_millis(20)));
    let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
    let config = ClientConfig {
        max_idle_per_host: 3,
        ..ClientConfig::default()
    };
    let client = Client::new(&config).unwrap().buffered();
    let (tell, told) = tokio::sync::oneshot::channel();
    let url = upstream.url();
    workers.spawner().spawn(async move {
        for _ in 0..2 {
            let sent = (0..4).map(|_| {
                let client = client.clone();
                let request = post(&url);
                tokio::spawn(async move { client.send(request).await })
            });
            for exchange in sent.collect::<Vec<_>>() {
                exchange.await.unwrap().unwrap();
            }
        }
        tell.send(()).unwrap();
    });
    told.await.unwrap();
    assert_eq!(upstream.connections(), 4 + 2, "two of the four were kept");
}

#[tokio::test]
async fn without_a_pool_each_exchange_connects() {
    let upstream = Upstream::start().await;
    let config = ClientConfig {
        max_idle_per_host: 0,
        ..ClientConfig::default()
    };
    let client = Client::new(&config).unwrap().buffered();
    for _ in 0..3 {
        client.send(post(upstream.url())).await.unwrap();
    }
    assert_eq!(upstream.connections(), 3);
}

/// The pool evicts without being asked: it has its own timer.
#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let config = ClientConfig {
        pool_idle_timeout: Duration::from_millis(100),
        ..ClientConfig::default()
    };
    let client = Client::new(&config).unwrap().buffered();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.write_all(OK).await.unwrap();
        read_head(&mut stream).await
    });
    client.send(post(url)).await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(5), server).await;
    assert_eq!(next.expect("the pool closes it").unwrap(), None);
}

#[tokio::test]
async fn redirects_are_answers() {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::status(307).header("location", "/elsewhere"));
    let client = Client::new(&ClientConfig::default()).unwrap();
    let response = client.send(post(upstream.url())).await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (answered, wait_answered) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.write_all(OK).await.unwrap();
        // Waits for the client to have the answer, so that the connection is idle.
        let () = wait_answered.await.unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.write_all(OK).await.unwrap();
        stream
    });
    let client = Client::new(&ClientConfig::default()).unwrap().buffered();
    client.send(post(&url)).await.unwrap();
    answered.send(()).unwrap();
    // Whole exchanges with another server: the news of the closed connection arrives meanwhile.
    let other = Upstream::start().await;
    for _ in 0..10 {
        client.send(post(other.url())).await.unwrap();
    }
    client.send(post(&url)).await.unwrap();
    server.await.unwrap();
}

/// The race that keep-alive cannot avoid: the server closes the connection just when it is used.
#[tokio::test]
async fn a_connection_closed_as_it_is_used_interrupts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.write_all(OK).await.unwrap();
        // The first byte of the next request.
        stream.read_u8().await.unwrap();
        drop(stream);
        listener
    });
    let client = Client::new(&ClientConfig::default()).unwrap().buffered();
    client.send(post(&url)).await.unwrap();
    let error = client.send(post(&url)).await.unwrap_err();
    assert_eq!(error.fault(), FaultKind::Interrupted, "{error}");
    // Nobody connected again to send it a second time.
    let listener = server.await.unwrap();
    let again = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(again.is_err());
}

/// Against a server that closes connections at every bad moment: a request that is said not to
/// have been sent was never seen, and none was seen twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_sent_is_the_truth() {
    const CALLERS: usize = 8;
    const CALLS: usize = 150;

    let seen: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let address = moody_server(Arc::clone(&seen)).await;
    let client = Client::new(&ClientConfig::default()).unwrap().buffered();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let client = client.clone();
        callers.spawn(async move {
            let mut outcomes = Vec::new();
            for call in 0..CALLS {
                let path = format!("/{caller}-{call}");
                let sent = client.send(post(format!("http://{address}{path}")));
                let outcome = match tokio::time::timeout(Duration::from_secs(2), sent).await {
                    Ok(answered) => answered.map(drop).map_err(|error| error.fault()),
                    // hyper#4122: lost between two tasks of hyper.
                    Err(_) => Err(FaultKind::TimedOut),
                };
                outcomes.push((path, outcome));
            }
            outcomes
        });
    }
    let outcomes = callers.join_all().await.into_iter().flatten();
    let seen = seen.lock().unwrap();
    let (mut answered, mut not_sent, mut interrupted, mut lost) = (0, 0, 0, 0);
    for (path, outcome) in outcomes {
        let times = seen.get(&path).copied().unwrap_or(0);
        match outcome {
            Ok(_) => {
                answered += 1;
                assert_eq!(times, 1, "{path} was answered");
            }
            Err(FaultKind::NotSent) => {
                not_sent += 1;
                assert_eq!(times, 0, "{path} was said not to be sent");
            }
            Err(FaultKind::TimedOut) => {
                lost += 1;
                assert_eq!(times, 0, "{path} was neither written nor handed back");
            }
            Err(_) => {
                interrupted += 1;
                assert!(times <= 1, "{path} was sent {times} times");
            }
        }
    }
    assert!(answered > 0 && interrupted > 0, "{answered} {interrupted}");
    assert_eq!(answered + not_sent + interrupted + lost, CALLERS * CALLS);
    assert!(
        lost <= 2,
        "a rare race of hyper's has become frequent: {lost}"
    );
}

/// Closes at once, after a while of silence, after a request, after half an answer, or after
/// some answers; the choice follows from the number of the connection.
async fn moody_server(seen: Arc<Mutex<HashMap<String, usize>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for mood in 0_u32.. {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let note = |head: String| {
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    *seen.lock().unwrap().entry(path).or_default() += 1;
                };
                match mood % 5 {
                    0 => {}
                    1 => tokio::task::yield_now().await,
                    2 => {
                        if let Some(head) = read_head(&mut stream).await {
                            note(head);
                        }
                    }
                    3 => {
                        if let Some(head) = read_head(&mut stream).await {
                            note(head);
                            let _ = stream.write_all(&OK[..20]).await;
                        }
                    }
                    _ => {
                        for _ in 0..mood % 7 {
                            let Some(head) = read_head(&mut stream).await else {
                                return;
                            };
                            note(head);
                            if stream.write_all(OK).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    address
}
