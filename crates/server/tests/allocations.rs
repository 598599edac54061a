//! What an exchange costs beyond hyper's own connection: the extension that says where it came
//! from, and nothing else.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use bartizan_server::{Server, ServerConfig};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime, sync::oneshot};
use tower::service_fn;

const EXCHANGES: u64 = 200;

/// A map, its table, and the boxed address in it.
const EXTENSION: u64 = 3;

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"{}"))))
}

/// Allocations of an exchange on the server's thread; the client has its own.
fn allocations<F: Future>(serve: impl FnOnce(oneshot::Sender<SocketAddr>) -> F) -> u64 {
    let (at, address) = oneshot::channel();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address.blocking_recv().unwrap()).unwrap();
        let mut answer = [0; 1024];
        for _ in 0..EXCHANGES {
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap();
            let read = stream.read(&mut answer).unwrap();
            assert!(answer[..read].ends_with(b"\r\n\r\n{}"));
        }
    });
    let runtime = { runtime::Builder::new_current_thread() };
    let runtime = { runtime }.enable_all().build().unwrap();
    let serve = serve(at);
    let measured = allocation_counter::measure(|| {
        runtime.block_on(async {
            let client = tokio::task::spawn_blocking(move || client.join().unwrap());
            tokio::select! {
                _ = serve => {}
                ended = client => ended.unwrap(),
            }
        });
    });
    measured.count_total / EXCHANGES
}

#[test]
fn no_more_than_hyper_and_an_address() {
    let bare = allocations(|at| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        at.send(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(answer);
        let builder = hyper::server::conn::http1::Builder::new();
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
    let ours = allocations(|at| async move {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = Server::bind(&[loopback], &ServerConfig::default(), None).unwrap();
        at.send(bound.local_addr()).unwrap();
        bound
            .serve(service_fn(answer), std::future::pending())
            .await
    });
    assert!(
        ours <= bare + EXTENSION,
        "{ours} allocations, hyper's {bare}"
    );
}
