//! MCP itself: Streamable HTTP of every revision, to one service at `/mcp/{service}` and to all
//! of them at `/mcp`.

pub(crate) mod sse;
mod stdio;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    routing::any,
};
use bartizan_protocol::{
    Envelope, Era, error as code,
    headers::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
    request::Parts,
};

use crate::{
    current::Current,
    error::Error,
    mcp::{self, Door, Refusal, Session, To},
    service::Service,
    shared::Shared,
};

pub use self::stdio::StdioError;

pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/mcp/{service}", any(one))
        .route("/mcp", any(all))
}

async fn one(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let service = shared.catalog().service(&name);
    let Some(service) = service.filter(|it| it.mcp().is_some()) else {
        let error = Error::no_server(name, service.is_some());
        return Refusal::from(error).response(None);
    };
    enter(&shared, service, To::One, head, body).await
}

async fn all(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Some(service) = shared.places().services().first() else {
        let text = "no MCP service is configured";
        return Refusal::new(StatusCode::NOT_FOUND, code::INVALID_REQUEST, text).response(None);
    };
    enter(&shared, service, To::All, head, body).await
}

async fn enter(
    shared: &Arc<Shared>,
    service: &Arc<Service>,
    to: To,
    head: Parts,
    body: Body,
) -> Response<Body> {
    let authority = head.uri.authority();
    if let Err(refused) = shared.mcp().origin().check(&head.headers, authority) {
        let (status, code) = (StatusCode::FORBIDDEN, code::INVALID_REQUEST);
        return Refusal::new(status, code, refused.to_string()).response(None);
    }
    let caller = shared.caller(&head.headers);
    let door = Door::new(shared, service, caller, &head.headers);
    match head.method {
        Method::POST => match shared.collect(body).await {
            Ok(bytes) => post(&door, to, &head.headers, bytes).await,
            Err(error) => Refusal::from(error).response(None),
        },
        Method::GET | Method::DELETE => {
            Box::pin(bodiless(&door, to, &head.headers, &head.method)).await
        }
        _ => not_allowed("GET, POST, DELETE"),
    }
}

async fn post(door: &Door, to: To, headers: &HeaderMap, body: Bytes) -> Response<Body> {
    if !is_json(headers) {
        let text = "Content-Type must be application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Refusal::new(status, code::INVALID_REQUEST, text).response(None);
    }
    if bartizan_protocol::is_batch(&body) {
        return Box::pin(mcp::batch(door, to, headers, &body)).await;
    }
    match Envelope::read(&body) {
        Ok(envelope) => match to {
            To::One => mcp::message(door, headers, &envelope, &body).await,
            To::All => Box::pin(mcp::all::message(door, headers, &envelope, &body)).await,
        },
        Err(error) => {
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, error.code(), error.to_string());
            refusal.response(error.id())
        }
    }
}

async fn bodiless(door: &Door, to: To, headers: &HeaderMap, method: &Method) -> Response<Body> {
    let version = headers.get(MCP_PROTOCOL_VERSION).map(HeaderValue::as_bytes);
    let modern = version
        .and_then(|name| std::str::from_utf8(name).ok())
        .and_then(bartizan_protocol::Version::parse)
        .is_some_and(|version| version.era() == Era::Modern);
    if modern {
        return not_allowed("POST");
    }
    if matches!(to, To::All) {
        return mcp::all::bodiless(door, headers, method).await;
    }
    let session = match headers.get(MCP_SESSION_ID) {
        Some(token) => match Session::open(door, token) {
            Ok(session) => Some(session),
            Err(refusal) => return refusal.response(None),
        },
        None => None,
    };
    mcp::bodiless(door, headers, method, session).await
}

fn not_allowed(allow: &'static str) -> Response<Body> {
    let text = "Method not allowed.";
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, code::INVALID_REQUEST, text);
    let mut response = refusal.response(None);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let essence = value.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}
