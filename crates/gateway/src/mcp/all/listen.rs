use std::sync::Arc;

use axum::body::Body;
use bartizan_protocol::{Envelope, Era, edit, error as code};
use bartizan_transport::bridge::{self, Listen};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};

use super::owners;
use crate::mcp::{
    Door, Refusal,
    ask::{Client, ModernClient, Request},
    client::ClientSession,
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
    let level = edit::get(&request.body, &["params", "level"]).and_then(edit::text);
    let Some(level) = level.and_then(|level| level.parse().ok()) else {
        let refusal = Refusal::answer(code::INVALID_PARAMS, "level is none of the eight");
        return request.refused(&refusal);
    };
    client.set_log_level(level);
    let params = edit::get(&request.body, &["params"]).unwrap_or("{}");
    join_all(door.shared.places().services().iter().map(|service| {
        let door = door.at(service);
        async move {
            // An upstream of 2026-07-28 hears the level with every request.
            if let Ok(false) = probe::speaks_modern(&door).await {
                let session = client.upstream(&door);
                session.request(&door, "logging/setLevel", params).await;
            }
        }
    }))
    .await;
    bridge::empty_result(&request.id)
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
    let doors = owners::of_resource(door, &Client::Legacy(Arc::clone(client)), &uri).await;
    let Some(door) = doors.first() else {
        let refusal = Refusal::answer(code::RESOURCE_NOT_FOUND, "Resource not found");
        return request.refused(&refusal);
    };
    let watches = &*request.method == "resources/subscribe";
    match probe::speaks_modern(door).await {
        Ok(true) if watches => news::subscribe(door, client, &uri),
        Ok(true) => news::unsubscribe(door, client, &uri),
        Ok(false) => {
            let params = format!(r#"{{"uri":{}}}"#, edit::string(&uri));
            let session = client.upstream(door);
            news::attend(door, client);
            session.request(door, &request.method, &params).await;
        }
        Err(refusal) => return request.refused(&refusal),
    }
    bridge::empty_result(&request.id)
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
            client: Arc::new(ClientSession::new(introduction)),
            door: door.clone(),
        };
        let mut heard = listener.client.news();
        out.say(listen.acknowledged()).await;
        turns::attend_all(&door, &listener.client);
        for uri in listen.uris() {
            let asker = Client::Legacy(Arc::clone(&listener.client));
            if let Some(door) = owners::of_resource(&door, &asker, uri).await.first() {
                watch(door, &listener.client, uri).await;
            }
        }
        while let Some(message) = news::next(&mut heard).await {
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

async fn watch(door: &Door, client: &Arc<ClientSession>, uri: &str) {
    if let Ok(true) = probe::speaks_modern(door).await {
        news::subscribe(door, client, uri);
    } else {
        let params = format!(r#"{{"uri":{}}}"#, edit::string(uri));
        let session = client.upstream(door);
        session.request(door, "resources/subscribe", &params).await;
    }
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
            super::end_upstreams(&door, &client).await;
        });
    }
}
