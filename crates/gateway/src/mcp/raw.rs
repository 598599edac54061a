//! Messages between two of the same era, passed as they are.

use std::time::Duration;

use axum::body::Body;
use bartizan_classify::RequestClass;
use bartizan_protocol::{
    Envelope,
    headers::{
        LAST_EVENT_ID, MCP_METHOD, MCP_NAME, MCP_PARAM_PREFIX, MCP_PROTOCOL_VERSION, MCP_SESSION_ID,
    },
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
};

use super::{
    Door, Exchange, Refusal, call::Message, exchange::is_event_stream, refusal::JSON,
    session::Session, upstream::final_message,
};
use crate::service::Payload;

pub(super) const EITHER: HeaderValue =
    HeaderValue::from_static("application/json, text/event-stream");
pub(super) const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

type Headers = Vec<(HeaderName, HeaderValue)>;

/// A message of 2026-07-28 to an upstream that speaks it.
pub(super) async fn modern(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Response<Body> {
    let mut own = Headers::with_capacity(8);
    own.extend([(CONTENT_TYPE, JSON), (ACCEPT, EITHER)]);
    for name in [MCP_PROTOCOL_VERSION, MCP_METHOD, MCP_NAME] {
        own.extend(headers.get(&name).map(|value| (name, value.clone())));
    }
    // Whatever they mean: who does not know one passes it on.
    let params = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(MCP_PARAM_PREFIX));
    own.extend(params.map(|(name, value)| (name.clone(), value.clone())));
    let message = Message {
        method: Method::POST,
        body: body.clone(),
        class: door.class(envelope),
        headers: own,
        instance: None,
    };
    match door.send(message).await {
        Ok(response) => answer(door, response),
        Err(refusal) => refuse(&refusal, envelope),
    }
}

/// A message of an older revision to an upstream that speaks it.
pub(super) async fn legacy(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
    session: Option<&Session>,
) -> Response<Body> {
    let message = |upstream: Option<&HeaderValue>, instance| Message {
        method: Method::POST,
        body: body.clone(),
        class: door.class(envelope),
        headers: legacy_headers(headers, EITHER, upstream),
        instance,
    };
    let result = match session {
        Some(session) => session.send(door, |id, at| message(id, Some(at))).await,
        None => door.send(message(None, None)).await,
    };
    let response = match result {
        Ok(response) => response,
        Err(refusal) => return refuse(&refusal, envelope),
    };
    answer(door, response)
}

/// The answer of an upstream to an `initialize`.
pub(super) struct Begun {
    pub(super) answer: Response<Body>,
    pub(super) is_refused: bool,
}

/// An `initialize`, whose answer is read: it tells whether the upstream begins a session, and
/// which.
///
/// # Errors
///
/// When no answer came.
pub(super) async fn initialize(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Result<Begun, Refusal> {
    let message = Message {
        method: Method::POST,
        body: body.clone(),
        class: door.class(envelope),
        headers: legacy_headers(headers, EITHER, None),
        instance: None,
    };
    let response = door.send(message).await?;
    let token = Session::begin(door, body, &response);
    let status = response.status();
    if is_unauthorized(status) {
        return Err(Refusal::unauthorized(door.service.name()));
    }
    let said = final_message(Exchange::new(
        response,
        door.shared.mcp().max_message_bytes(),
    ))
    .await;
    let is_result = said
        .as_deref()
        .and_then(|said| Envelope::read(said).ok())
        .is_some_and(|said| said.result().is_some());
    let mut answer = match said {
        Some(said) => Response::new(Body::from(said)),
        None => {
            let text = format!(
                "{} did not begin a session: status {}",
                door.service.name(),
                status
            );
            let code = bartizan_protocol::error::BAD_ANSWER;
            Refusal::answer(code, text).response(envelope.id().as_ref().map(|id| id.as_raw()))
        }
    };
    let own = answer.headers_mut();
    own.insert(CONTENT_TYPE, JSON);
    if is_result && let Some(token) = token {
        own.insert(MCP_SESSION_ID, token);
    }
    Ok(Begun {
        answer,
        is_refused: !is_result,
    })
}

/// What a `GET` of an older revision asks for: messages that nobody asked for.
pub(super) async fn listen(
    door: &Door,
    headers: &HeaderMap,
    session: Option<&Session>,
) -> Response<Body> {
    bodiless(door, headers, session, Method::GET).await
}

/// What a `DELETE` of an older revision asks for: the end of a session.
pub(super) async fn end(
    door: &Door,
    headers: &HeaderMap,
    session: Option<&Session>,
) -> Response<Body> {
    if let Some(session) = session {
        door.shared.mcp().end(session.id(), &door.caller);
    }
    if let Some(session) = session
        && let Some(other) = door
            .shared
            .mcp()
            .replaced()
            .remove(&session.id(), &door.caller)
    {
        other.end(door).await;
        return Response::new(Body::empty());
    }
    bodiless(door, headers, session, Method::DELETE).await
}

async fn bodiless(
    door: &Door,
    headers: &HeaderMap,
    session: Option<&Session>,
    method: Method,
) -> Response<Body> {
    let message = |upstream: Option<&HeaderValue>, instance| {
        let mut own = legacy_headers(headers, EVENTS, upstream);
        own.retain(|(name, _)| name != CONTENT_TYPE);
        own.extend(
            headers
                .get(LAST_EVENT_ID)
                .map(|id| (LAST_EVENT_ID, id.clone())),
        );
        Message {
            method: method.clone(),
            body: Bytes::new(),
            class: RequestClass::Idempotent,
            headers: own,
            instance,
        }
    };
    let result = match session {
        Some(session) if method == Method::DELETE => {
            door.send(message(session.upstream(), None)).await
        }
        Some(session) => session.send(door, |id, at| message(id, Some(at))).await,
        None => door.send(message(None, None)).await,
    };
    match result {
        Ok(response) => answer(door, response),
        Err(refusal) => refusal.response(None),
    }
}

fn legacy_headers(
    headers: &HeaderMap,
    accept: HeaderValue,
    upstream: Option<&HeaderValue>,
) -> Headers {
    let mut own = Headers::with_capacity(5);
    own.extend([(CONTENT_TYPE, JSON), (ACCEPT, accept)]);
    let version = headers.get(MCP_PROTOCOL_VERSION);
    own.extend(version.map(|value| (MCP_PROTOCOL_VERSION, value.clone())));
    own.extend(upstream.map(|id| (MCP_SESSION_ID, id.clone())));
    own
}

fn refuse(refusal: &Refusal, envelope: &Envelope<'_>) -> Response<Body> {
    let id = envelope.id();
    refusal.response(id.as_ref().map(|id| id.as_raw()))
}

/// An upstream's answer as its client gets it: the body as it arrives, and of the headers only
/// what belongs to the body.
fn answer(door: &Door, response: Response<Payload>) -> Response<Body> {
    let is_stream = is_event_stream(&response);
    let (head, payload) = response.into_parts();
    // Our credential was refused, which is nothing that the client could mend.
    if is_unauthorized(head.status) {
        return Refusal::unauthorized(door.service.name()).response(None);
    }
    let body = match payload.stream {
        Some(stream) if is_stream => {
            let silence = door.service.mcp().map(|mcp| mcp.stream_idle_timeout());
            door.shared
                .mcp()
                .events(stream, silence.unwrap_or(Duration::MAX))
        }
        Some(stream) => door.shared.mcp().whole(stream),
        None => Body::from(payload.bytes),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = head.status;
    let headers = answer.headers_mut();
    for name in [
        CONTENT_TYPE,
        CONTENT_LENGTH,
        MCP_PROTOCOL_VERSION,
        http::header::RETRY_AFTER,
        http::header::ALLOW,
    ] {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if is_stream {
        headers.insert(http::header::CACHE_CONTROL, NO_CACHE);
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        // It may grow by our comments.
        headers.remove(CONTENT_LENGTH);
    }
    answer
}

fn is_unauthorized(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    )
}
