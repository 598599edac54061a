//! What an exchange costs beyond the client of hyper-util: nothing.

use std::convert::Infallible;

use bartizan_client::{Client, ClientConfig};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, runtime};

const EXCHANGES: u64 = 200;

fn request(url: &str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from_static(b"{}"));
    Request::post(url).body(body).unwrap()
}

/// Allocations of an exchange, client and server together, over a warm connection.
fn allocations<F: Future<Output = Bytes>>(make: impl FnOnce(String) -> Box<dyn Fn() -> F>) -> u64 {
    let runtime = { runtime::Builder::new_current_thread() };
    let runtime = { runtime }.enable_all().build().unwrap();
    let exchange = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = hyper::service::service_fn(async |request: Request<Incoming>| {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(Response::new(Full::new(body)))
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        let exchange = make(url);
        for _ in 0..10 {
            assert_eq!(exchange().await, "{}");
        }
        exchange
    });
    let measured = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..EXCHANGES {
                exchange().await;
            }
        });
    });
    measured.count_total / EXCHANGES
}

#[test]
fn no_more_than_hyper_util() {
    let bare = allocations(|url| {
        let connector = HttpConnector::new();
        let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Box::new(move || {
            let (client, request) = (client.clone(), request(&url));
            async move {
                let response = client.request(request).await.unwrap();
                response.into_body().collect().await.unwrap().to_bytes()
            }
        })
    });
    let ours = allocations(|url| {
        let client = Client::new(&ClientConfig::default()).unwrap().buffered();
        Box::new(move || {
            let sent = client.send(request(&url));
            async move { sent.await.unwrap().into_body() }
        })
    });
    assert!(ours <= bare, "{ours} allocations, hyper-util's {bare}");
}
