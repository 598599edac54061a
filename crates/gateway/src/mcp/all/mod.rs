//! All services behind one address: their tools and prompts under `service__name`, their
//! resources under their own URIs.
//!
//! The gateway answers for itself what concerns no service. Lists are put together from what
//! each service last said, and a service that says nothing costs its own part of them only.
//! Everything else goes to the one service it is about, with nothing changed but the name.

mod handshake;
mod list;
mod listen;
mod lists;
mod offers;
mod own_tools;
mod owners;
mod places;
mod route;
mod shelf;

use std::sync::Arc;

use axum::body::Body;
use bartizan_protocol::{
    Envelope, Era, error as code,
    headers::MCP_SESSION_ID,
    method::{INITIALIZE, is_list},
};
use bartizan_transport::bridge::{self, Local, Verdict};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};

pub(crate) use self::{
    offers::{offers, tools},
    own_tools::own_tools,
    places::Places,
    shelf::{Shelf, Watch},
};
use super::{
    Door, Refusal, Session,
    ask::{self, Client, Request},
    bridged, inbound, news,
    respond::{accepted, json, respond},
    talk::{Outgoing, Talk},
    tools, turns,
};

/// The place of sessions with all services. No service's name has this hash but by an accident
/// of one in 2⁶⁴.
pub(super) const EVERYWHERE: u64 = 0;

/// Answers one message to all services; the door may be any one's.
pub(crate) async fn message(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Response<Body> {
    let refuse = |refusal: Refusal| refusal.response(envelope.raw_id());
    let era = match inbound::era(headers, envelope) {
        Ok(era) => era,
        Err(refusal) => return refuse(refusal),
    };
    if era == Era::Modern {
        return match inbound::check(headers, envelope) {
            Ok(()) => modern(door, headers, envelope, body).await,
            Err(refusal) => refuse(refusal),
        };
    }
    if envelope.method() == Some(INITIALIZE) && !headers.contains_key(MCP_SESSION_ID) {
        return handshake::initialize(door, body, envelope);
    }
    match session(door, headers) {
        Ok(session) => legacy(door, headers, envelope, body, &session).await,
        Err(refusal) => refuse(refusal),
    }
}

fn session(door: &Door, headers: &HeaderMap) -> Result<Session, Refusal> {
    match headers.get(MCP_SESSION_ID) {
        Some(token) => Session::open_at(door, EVERYWHERE, token),
        None => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            code::INVALID_REQUEST,
            "Bad Request: Mcp-Session-Id is required; initialize to get one",
        )),
    }
}

async fn modern(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Response<Body> {
    let Some(request) = Request::read(body, envelope) else {
        return accepted();
    };
    let client = Arc::new(bridged::modern_client(envelope));
    match bridge::from_modern(&request.method) {
        Verdict::Refuse(reason) => {
            Refusal::new(StatusCode::NOT_FOUND, code::METHOD_NOT_FOUND, reason)
                .response(Some(&request.id))
        }
        Verdict::Answer(_) => handshake::discover(door, &request),
        Verdict::Listen => listen::listen(door, headers, &client, &request).await,
        Verdict::Forward => forward(door, headers, Client::Modern(client), request, ()).await,
    }
}

async fn legacy(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &Bytes,
    session: &Session,
) -> Response<Body> {
    let client = match bridged::client(door, session) {
        Ok(client) => client,
        Err(refusal) => return refusal.response(None),
    };
    let Some(request) = Request::read(body, envelope) else {
        bridged::aside(door, &client, envelope, body).await;
        return accepted();
    };
    let answer = match bridge::from_legacy(&request.method) {
        Verdict::Refuse(reason) => bridge::refusal(&request.id, reason),
        Verdict::Listen => bridge::refusal(&request.id, "this revision has no such method"),
        Verdict::Answer(Local::SetLevel) => listen::set_level(door, &client, &request).await,
        Verdict::Answer(Local::Subscribe | Local::Unsubscribe) => {
            listen::subscribe(door, &client, &request).await
        }
        Verdict::Answer(Local::Ping) => bridge::empty_result(&request.id),
        Verdict::Answer(_) => request.refused(&Refusal::answer(
            code::INVALID_REQUEST,
            "the session has begun already",
        )),
        Verdict::Forward => {
            let clients = door.shared.mcp().clients();
            let held = clients.hold(&session.id(), &door.caller);
            return forward(door, headers, Client::Legacy(client), request, held).await;
        }
    };
    json(answer, Era::Legacy)
}

/// Answers a `GET` or `DELETE` of the older revisions.
pub(crate) async fn bodiless(door: &Door, headers: &HeaderMap, method: &Method) -> Response<Body> {
    let begun = session(door, headers).and_then(|session| {
        let client = bridged::client(door, &session)?;
        Ok((session, client))
    });
    let (session, client) = match begun {
        Ok(begun) => begun,
        Err(refusal) => return refusal.response(None),
    };
    if method == Method::GET {
        // Before anybody asks what only who has a stream is asked.
        let stream = news::stream(door, &client, &session.id());
        turns::attend_all(door, &client);
        return stream;
    }
    bridged::end(door, &session, &client).await
}

/// Answers from the lists, or asks the one service that a request is about. What is `held` for the
/// client meanwhile has its answers find whoever asked.
async fn forward(
    door: &Door,
    headers: &HeaderMap,
    client: Client,
    request: Request,
    held: impl Send + 'static,
) -> Response<Body> {
    let era = client.era();
    if is_list(&request.method) {
        return lists::answer(door, &client, &request).await;
    }
    let (inner, mirrored) = (door.clone(), headers.clone());
    let talk = Talk::with(headers, |out| async move {
        let _held = held;
        let asked = async {
            let found = async {
                let (doors, request) = route::find(&inner, &client, &request).await?;
                if let (Client::Modern(_), [door]) = (&client, &doors[..]) {
                    check(door, &mirrored, &request).await?;
                }
                Ok((doors, request))
            };
            match found.await {
                Ok((doors, request)) => ask_in_turn(&doors, &client, &request, &out).await,
                Err(refusal) => request.refused(&refusal),
            }
        };
        ask::unless_cancelled(&client, &request, asked).await
    });
    respond(door.shared.mcp(), talk, headers, era).await
}

/// Holds a call to what its tool's schema says of headers.
async fn check(door: &Door, headers: &HeaderMap, request: &Request) -> Result<(), Refusal> {
    match Envelope::read(&request.body) {
        Ok(envelope) => tools::check(door, headers, &envelope).await,
        // The name was replaced in what had been read before.
        Err(_) => Ok(()),
    }
}

/// The answer of the first that has one. If none has, the first that knows what it is asked, for
/// who has no resources at all does not know this one better.
async fn ask_in_turn(doors: &[Door], client: &Client, request: &Request, out: &Outgoing) -> Bytes {
    let mut first = None;
    for door in doors {
        let answer = ask::ask(door, client, request, out).await;
        let is_result = Envelope::read(&answer).is_ok_and(|it| it.result().is_some());
        if is_result {
            return answer;
        }
        let knows =
            Envelope::read(&answer).is_ok_and(|it| it.error_code() != Some(code::METHOD_NOT_FOUND));
        if first.as_ref().is_none_or(|(known, _)| knows && !known) {
            first = Some((knows, answer));
        }
    }
    first.map(|(_, answer)| answer).unwrap_or_default()
}
