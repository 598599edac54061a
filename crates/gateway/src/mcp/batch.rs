//! Batches of messages, which 2025-03-26 allowed.

use axum::body::Body;
use bartizan_protocol::{
    Batch, Envelope, Kind, Version, edit, error as code, headers::MCP_SESSION_ID,
    method::INITIALIZE, sse::Decoder,
};
use bartizan_transport::bridge;
use bytes::Bytes;
use http::{
    HeaderMap, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Limited};

use super::{Door, Refusal, Session, all, ask, is_event_stream, message, refusal::JSON, respond};

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
    let session = match headers.get(MCP_SESSION_ID).map(opened).transpose() {
        Ok(session) => session,
        Err(refusal) => return refusal.response(None),
    };
    let allowed = session.map_or(Version::V2025_03_26, |session| session.version());
    if !allowed.allows_batches() {
        let text = format!("revision {allowed} has no batches: send one message at a time");
        let status = StatusCode::BAD_REQUEST;
        return Refusal::new(status, code::INVALID_REQUEST, text).response(None);
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
        if let Some(answer) = answer_member(door, to, headers, &member).await {
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
        Err(error) => Refusal::answer(code::TOO_LARGE, error.to_string()).response(None),
    }
}

/// The response to one member of a batch, if it is to have one.
async fn answer_member(door: &Door, to: To, headers: &HeaderMap, member: &Bytes) -> Option<Bytes> {
    let envelope = match Envelope::read(member) {
        Ok(envelope) => envelope,
        Err(error) => {
            let refusal = Refusal::answer(error.code(), error.to_string());
            return Some(refusal.to_bytes(error.id()));
        }
    };
    if envelope.method() == Some(INITIALIZE) {
        let text = "initialize must not be part of a batch";
        let refusal = Refusal::answer(code::INVALID_REQUEST, text);
        return Some(refusal.to_bytes(envelope.raw_id()));
    }
    // Boxed: a future that holds one of its own kind has no size.
    let answer = match to {
        To::One => Box::pin(message(door, headers, &envelope, member)).await,
        To::All => Box::pin(all::message(door, headers, &envelope, member)).await,
    };
    if envelope.kind() != Kind::Request {
        return None;
    }
    let response = response_in(door, headers, answer).await;
    Some(response.unwrap_or_else(|| {
        let text = "the answer broke off, is too large or cannot be read";
        Refusal::answer(code::BAD_ANSWER, text).to_bytes(envelope.raw_id())
    }))
}

/// The JSON-RPC response in an answer of ours, past all that an event stream says before it. Only
/// what passes through is one; what its upstream asks there is refused, as nobody else hears it.
async fn response_in(door: &Door, headers: &HeaderMap, answer: Response<Body>) -> Option<Bytes> {
    let is_stream = is_event_stream(&answer);
    let limit = door.shared.mcp().max_message_bytes();
    let mut body = Limited::new(answer.into_body(), limit);
    if !is_stream {
        let said = body.collect().await.ok()?.to_bytes();
        // What cannot be read would have the whole batch be so.
        return Envelope::read(&said).is_ok().then_some(said);
    }
    let mut events = Decoder::new(limit);
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
