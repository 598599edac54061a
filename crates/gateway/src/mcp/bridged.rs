//! One service whose upstream speaks another era than the client.

use std::sync::Arc;

use axum::body::Body;
use bartizan_protocol::{
    Edit, Envelope, Era, Kind, Version, edit, error as code,
    headers::MCP_SESSION_ID,
    method::{NOTIFICATION_CANCELLED, NOTIFICATION_PROGRESS, NOTIFICATION_ROOTS_LIST_CHANGED},
};
use bartizan_transport::bridge::{self, Abilities, Local, LogLevel, Verdict};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Method, Response, StatusCode};

use super::{
    Door, Refusal, Session,
    ask::{self, Client, ModernClient, Request},
    client::ClientSession,
    follow, news,
    respond::{accepted, json, respond},
    talk::Talk,
    tools, turns,
    upstream::{Introduction, UpstreamSession},
};

/// What the gateway calls itself where an upstream does not say.
pub(super) const GATEWAY_INFO: &str = concat!(
    r#"{"name":"bartizan","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// A message of 2026-07-28 to an upstream of an older revision.
pub(super) async fn modern(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Response<Body> {
    let Some(request) = Request::read(body, envelope) else {
        // No notification of this era means anything to an older upstream.
        return accepted();
    };
    let client = Arc::new(modern_client(envelope));
    match bridge::from_modern(&request.method) {
        Verdict::Refuse(reason) => {
            Refusal::new(StatusCode::NOT_FOUND, code::METHOD_NOT_FOUND, reason)
                .response(Some(&request.id))
        }
        Verdict::Answer(_) => match discover(door, &client).await {
            Ok(result) => json(result_message(&request.id, &result), Era::Modern),
            Err(refusal) => refusal.response(Some(&request.id)),
        },
        Verdict::Listen => news::listen(door, &client, &request, headers).await,
        Verdict::Forward => match tools::check(door, headers, envelope).await {
            Ok(()) => talk(door, headers, Client::Modern(client), request, ()).await,
            Err(refusal) => refusal.response(Some(&request.id)),
        },
    }
}

/// What a request of 2026-07-28 says of its client.
pub(super) fn modern_client(envelope: &Envelope<'_>) -> ModernClient {
    let capabilities = envelope.client_capabilities().unwrap_or("{}");
    ModernClient {
        introduction: Introduction {
            version: Version::LATEST_LEGACY,
            capabilities: bridge::client_to_legacy(capabilities)
                .unwrap_or_else(|_| "{}".to_owned())
                .into(),
            info: envelope.client_info().unwrap_or(GATEWAY_INFO).into(),
        },
        abilities: Abilities::read(capabilities),
        log_level: envelope.log_level().and_then(LogLevel::from_json),
    }
}

async fn discover(door: &Door, client: &ModernClient) -> Result<Bytes, Refusal> {
    let session = ask::pooled(door, client)?;
    let live = session.live(door).await?;
    let result = String::from_utf8_lossy(live.result()).into_owned();
    bridge::discover_result(&result).map_err(|error| ask::untranslatable(door, &error))
}

/// An `initialize` to an upstream that speaks 2026-07-28 only: the session is the gateway's.
pub(super) async fn initialize(door: &Door, request: &Request) -> Response<Body> {
    let version = Version::negotiate_legacy(
        &edit::get(&request.body, &["params", "protocolVersion"])
            .and_then(edit::text)
            .unwrap_or_default(),
    );
    let discovered = match ask::discover(door).await {
        Ok(discovered) => discovered,
        Err(refusal) => return refusal.response(Some(&request.id)),
    };
    let result = match bridge::initialize_result(&discovered, version, GATEWAY_INFO) {
        Ok(result) => result,
        Err(error) => return ask::untranslatable(door, &error).response(Some(&request.id)),
    };
    let mut response = json(result_message(&request.id, &result), Era::Legacy);
    let token = Session::found(door, door.service.id(), &request.body);
    if let Some(token) = token {
        response.headers_mut().insert(MCP_SESSION_ID, token);
    }
    response
}

pub(super) fn result_message(id: &str, result: &[u8]) -> Bytes {
    let result = std::str::from_utf8(result).unwrap_or("{}");
    bartizan_protocol::error::response(id, result)
}

/// A message of an older revision in a session that is the gateway's.
pub(super) async fn legacy(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
    session: &Session,
) -> Response<Body> {
    let client = match client(door, session) {
        Ok(client) => client,
        Err(refusal) => return refusal.response(None),
    };
    let Some(request) = Request::read(body, envelope) else {
        aside(door, &client, envelope, body).await;
        return accepted();
    };
    let answer = match bridge::from_legacy(&request.method) {
        Verdict::Refuse(reason) => bridge::refusal(&request.id, reason),
        Verdict::Answer(local) => answer_locally(door, &client, &request, local).await,
        Verdict::Listen => bridge::refusal(&request.id, "this revision has no such method"),
        Verdict::Forward => {
            let clients = door.shared.mcp().clients();
            let held = clients.hold(&session.id(), &door.caller);
            return talk(door, headers, Client::Legacy(client), request, held).await;
        }
    };
    json(answer, Era::Legacy)
}

/// The `GET` or `DELETE` of a session that is the gateway's.
pub(super) async fn bodiless(door: &Door, session: &Session, method: &Method) -> Response<Body> {
    let client = match client(door, session) {
        Ok(client) => client,
        Err(refusal) => return refusal.response(None),
    };
    if method == Method::GET {
        // Before anybody asks what only who has a stream is asked.
        let stream = news::stream(door, &client, &session.id());
        follow::attend(door, &client);
        return turns::until_gone(door, stream, None);
    }
    end(door, session, &client).await
}

/// Ends a session of the gateway's, as its client wants.
pub(super) async fn end(door: &Door, session: &Session, client: &ClientSession) -> Response<Body> {
    let house = door.shared.mcp();
    house.end(session.id(), &door.caller);
    house.clients().remove(&session.id(), &door.caller);
    end_client(door, client).await;
    Response::new(Body::empty())
}

/// Ends what there is of a client, and every session that it has with an upstream.
pub(super) async fn end_client(door: &Door, client: &ClientSession) {
    let upstreams = upstreams(door, client).into_iter();
    client.end();
    join_all(upstreams.map(|(door, session)| async move { session.end(&door).await })).await;
}

/// Every session that a client has with an upstream that is there, with its own door: at the
/// address of all services the door may be any one's.
fn upstreams(door: &Door, client: &ClientSession) -> Vec<(Door, Arc<UpstreamSession>)> {
    // A client may have been here for longer than its services.
    let shared = door.shared.latest();
    let shared = shared.as_ref().unwrap_or(&door.shared);
    let door_of = |id| {
        if door.service.id() == id {
            return Some(door.clone());
        }
        let mut services = shared.places().services().iter();
        Some(door.at(services.find(|service| service.id() == id)?))
    };
    let upstreams = client.upstreams().into_iter();
    upstreams
        .filter_map(|(id, session)| Some((door_of(id)?, session)))
        .collect()
}

/// What is kept of the client of a session; made anew from its token by a replica that never
/// saw it, or after it was forgotten.
///
/// # Errors
///
/// When its token does not hold what it takes, or there is no room.
pub(super) fn client(door: &Door, session: &Session) -> Result<Arc<ClientSession>, Refusal> {
    let clients = door.shared.mcp().clients();
    if let Some(client) = clients.get(&session.id(), &door.caller) {
        return Ok(client);
    }
    let introduction = session.introduction();
    let introduction = introduction.ok_or_else(Refusal::session_not_found)?;
    clients.get_or_insert(session.id(), &door.caller, || {
        Arc::new(ClientSession::new(introduction))
    })
}

/// What a client says without asking anything.
pub(super) async fn aside(
    door: &Door,
    client: &ClientSession,
    envelope: &Envelope<'_>,
    body: &Bytes,
) {
    match envelope.kind() {
        Kind::Response | Kind::Error => {
            if let Some(id) = envelope.raw_id() {
                client.answered(id, body.clone());
            }
        }
        Kind::Notification => match envelope.method() {
            Some(NOTIFICATION_CANCELLED) => {
                if let Some(id) = envelope.request_id() {
                    let reason = edit::get(body, &["params", "reason"]);
                    client.cancel(id.as_raw(), reason);
                }
            }
            Some(NOTIFICATION_PROGRESS) => progress(door, client, envelope, body).await,
            Some(NOTIFICATION_ROOTS_LIST_CHANGED) => {
                let upstreams = upstreams(door, client).into_iter();
                let told = upstreams.map(|(door, session)| {
                    let body = body.clone();
                    async move { session.notify(&door, body).await }
                });
                join_all(told).await;
            }
            _ => {}
        },
        Kind::Request => {}
    }
}

/// Tells the upstream whose question it is how far its client is with the answer.
async fn progress(door: &Door, client: &ClientSession, envelope: &Envelope<'_>, body: &Bytes) {
    let origin = envelope.progress_token().and_then(|it| client.origin(it));
    let Some((service, token)) = origin.and_then(|it| Some((it.service, it.token?))) else {
        return;
    };
    let mut edit = Edit::new(body);
    edit.set(&["params", "progressToken"], &token);
    let mut upstreams = upstreams(door, client).into_iter();
    let asked = upstreams.find(|(door, _)| door.service.id() == service);
    if let (Some((door, session)), Ok(told)) = (asked, edit.finish()) {
        session.notify(&door, told).await;
    }
}

async fn answer_locally(
    door: &Door,
    client: &Arc<ClientSession>,
    request: &Request,
    local: Local,
) -> Bytes {
    let uri = || edit::get(&request.body, &["params", "uri"]).and_then(edit::text);
    match local {
        Local::Ping => {}
        Local::SetLevel => {
            let level = edit::get(&request.body, &["params", "level"]);
            let Some(level) = level.and_then(LogLevel::from_json) else {
                let refusal = Refusal::answer(code::INVALID_PARAMS, "level is none of the eight");
                return request.refused(&refusal);
            };
            client.set_log_level(level);
        }
        Local::Subscribe => match uri() {
            Some(uri) => {
                if let Err(refusal) = follow::subscribe(door, client, &uri) {
                    return request.refused(&refusal);
                }
            }
            None => return missing(request, "uri"),
        },
        Local::Unsubscribe => match uri() {
            Some(uri) => client.unwatch(door.service.id(), &uri),
            None => return missing(request, "uri"),
        },
        Local::Initialize | Local::Discover => {
            let refusal = Refusal::answer(code::INVALID_REQUEST, "the session has begun already");
            return request.refused(&refusal);
        }
    }
    bridge::empty_result(&request.id)
}

fn missing(request: &Request, name: &str) -> Bytes {
    request.refused(&Refusal::answer(
        code::INVALID_PARAMS,
        format!("{name} is required"),
    ))
}

/// Asks the upstream, and lets the client hear all of it. What is `held` for the client meanwhile
/// has its answers find whoever asked.
async fn talk(
    door: &Door,
    headers: &HeaderMap,
    client: Client,
    request: Request,
    held: impl Send + 'static,
) -> Response<Body> {
    let (era, inner) = (client.era(), door.clone());
    let talk = Talk::with(headers, |out| async move {
        let _held = held;
        let asked = ask::ask(&inner, &client, &request, &out);
        ask::unless_cancelled(&client, &request, asked).await
    });
    respond(door.shared.mcp(), talk, headers, era).await
}
