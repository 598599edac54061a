//! Connections that are served on threads of their own.

mod common;

use std::{collections::BTreeMap, convert::Infallible, num::NonZeroUsize, thread};

use bartizan_server::ServerConfig;
use bartizan_workers::Workers;
use bytes::Bytes;
use common::{Running, bind, read_to_end, soon, write};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tower::service_fn;

/// Answers with the name of the thread that it runs on.
async fn place(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let name = thread::current().name().unwrap_or("nameless").to_owned();
    Ok(Response::new(Full::new(name.into())))
}

fn start(workers: &Workers) -> Running {
    let bound = bind(&ServerConfig::default(), None);
    Running::serve(bound.on(workers.spawner()), service_fn(place))
}

async fn asked(stream: &mut TcpStream) -> String {
    write(stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = common::read_until(stream, "worker-").await;
    let digit = &mut [0];
    tokio::io::AsyncReadExt::read_exact(stream, digit)
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    format!("worker-{}", char::from(digit[0]))
}

#[tokio::test]
async fn connections_are_spread_evenly_and_stay_where_they_are() {
    let workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
    let server = start(&workers);
    let mut places = BTreeMap::<_, usize>::new();
    let mut streams = Vec::new();
    for _ in 0..9 {
        let mut stream = server.connect().await;
        let place = asked(&mut stream).await;
        for _ in 0..3 {
            assert_eq!(asked(&mut stream).await, place);
        }
        *places.entry(place).or_default() += 1;
        streams.push(stream);
    }
    assert_eq!(places.into_values().collect::<Vec<_>>(), [3, 3, 3]);
}

#[tokio::test]
async fn a_drain_ends_them_as_it_does_without() {
    let workers = Workers::start(NonZeroUsize::MIN).unwrap();
    let server = start(&workers);
    let mut idle = server.connect().await;
    asked(&mut idle).await;
    let drained = soon(server.drain()).await.unwrap();
    assert_eq!((drained.finished, drained.aborted), (1, 0));
    assert_eq!(read_to_end(&mut idle).await, "");
}
