use std::{pin::pin, sync::Arc};

use axum::body::Body;
use bartizan_protocol::{Envelope, Era, edit, error as code, method::RESOURCES_UNSUBSCRIBE};
use bartizan_transport::bridge::{self, Listen, LogLevel};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};

use super::owners;
use crate::mcp::{
    Door, Refusal,
    ask::{Client, ModernClient, Request},
    bridged,
    client::ClientSession,
    follow,
    known::Told,
    news, probe,
    respond::respond,
    talk::Talk,
    turns,
};

/// Which log messages a client of an older revision wants, from every service that logs.
pub(super) async fn set_level(
    door: &Door,
    client: &Arc<ClientSession>,
    request: &Request,
) -> Bytes {
    let level = edit::get(&request.body, &["params", "level"]);
    let Some(level) = level.and_then(LogLevel::from_json) else {
        let refusal = Refusal::answer(code::INVALID_PARAMS, "level is none of the eight");
        return request.refused(&refusal);
    };
    let said = client.set_log_level(level);
    let params: Arc<str> = edit::get(&request.body, &["params"]).unwrap_or("{}").into();
    let services = door.shared.places().services().iter();
    let told: Vec<_> = services
        .map(|service| {
            tell_level(
                door.at(service),
                Arc::clone(client),
                Arc::clone(&params),
                said,
            )
        })
        .map(tokio::spawn)
        .collect();
    // One that takes long hears it later, and holds nobody up.
    let _ = tokio::time::timeout(door.shared.shelf().timeout(), join_all(told)).await;
    bridge::empty_result(&request.id)
}

async fn tell_level(door: Door, client: Arc<ClientSession>, params: Arc<str>, said: u64) {
    // An upstream of 2026-07-28 hears the level with every request, and one that says nothing now
    // in the session that is begun with it next.
    match probe::speaks_modern(&door).await {
        Ok(true) => {}
        Ok(false) => {
            let session = client.upstream(&door);
            session.tell_level(&door, params, said).await;
        }
        Err(_) if client.levels_said() == said => {
            client.upstream(&door).note(Told::Level(params));
        }
        Err(_) => {}
    }
}

/// `resources/subscribe` and `resources/unsubscribe`.
pub(super) async fn subscribe(
    door: &Door,
    client: &Arc<ClientSession>,
    request: &Request,
) -> Bytes {
    let uri = edit::get(&request.body, &["params", "uri"]).and_then(edit::text);
    let Some(uri) = uri else {
        let refusal = Refusal::answer(code::INVALID_PARAMS, "uri is required");
        return request.refused(&refusal);
    };
    if &*request.method == RESOURCES_UNSUBSCRIBE {
        for service in door.shared.places().services() {
            client.unwatch(service.id(), &uri);
        }
        return bridge::empty_result(&request.id);
    }
    let asker = Client::Legacy(Arc::clone(client));
    let mut said: Option<Refusal> = None;
    for door in owners::of_resource(door, &asker, &uri).await {
        match watch(&door, client, &uri).await {
            Ok(()) => return bridge::empty_result(&request.id),
            // Who has no resources does not know this one better.
            Err(refusal)
                if said
                    .as_ref()
                    .is_none_or(|it| it.code() == code::METHOD_NOT_FOUND) =>
            {
                said = Some(refusal);
            }
            Err(_) => {}
        }
    }
    let none = || Refusal::answer(code::RESOURCE_NOT_FOUND, "Resource not found");
    request.refused(&said.unwrap_or_else(none))
}

/// The stream that a client of 2026-07-28 asks all services for.
pub(super) async fn listen(
    door: &Door,
    headers: &HeaderMap,
    client: &Arc<ModernClient>,
    request: &Request,
) -> Response<Body> {
    let listen = match Listen::read(&request.body) {
        Ok(listen) => listen,
        Err(invalid) => {
            let (status, code) = (StatusCode::BAD_REQUEST, code::INVALID_PARAMS);
            return Refusal::new(status, code, invalid.to_string()).response(Some(&request.id));
        }
    };
    let (door_of_talk, introduction) = (door.clone(), client.introduction.clone());
    let talk = Talk::new(|out| async move {
        let door = door_of_talk;
        // A session of its own, as the stream is one of its own.
        let listener = Gathering {
            client: Arc::new(ClientSession::listener(introduction)),
            door: door.for_staying(),
        };
        let (mut heard, _) = listener.client.news();
        out.say(listen.acknowledged()).await;
        turns::attend_all(&door, &listener.client);
        for uri in listen.uris() {
            let asker = Client::Legacy(Arc::clone(&listener.client));
            for door in owners::of_resource(&door, &asker, uri).await {
                if watch(&door, &listener.client, uri).await.is_ok() {
                    break;
                }
            }
        }
        let mut leaves = pin!(door.shared.until_listeners_go());
        // What was there when the stream began is not kept for as long as it lasts.
        drop(door);
        loop {
            let message = tokio::select! {
                message = news::next(&mut heard) => message,
                () = &mut leaves => None,
            };
            let Some(message) = message else {
                break;
            };
            let Ok(envelope) = Envelope::read(&message) else {
                continue;
            };
            let uri = edit::get(&message, &["params", "uri"]).and_then(edit::text);
            if listen.matches(envelope.method().unwrap_or_default(), uri.as_deref())
                && let Ok(stamped) = listen.stamp(&message)
            {
                out.say(stamped).await;
            }
        }
        Some(listen.closed(None))
    });
    respond(door.shared.mcp(), talk, headers, Era::Modern).await
}

/// Watches a resource of the door's service.
///
/// # Errors
///
/// When the service refuses, which one of 2026-07-28 does not say.
async fn watch(door: &Door, client: &Arc<ClientSession>, uri: &str) -> Result<(), Refusal> {
    if !probe::speaks_modern(door).await? {
        let session = client.upstream(door);
        let answer = session.subscribe(door, uri).await;
        refused(answer.as_deref())?;
    }
    follow::subscribe(door, client, uri)
}

/// What an upstream says against a request, if it does not do it.
fn refused(answer: Option<&[u8]>) -> Result<(), Refusal> {
    let envelope = answer.and_then(|answer| Envelope::read(answer).ok());
    let Some(envelope) = envelope else {
        return Err(Refusal::answer(code::UNREACHABLE, "no answer came"));
    };
    let Some(number) = envelope.error_code() else {
        return Ok(());
    };
    let text = answer.and_then(|answer| edit::get(answer, &["error", "message"]));
    let text = text.and_then(edit::text).unwrap_or_default();
    Err(Refusal::answer(number, text.into_owned()))
}

/// Sessions with upstreams that live as long as one stream.
struct Gathering {
    client: Arc<ClientSession>,
    door: Door,
}

impl Drop for Gathering {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (client, door) = (Arc::clone(&self.client), self.door.clone());
        runtime.spawn(async move {
            bridged::end_client(&door, &client).await;
        });
    }
}
