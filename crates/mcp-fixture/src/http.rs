use std::{convert::Infallible, io, net::Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rmcp::transport::{
    StreamableHttpServerConfig, StreamableHttpService,
    streamable_http_server::session::local::LocalSessionManager,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower_service::Service;

use crate::{Eras, Fixture, stdio::METHOD_NOT_FOUND};

type Streamable = StreamableHttpService<Fixture, LocalSessionManager>;
type Body = Either<Full<Bytes>, BoxBody<Bytes, Infallible>>;

/// A fixture on a port of 127.0.0.1, at the path `/mcp`.
pub struct HttpFixture {
    listener: TcpListener,
    url: String,
    eras: Eras,
    service: Streamable,
}

impl HttpFixture {
    /// Binds a port, or one that the operating system chooses where `port` is 0.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound.
    pub async fn bind(port: u16, eras: Eras) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let fixture = Fixture::new(eras);
        let mut configuration = StreamableHttpServerConfig::default();
        if eras == Eras::Modern {
            configuration = configuration
                .with_legacy_session_mode(false)
                .with_stateless_protocol_metadata_required(true);
        }
        let service = StreamableHttpService::new(
            move || Ok(fixture.session()),
            LocalSessionManager::default().into(),
            configuration,
        );
        Ok(Self {
            listener,
            url,
            eras,
            service,
        })
    }

    /// Returns where the fixture answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until it is dropped, which closes every connection.
    ///
    /// # Errors
    ///
    /// When the port can accept no more connections.
    pub async fn serve(self) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = self.listener.accept().await?;
            while connections.try_join_next().is_some() {}
            // Nagle's algorithm and delayed acknowledgements cost an event stream 40 ms a message.
            stream.set_nodelay(true)?;
            connections.spawn(connection(stream, self.eras, self.service.clone()));
        }
    }
}

impl std::fmt::Debug for HttpFixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpFixture")
            .field("url", &self.url)
            .field("eras", &self.eras)
            .finish_non_exhaustive()
    }
}

async fn connection(stream: TcpStream, eras: Eras, service: Streamable) {
    let answering = service_fn(move |request: Request<Incoming>| {
        let mut service = service.clone();
        async move {
            if let Some(refusal) = refuse(&request, eras) {
                return Ok::<_, Infallible>(refusal.map(|text| Either::Left(Full::from(text))));
            }
            let response: Response<Body> = service
                .call(request)
                .await?
                .map(|body| Either::Right(body.boxed()));
            Ok(response)
        }
    });
    // A client that breaks its connection has said all it wanted to say.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answering)
        .await;
}

/// What a server of one era says to requests of the other, as the SDKs of that era do.
fn refuse(request: &Request<Incoming>, eras: Eras) -> Option<Response<&'static str>> {
    if request.uri().path() != "/mcp" {
        return Some(answer(StatusCode::NOT_FOUND, ""));
    }
    let modern = is_modern(request.headers());
    match eras {
        // Servers of 2025-11-25 do not know the headers; they look for a session and find none.
        Eras::Legacy if modern => Some(answer(
            StatusCode::BAD_REQUEST,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#,
        )),
        Eras::Modern if !modern && request.method() == Method::POST => {
            Some(answer(StatusCode::NOT_FOUND, METHOD_NOT_FOUND))
        }
        _ => None,
    }
}

fn is_modern(headers: &HeaderMap) -> bool {
    headers
        .get("mcp-protocol-version")
        .is_some_and(|version| version.as_bytes() >= b"2026-07-28".as_slice())
}

fn answer(status: StatusCode, body: &'static str) -> Response<&'static str> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if !body.is_empty() {
        let json = http::HeaderValue::from_static("application/json");
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, json);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_header_of_the_newest_revision_is_modern() {
        let mut headers = HeaderMap::new();
        assert!(!is_modern(&headers));
        headers.insert(
            "mcp-protocol-version",
            http::HeaderValue::from_static("2025-11-25"),
        );
        assert!(!is_modern(&headers));
        headers.insert(
            "mcp-protocol-version",
            http::HeaderValue::from_static("2026-07-28"),
        );
        assert!(is_modern(&headers));
    }
}
