use std::{
    convert::Infallible, future::Future, io, net::Ipv4Addr, pin::pin, sync::Arc, time::Duration,
};

use bartizan_clock::Clock;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Largest request body a backend of the demo reads.
const MAX_BODY: usize = 64 * 1024;
/// Most connections of one backend; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// How long a stopping server waits for answers that are under way.
const GRACE: Duration = Duration::from_millis(250);
/// How long to leave the operating system alone when it cannot accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers a request whose body has arrived.
pub(super) trait Answer: Send + Sync + 'static {
    fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>>;
}

/// A listener on a loopback port that the operating system chose.
pub(super) async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Serves HTTP/1.1 until `stop` completes, then closes the listener, lets answers that are
/// under way go out, and closes every connection.
///
/// Dropping the future closes everything at once.
pub(super) async fn serve<A: Answer>(
    listener: TcpListener,
    backend: Arc<A>,
    stop: impl Future<Output = ()>,
) {
    let clock = Clock::default();
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accept = async {
            match listener.accept().await {
                Ok((stream, _)) => Some(stream),
                Err(_) => {
                    clock.sleep(ACCEPT_PAUSE).await;
                    None
                }
            }
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = accept, if connections.len() < MAX_CONNECTIONS => {
                if let Some(stream) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&backend), stopped.clone()));
                }
            }
        }
    }
    drop(listener);
    let _ = stopping.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = drained => {}
        () = clock.sleep(GRACE) => {}
    }
}

async fn connection<A: Answer>(
    stream: TcpStream,
    backend: Arc<A>,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let backend = Arc::clone(&backend);
        async move { Ok::<_, Infallible>(read_and_answer(&*backend, request).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A client that breaks off is no event here.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn read_and_answer<A: Answer>(
    backend: &A,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => backend.answer(&Request::from_parts(head, body.to_bytes())),
        Err(_) => {
            let error = serde_json::json!({ "error": "the body is too large or incomplete" });
            json(StatusCode::PAYLOAD_TOO_LARGE, &error)
        }
    }
}
