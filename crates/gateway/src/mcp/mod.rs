//! Services that speak MCP, and what every door to them shares.
//!
//! Where client and upstream speak the same era, messages pass as they are ([`raw`]). Everything
//! an upstream of another transport says is made to look like Streamable HTTP before it gets
//! here, so there is one way to talk to all of them.

pub(crate) mod all;
mod ask;
mod batch;
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
mod single_flight;
mod subscribed;
mod talk;
mod tidings;
pub(crate) mod tool;
mod tools;
mod turns;
mod unclaimed;
mod upstream;

use axum::body::Body;
use bartizan_protocol::{
    Envelope, Era,
    headers::MCP_SESSION_ID,
    method::{INITIALIZE, SUBSCRIPTIONS_LISTEN},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use self::ask::Request;
pub(crate) use self::{
    ask::Habits,
    batch::{To, batch},
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
