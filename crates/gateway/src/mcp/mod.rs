//! Services that speak MCP, and what every door to them shares.
//!
//! Where client and upstream speak the same era, messages pass as they are ([`raw`]). Everything
//! an upstream of another transport says is made to look like Streamable HTTP before it gets
//! here, so there is one way to talk to all of them.

pub(crate) mod all;
mod ask;
mod bridged;
mod call;
mod client;
pub(crate) mod direct;
mod eras;
mod exchange;
mod follow;
mod house;
mod inbound;
mod known;
mod late;
mod live;
mod lost;
mod news;
mod pages;
mod probe;
mod questions;
mod raw;
mod refusal;
mod respond;
mod restoring;
mod session;
mod subscribed;
mod talk;
mod tidings;
pub(crate) mod tool;
mod tools;
mod turns;
mod upstream;

use axum::body::Body;
use bartizan_protocol::{
    Batch, Envelope, Era, Kind, Version, edit,
    headers::MCP_SESSION_ID,
    method::{INITIALIZE, SUBSCRIPTIONS_LISTEN},
};
use bartizan_transport::bridge;
use bytes::Bytes;
use http::{
    HeaderMap, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::BodyExt;

pub(crate) use self::{
    ask::Habits,
    call::{Caller, Door, Message, Witness},
    eras::Eras,
    exchange::{Exchange, is_event_stream},
    house::{House, InvalidHouse},
    pages::ListError,
    refusal::Refusal,
    session::Session,
    tools::Tools,
    upstream::Introduction,
};
use self::{ask::Request, refusal::JSON};
use crate::service::Upstream;

/// Answers one message.
///
/// What is not passed through is boxed: the futures of bridges are large, and every call would
/// be as large as the largest.
pub(crate) async fn message(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Response<Body> {
    let refuse = |refusal: Refusal| refusal.response(envelope.raw_id());
    match inbound::era(headers, envelope) {
        Err(refusal) => refuse(refusal),
        Ok(Era::Modern) => {
            if let Err(refusal) = inbound::check(headers, envelope) {
                return refuse(refusal);
            }
            let listens = envelope.method() == Some(SUBSCRIPTIONS_LISTEN);
            // Boxed: few requests are of the kind, and all would be as large.
            let listening = listens.then(|| Box::new(door.for_listening()));
            match probe::speaks_modern(listening.as_deref().unwrap_or(door)).await {
                Ok(true) => {
                    if door.service.is_process()
                        && let Err(refusal) = Box::pin(tools::check(door, headers, envelope)).await
                    {
                        return refuse(refusal);
                    }
                    raw::modern(door, headers, envelope, body).await
                }
                Ok(false) => Box::pin(bridged::modern(door, headers, envelope, body)).await,
                Err(refusal) => refuse(refusal),
            }
        }
        Ok(Era::Legacy) => match headers.get(MCP_SESSION_ID) {
            Some(token) => match Session::open(door, token) {
                Ok(session) if session.passes_through() => {
                    raw::legacy(door, headers, envelope, body, Some(session)).await
                }
                Ok(session) => {
                    Box::pin(bridged::legacy(door, headers, envelope, body, &session)).await
                }
                Err(refusal) => refuse(refusal),
            },
            None if envelope.method() == Some(INITIALIZE) => {
                Box::pin(initialize(door, headers, envelope, body)).await
            }
            None => raw::legacy(door, headers, envelope, body, None).await,
        },
    }
}

/// Begins a session: the upstream's own if it keeps any, else one of the gateway's.
async fn initialize(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Response<Body> {
    let Some(request) = Request::read(body, envelope) else {
        return raw::legacy(door, headers, envelope, body, None).await;
    };
    let eras = door.service.mcp().map(Upstream::eras);
    let now = door.shared.clock().now();
    if eras.is_some_and(|eras| eras.legacy(now) == Some(false)) {
        return bridged::initialize(door, &request).await;
    }
    let begun = match raw::initialize(door, headers, envelope, body).await {
        Ok(begun) => begun,
        Err(refusal) => return refusal.response(Some(&request.id)),
    };
    if !begun.is_refused {
        return begun.answer;
    }
    // Refused: by an upstream that knows no sessions, or for what the client asked.
    match probe::speaks_modern(door).await {
        Ok(true) => {
            if let Some(eras) = eras {
                eras.set_legacy(false, now);
            }
            bridged::initialize(door, &request).await
        }
        Ok(false) | Err(_) => begun.answer,
    }
}

/// Answers a `GET` or `DELETE` of the older revisions.
pub(crate) async fn bodiless(
    door: &Door,
    headers: &HeaderMap,
    method: &Method,
    session: Option<Session>,
) -> Response<Body> {
    match session {
        Some(session) if !session.passes_through() => {
            bridged::bodiless(door, &session, method).await
        }
        session if *method == Method::GET => raw::listen(door, headers, session).await,
        session => raw::end(door, headers, session).await,
    }
}

/// Whom a message is for.
#[derive(Clone, Copy)]
pub(crate) enum To {
    /// The service of the door.
    One,
    /// All of them.
    All,
}

/// Answers an array of messages, which 2025-03-26 allowed: one after the other, the responses
/// together.
pub(crate) async fn batch(
    door: &Door,
    to: To,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response<Body> {
    let opened = |token| match to {
        To::One => Session::open(door, token),
        To::All => Session::open_at(door, all::EVERYWHERE, token),
    };
    let session = headers.get(MCP_SESSION_ID);
    let session = session.and_then(|token| opened(token).ok());
    let allowed = session.map_or(Version::V2025_03_26, |session| session.version());
    if !allowed.allows_batches() {
        let text = format!("revision {allowed} has no batches: send one message at a time");
        let code = bartizan_protocol::error::INVALID_REQUEST;
        return Refusal::new(StatusCode::BAD_REQUEST, code, text).response(None);
    }
    let batch = match Batch::read(body) {
        Ok(batch) => batch,
        Err(error) => {
            return Refusal::new(StatusCode::BAD_REQUEST, error.code(), error.to_string())
                .response(None);
        }
    };
    // No member has a stream of its own, on which its client could be asked.
    let mut headers = headers.clone();
    headers.insert(ACCEPT, JSON);
    let headers = &headers;
    let limit = door.shared.mcp().max_message_bytes();
    let several = (batch.iter().count() > 1).then(|| door.for_one_of_several());
    let door = several.as_ref().unwrap_or(door);
    let (mut answers, mut bytes) = (Vec::new(), 0);
    for member in batch.iter() {
        // No more is asked for than can be answered.
        if bytes > limit {
            break;
        }
        let member = body.slice_ref(member);
        let id = || {
            let id = Envelope::read(&member).ok()?.id()?;
            Some(id.as_raw().to_owned())
        };
        let (kind, answer) = match Envelope::read(&member) {
            Ok(envelope) if envelope.method() == Some(INITIALIZE) => {
                let text = "initialize must not be part of a batch";
                let code = bartizan_protocol::error::INVALID_REQUEST;
                let refusal = Refusal::answer(code, text);
                (Kind::Request, refusal.response(envelope.raw_id()))
            }
            // Boxed: a future that holds one of its own kind has no size.
            Ok(envelope) => (
                envelope.kind(),
                match to {
                    To::One => Box::pin(message(door, headers, &envelope, &member)).await,
                    To::All => Box::pin(all::message(door, headers, &envelope, &member)).await,
                },
            ),
            Err(error) => (
                Kind::Request,
                Refusal::answer(error.code(), error.to_string()).response(error.id()),
            ),
        };
        if kind == Kind::Request {
            let answer = response_in(door, headers, answer).await.unwrap_or_else(|| {
                let code = bartizan_protocol::error::BAD_ANSWER;
                Refusal::answer(code, "the answer broke off or is too large")
                    .to_bytes(id().as_deref())
            });
            bytes += answer.len();
            answers.push(answer);
        }
    }
    match bridge::join_batch(answers, limit) {
        Ok(Some(joined)) => {
            let mut response = Response::new(Body::from(joined));
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response
        }
        Ok(None) => respond::accepted(),
        Err(error) => {
            let code = bartizan_protocol::error::TOO_LARGE;
            Refusal::answer(code, error.to_string()).response(None)
        }
    }
}

/// The JSON-RPC response in an answer of ours, past all that an event stream says before it. Only
/// what passes through is one; what its upstream asks there is refused, as nobody else hears it.
async fn response_in(door: &Door, headers: &HeaderMap, answer: Response<Body>) -> Option<Bytes> {
    let is_stream = is_event_stream(&answer);
    let limit = door.shared.mcp().max_message_bytes();
    let mut body = http_body_util::Limited::new(answer.into_body(), limit);
    if !is_stream {
        return Some(body.collect().await.ok()?.to_bytes());
    }
    let mut events = bartizan_protocol::sse::Decoder::new(limit);
    while let Some(frame) = body.frame().await {
        events.push(frame.ok()?.into_data().unwrap_or_default());
        for event in events.by_ref() {
            let said = event.ok()?.data;
            if said.is_empty() {
                continue;
            }
            if edit::get(&said, &["method"]).is_none() {
                return Some(said);
            }
            if let Some(id) = edit::get(&said, &["id"]) {
                let refusal = ask::answer_locally(id, &said);
                let envelope = Envelope::read(&refusal).ok()?;
                Box::pin(message(door, headers, &envelope, &refusal)).await;
            }
        }
    }
    None
}
