//! Messages between two of the same era, passed as they are.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bartizan_classify::RequestClass;
use bartizan_protocol::{
    Edit, Envelope, Kind, Version, edit,
    headers::{
        LAST_EVENT_ID, MCP_METHOD, MCP_NAME, MCP_PARAM_PREFIX, MCP_PROTOCOL_VERSION,
        MCP_SESSION_ID, accepts, is_media,
    },
    method::SUBSCRIPTIONS_LISTEN,
};
use bartizan_transport::{
    bridge::Listen,
    sessions::SessionId,
    stream::{IdleLimits, set_headers},
};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body as _;

use super::{
    Door, Refusal,
    call::Message,
    exchange::is_event_stream,
    known::Told,
    late::{self, Waiting},
    lost::{self, Asks},
    probe,
    refusal::JSON,
    session::Session,
    turns,
    unclaimed::{Unclaimed, UnlessSent},
};
use crate::service::{Payload, Upstream};

pub(super) const EITHER: HeaderValue =
    HeaderValue::from_static("application/json, text/event-stream");
pub(super) const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// How long a client that listens waits for the upstream to say whether there is anything to
/// be heard.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long an upstream that is only listened to may have nothing to tell.
pub(super) const LISTENING: Duration = Duration::from_secs(24 * 3600);

type Headers = Vec<(HeaderName, HeaderValue)>;

/// A message of 2026-07-28 to an upstream that speaks it.
pub(super) async fn modern(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Response<Body> {
    door.learn(envelope).await;
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
        is_clients: true,
        is_request: envelope.kind() == Kind::Request,
    };
    let id = id(envelope);
    let listens = envelope.method() == Some(SUBSCRIPTIONS_LISTEN);
    let (own_door, own_id) = (door.clone(), id.clone());
    let answered = Box::pin(async move {
        let answered = async {
            let response = own_door.send(message).await?;
            if response.status().is_client_error() {
                let response = lost::look(&own_door, response).await?;
                probe::doubt_newer(&own_door, &response);
                // There is no session whose loss a client could see in a status.
                if own_id.is_some() {
                    lost::check(&own_door, &response)?;
                }
                return Ok(response);
            }
            Ok(response)
        };
        let (answered, id) = (answered.await, own_id.as_deref());
        if listens {
            return answer_with(&own_door, answered, id, LISTENING).await;
        }
        answer(&own_door, answered, id).await
    });
    let answer = in_time(door, headers, id, answered).await;
    if listens && let Ok(listen) = Listen::read(body) {
        return turns::until_gone(door, answer, Some(listen));
    }
    answer
}

/// A message of an older revision to an upstream that speaks it.
pub(super) async fn legacy(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
    session: Option<Session>,
) -> Response<Body> {
    door.learn(envelope).await;
    let told = Told::read(envelope);
    let (class, body) = (door.class(envelope), body.clone());
    let is_request = envelope.kind() == Kind::Request;
    let asks = match envelope.kind() {
        Kind::Response | Kind::Error => Asks::Nothing,
        Kind::Request | Kind::Notification => Asks::of(class),
    };
    let version = version(headers);
    let message = move |upstream: Option<&HeaderValue>, instance| Message {
        method: Method::POST,
        body: body.clone(),
        class,
        headers: legacy_headers(version.clone(), EITHER, upstream),
        instance,
        is_clients: true,
        is_request,
    };
    let id = id(envelope);
    let (own_door, own_id) = (door.clone(), id.clone());
    let answered = Box::pin(async move {
        let result = match session {
            Some(session) => {
                session
                    .send(&own_door, asks, told, |id, at| message(id, Some(at)))
                    .await
            }
            None => own_door.send(message(None, None)).await,
        };
        answer(&own_door, result, own_id.as_deref()).await
    });
    in_time(door, headers, id, answered).await
}

/// The raw id of a request; none of anything else.
fn id(envelope: &Envelope<'_>) -> Option<Box<str>> {
    envelope.method()?;
    envelope.raw_id().map(Box::from)
}

/// The answer to a message; to a request whose client reads streams, as one if it comes late.
async fn in_time(
    door: &Door,
    headers: &HeaderMap,
    id: Option<Box<str>>,
    answer: late::Answer,
) -> Response<Body> {
    let house = door.shared.mcp();
    match id {
        Some(id) if reads_streams(headers) => {
            let patience = house.keep_alive().duration();
            late::answer(house, Waiting::Request(id), patience, answer).await
        }
        _ => answer.await,
    }
}

/// Whether a client says that it reads event streams.
fn reads_streams(headers: &HeaderMap) -> bool {
    // What nearly every client sends needs no reading.
    headers
        .get(ACCEPT)
        .is_some_and(|accept| *accept == EITHER || accepts(headers).event_stream)
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
///
/// # Cancellation
///
/// Dropping the future ends the session, once its name is known.
pub(super) async fn initialize(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Result<Begun, Refusal> {
    let body = in_known_words(body);
    let message = Message {
        method: Method::POST,
        body: body.clone(),
        class: door.class(envelope),
        headers: legacy_headers(version(headers), EITHER, None),
        instance: None,
        is_clients: true,
        is_request: true,
    };
    let sent = Arc::default();
    let own = door.telling(&sent);
    // In a task of its own: only the answer says what a session is called that its client does not
    // wait for.
    let begins = tokio::spawn(async move {
        let response = own.send(message).await?;
        let upstream = response.headers().get(MCP_SESSION_ID).cloned();
        let instance = Arc::clone(&response.body().endpoint);
        let status = response.status();
        if lost::is_credential(status) {
            return Err(Refusal::unauthorized(own.service.name(), status));
        }
        let said = own.final_message(response).await;
        let is_result = said
            .as_deref()
            .and_then(|said| Envelope::read(said).ok())
            .is_some_and(|said| said.result().is_some());
        if !is_result {
            probe::doubt_older(&own, status, said.as_deref().unwrap_or_default());
        }
        let token = said.as_deref().filter(|_| is_result).zip(upstream);
        let token = token.and_then(|(said, id)| Session::begin(&own, &body, said, &id, &instance));
        Ok((status, said, is_result, Unclaimed::new(own, token)))
    });
    let task = begins.abort_handle();
    let _unless_sent = UnlessSent { task, sent };
    let (status, said, is_result, unclaimed) = begins.await.unwrap_or_else(|_| {
        let text = format!("{} did not begin a session", door.service.name());
        Err(Refusal::answer(bartizan_protocol::error::INTERNAL, text))
    })?;
    let mut answer = match said {
        Some(said) => Response::new(Body::from(said)),
        None => {
            let text = format!(
                "{} did not begin a session: status {}",
                door.service.name(),
                status
            );
            let code = bartizan_protocol::error::BAD_ANSWER;
            Refusal::answer(code, text).response(envelope.raw_id())
        }
    };
    let own = answer.headers_mut();
    own.insert(CONTENT_TYPE, JSON);
    if let Some(token) = unclaimed.claim() {
        own.insert(MCP_SESSION_ID, token);
    }
    Ok(Begun {
        answer,
        is_refused: !is_result,
    })
}

/// The same `initialize` for a revision that we know too, where both ends could agree on one that
/// each message of theirs would then be refused for.
fn in_known_words(body: &Bytes) -> Bytes {
    let asked = edit::get(body, &["params", "protocolVersion"]).and_then(edit::text);
    let Some(asked) = asked.filter(|asked| Version::parse(asked).is_none()) else {
        return body.clone();
    };
    let mut edit = Edit::new(body);
    let version = edit::string(Version::negotiate_legacy(&asked).as_str());
    edit.set(&["params", "protocolVersion"], &version);
    edit.finish().unwrap_or_else(|_| body.clone())
}

/// Whether the body of an answer may be one, by what is said of it.
fn may_be_message(response: &Response<Payload>) -> bool {
    let payload = response.body();
    let is_empty = match &payload.stream {
        Some(stream) => stream.size_hint().exact() == Some(0),
        None => payload.bytes.is_empty(),
    };
    let headers = response.headers();
    // What some servers call their messages, and all proxies their excuses.
    let is_text = || response.status().is_success() && is_media(headers, "text/plain");
    !is_empty
        && (!headers.contains_key(CONTENT_TYPE)
            || is_media(headers, "application/json")
            || is_text())
}

/// What a `GET` of an older revision asks for: messages that nobody asked for.
///
/// The client need not wait for an upstream that has nothing to tell yet.
pub(super) async fn listen(
    door: &Door,
    headers: &HeaderMap,
    session: Option<Session>,
) -> Response<Body> {
    let last = headers.get(LAST_EVENT_ID).cloned();
    let version = version(headers);
    let own = door.clone();
    let id = session.as_ref().map(Session::id);
    let answered = Box::pin(async move {
        let message = |upstream: Option<&HeaderValue>, instance| {
            let mut message = bodiless(Method::GET, version.clone(), upstream, instance);
            message
                .headers
                .extend(last.clone().map(|id| (LAST_EVENT_ID, id)));
            message
        };
        let result = match session {
            Some(session) => {
                session
                    .send(&own, Asks::Stream, None, |id, at| message(id, Some(at)))
                    .await
            }
            None => own.send(message(None, None)).await,
        };
        answer_with(&own, result, None, LISTENING).await
    });
    let house = door.shared.mcp();
    let mut stream = late::answer(house, Waiting::Listener, AT_ONCE, answered).await;
    if let Some(id) = id {
        stream = in_use(door, id, stream);
    }
    turns::until_gone(door, stream, None)
}

/// The answer to a client that listens: as long as it is a stream, what stands in for the client's
/// session is in use, even if that comes to be needed later.
fn in_use(door: &Door, id: SessionId, answer: Response<Body>) -> Response<Body> {
    if !is_event_stream(&answer) {
        return answer;
    }
    let (stand_ins, caller) = (door.shared.mcp().stand_ins().clone(), door.caller.clone());
    let mut held = stand_ins.hold(&id, &caller);
    answer.map(|body| {
        let frames = body.into_data_stream().inspect(move |_| {
            if held.is_none() {
                held = stand_ins.hold(&id, &caller);
            }
        });
        Body::from_stream(frames)
    })
}

/// What a `DELETE` of an older revision asks for: the end of a session.
pub(super) async fn end(
    door: &Door,
    headers: &HeaderMap,
    session: Option<Session>,
) -> Response<Body> {
    let house = door.shared.mcp();
    if let Some(session) = &session {
        house.end(session.id(), &door.caller);
        let other = house.stand_ins().remove(&session.id(), &door.caller);
        if let Some(other) = other.filter(|it| it.has_taken_over()) {
            other.end(door).await;
            return Response::new(Body::empty());
        }
    }
    let upstream = session.as_ref().and_then(Session::upstream);
    let instance = session.as_ref().map(Session::instance);
    let message = bodiless(Method::DELETE, version(headers), upstream, instance);
    answer(door, door.send(message).await, None).await
}

/// A message of a session that has no body, nor a type of one: some servers refuse an empty body that
/// is said to be JSON.
pub(super) fn bodiless(
    method: Method,
    version: Option<HeaderValue>,
    upstream: Option<&HeaderValue>,
    instance: Option<Arc<str>>,
) -> Message {
    let mut own = legacy_headers(version, EVENTS, upstream);
    own.retain(|(name, _)| name != CONTENT_TYPE);
    Message {
        class: RequestClass::from(&method),
        method,
        body: Bytes::new(),
        headers: own,
        instance,
        is_clients: false,
        is_request: false,
    }
}

fn version(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(MCP_PROTOCOL_VERSION).cloned()
}

/// The header that tells the revision of a session, which came with the revision that asks for it.
pub(super) fn version_of(version: Version) -> Option<HeaderValue> {
    (version >= Version::V2025_06_18).then(|| HeaderValue::from_static(version.as_str()))
}

pub(super) fn legacy_headers(
    version: Option<HeaderValue>,
    accept: HeaderValue,
    upstream: Option<&HeaderValue>,
) -> Headers {
    let mut own = Headers::with_capacity(5);
    own.extend([(CONTENT_TYPE, JSON), (ACCEPT, accept)]);
    own.extend(version.map(|value| (MCP_PROTOCOL_VERSION, value)));
    own.extend(upstream.map(|id| (MCP_SESSION_ID, id.clone())));
    own
}

/// An upstream's answer as its client gets it: the body as it arrives, and of the headers only
/// what belongs to the body.
async fn answer(
    door: &Door,
    result: Result<Response<Payload>, Refusal>,
    id: Option<&str>,
) -> Response<Body> {
    let silence = door.service.mcp().map(Upstream::stream_idle_timeout);
    answer_with(door, result, id, silence.unwrap_or(Duration::MAX)).await
}

/// The same, where a stream may be silent for as long as this.
async fn answer_with(
    door: &Door,
    result: Result<Response<Payload>, Refusal>,
    id: Option<&str>,
    silence: Duration,
) -> Response<Body> {
    let response = match result {
        Ok(response) => response,
        Err(refusal) => return refusal.response(id),
    };
    let house = door.shared.mcp();
    let (service, status) = (door.service.name(), response.status());
    // Our credential was refused, which is nothing that the client could mend.
    if lost::is_credential(status) {
        return Refusal::unauthorized(service, status).response(id);
    }
    // To wherever it points, it is not for the client to go there.
    if status.is_redirection() {
        return Refusal::of_status(door, status, response.headers()).response(id);
    }
    let is_stream = is_event_stream(&response);
    // What is no message at all is told as a failure, for there is no other answer to a request. But
    // by this status a client knows that its session is lost.
    let is_lost = status == StatusCode::NOT_FOUND;
    if id.is_some() && !is_lost && !is_stream && !may_be_message(&response) {
        return Refusal::of_status(door, status, response.headers()).response(id);
    }
    let response = match &response.body().stream {
        Some(stream) if !is_stream => match stream.size_hint().exact() {
            Some(length) if length > house.max_message_bytes() as u64 => {
                return Refusal::too_large(service, house.max_message_bytes()).response(id);
            }
            Some(_) => response,
            // What turns out to be too large can only be told as long as nothing was.
            None => match lost::whole(door, response).await {
                Ok(response) => response,
                Err(refusal) => return refusal.response(id),
            },
        },
        _ => response,
    };
    let (head, payload) = response.into_parts();
    let body = match payload.stream {
        Some(stream) if is_stream => house.events(stream, silence),
        Some(stream) => {
            let in_all = door.service.timeout();
            house.whole(stream, IdleLimits { silence, in_all })
        }
        None => Body::from(payload.bytes),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = head.status;
    let headers = answer.headers_mut();
    // Not the length, which the server says of what it sends: that of an answer in chunks may be
    // another (RFC 9112, section 6.3).
    for name in [CONTENT_TYPE, MCP_PROTOCOL_VERSION, RETRY_AFTER, ALLOW] {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if is_stream {
        let kind = headers.remove(CONTENT_TYPE);
        set_headers(headers);
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind);
        }
    }
    answer
}
