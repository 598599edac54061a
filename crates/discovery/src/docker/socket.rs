use std::{
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tower_service::Service;

/// HTTP over the socket of an engine: a connection for every request, since they are few.
///
/// Whoever may write to the socket has all rights of the engine; this sends it nothing but the
/// requests that it is given.
///
/// # Cancellation
///
/// Dropping the future, or the body of an answer, closes the connection.
#[derive(Clone, Debug)]
pub struct EngineSocket {
    path: Arc<Path>,
}

impl EngineSocket {
    /// The socket at `path`. Connects to nobody.
    pub fn new(path: impl Into<Arc<Path>>) -> Self {
        Self { path: path.into() }
    }

    async fn send(
        path: Arc<Path>,
        mut request: Request<Full<Bytes>>,
    ) -> io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>> {
        let at =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let stream = UnixStream::connect(&path).await.map_err(at)?;
        let http = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = http.await.map_err(io::Error::other)?;
        // It ends when the answer has been read or is not wanted any more.
        tokio::spawn(connection);
        let target = request.uri().path_and_query().cloned();
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(target);
        let host = HeaderValue::from_static("localhost");
        request.headers_mut().insert(HOST, host);
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(io::Error::other)?;
        Ok(answer.map(|body| body.map_err(io::Error::other).boxed_unsync()))
    }
}

impl Service<Request<Full<Bytes>>> for EngineSocket {
    type Response = Response<UnsyncBoxBody<Bytes, io::Error>>;
    type Error = io::Error;
    // Boxed: several awaits, every few seconds at most.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(Self::send(Arc::clone(&self.path), request))
    }
}
