//! What upstreams say to nobody in particular: changed lists and resources.
//!
//! An older upstream says it on the stream of a `GET`, one of 2026-07-28 on the stream of a
//! `subscriptions/listen`. Either is held open while somebody listens and opened again, after a
//! growing pause, when it breaks.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::body::Body;
use bartizan_backoff::{Backoff, Jitter};
use bartizan_classify::RequestClass;
use bartizan_protocol::{Envelope, Era, Kind, edit, error as code};
use bartizan_transport::{
    bridge::{ClientMeta, Listen, Route, server_notification, unstamp},
    sessions::SessionId,
    stream::{EventStream, set_headers},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    Door, Exchange, Message, Refusal,
    ask::{self, ModernClient, Request},
    client::ClientSession,
    lost,
    raw::LISTENING,
    respond::respond,
    talk::Talk,
    turns,
    upstream::UpstreamSession,
};
use crate::service::{Payload, Service};

/// A task that ends with the last who wanted it.
#[derive(Debug)]
pub(crate) struct Attendance {
    task: tokio::task::AbortHandle,
    /// The service that it is about, if it is about one.
    service: Weak<Service>,
}

impl Attendance {
    pub(super) fn begin(
        service: Weak<Service>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            service,
            task: tokio::spawn(task).abort_handle(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Whether it is about this very service, and not one that has its name.
    fn is_of(&self, service: &Arc<Service>) -> bool {
        self.service.as_ptr() == Arc::as_ptr(service)
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The stream that a client of an older revision asks for by `GET`, of news that somebody sees to.
pub(super) fn stream(
    door: &Door,
    client: &Arc<ClientSession>,
    session: &SessionId,
) -> Response<Body> {
    let house = door.shared.mcp();
    let held = (
        house.clients().hold(session, &door.caller),
        client.holds_stream(),
    );
    let messages = stream::unfold((client.news(), held), async |(mut news, held)| {
        let message = next(&mut news).await?;
        Some((message, (news, held)))
    });
    let messages = messages.take_until(Box::pin(door.shared.until_drain()));
    let body = EventStream::new(Box::pin(messages), house.keep_alive(), house.clock());
    let mut response = Response::new(Body::new(body));
    set_headers(response.headers_mut());
    response
}

/// The next of the news. Who fell behind misses some: they say that something changed, which is
/// as true of the next.
pub(super) async fn next(news: &mut broadcast::Receiver<Bytes>) -> Option<Bytes> {
    loop {
        match news.recv().await {
            Ok(message) => return Some(message),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// Has the client hear the news of the door's service from now on.
pub(super) fn attend(door: &Door, client: &Arc<ClientSession>) {
    client.attend(door.service.id(), |attendance| {
        if attendance.is_some_and(|it| !it.is_over() && it.is_of(&door.service)) {
            return None;
        }
        let task = follow(door.clone(), Arc::downgrade(client), None);
        Some(Attendance::begin(Arc::downgrade(&door.service), task))
    });
}

/// Begins anew with what the client watches now.
fn attend_again(door: &Door, client: &Arc<ClientSession>) {
    client.attend_anew(door.service.id(), |before| {
        let task = follow(door.clone(), Arc::downgrade(client), before);
        Attendance::begin(Arc::downgrade(&door.service), task)
    });
}

/// Watches a resource of the door's service for a client of an older revision.
///
/// # Errors
///
/// When the client watches as many as it may.
pub(super) fn subscribe(
    door: &Door,
    client: &Arc<ClientSession>,
    uri: &str,
) -> Result<(), Refusal> {
    if client.watch(door.service.id(), uri)? {
        attend_again(door, client);
    }
    Ok(())
}

/// Watches a resource no longer.
pub(super) fn unsubscribe(door: &Door, client: &Arc<ClientSession>, uri: &str) {
    if client.unwatch(door.service.id(), uri) {
        attend_again(door, client);
    }
}

/// Follows the news of a service, in the place of what did so before.
async fn follow(door: Door, client: Weak<ClientSession>, mut before: Option<Attendance>) {
    let mut pause = Pause::new();
    while client.strong_count() > 0 {
        let heard = match super::probe::speaks_modern(&door).await {
            Ok(true) => {
                drop(before.take());
                follow_modern(&door, &client).await
            }
            Ok(false) => {
                follow_legacy(&door, &client, before.take()).await;
                Followed::Nothing
            }
            Err(_) => Followed::Nothing,
        };
        if heard == Followed::InVain {
            return std::future::pending().await;
        }
        pause.after(&door, heard == Followed::Something).await;
    }
}

/// How following a stream to its end went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    Something,
    Nothing,
    /// The upstream has no such stream.
    InVain,
}

/// Follows the news of a session with an older upstream for as long as the client is there.
async fn follow_legacy(door: &Door, client: &Weak<ClientSession>, before: Option<Attendance>) {
    let Some(strong) = client.upgrade() else {
        return;
    };
    let session = strong.upstream(door);
    let uris = strong.watched(door.service.id());
    drop(strong);
    let watching = session.watch(door);
    let watched = Watched::new(door, &session, uris);
    // Only now, so that the upstream is told of nothing that stays as it was.
    drop(before);
    let mut news = session.news();
    drop(session);
    watched.subscribe().await;
    while let (Some(message), Some(client)) = (next(&mut news).await, client.upgrade()) {
        let message = if ask::takes_back(&message) {
            ask::taken_back(door, &client, &message)
        } else {
            Some(message)
        };
        message.into_iter().for_each(|message| client.tell(message));
    }
    drop((watching, watched));
}

fn listen_request(door: &Door, client: &ClientSession) -> Option<Bytes> {
    let mut listen = Listen::new("\"bartizan-listen\"");
    (listen.tools, listen.prompts, listen.resources) = (true, true, true);
    for uri in client.watched(door.service.id()) {
        // A client watches no more than one stream may.
        let _ = listen.watch(&uri);
    }
    let meta = ClientMeta {
        capabilities: client.modern_capabilities(),
        info: Some(&client.introduction().info),
        log_level: None,
    };
    listen.request(&meta).ok()
}

/// Follows one stream of an upstream of 2026-07-28 to its end. The client's session does not
/// live for the sake of its news.
async fn follow_modern(door: &Door, client: &Weak<ClientSession>) -> Followed {
    let request = client
        .upgrade()
        .and_then(|client| listen_request(door, &client));
    let Some(body) = request else {
        return Followed::Nothing;
    };
    let Ok(envelope) = Envelope::read(&body) else {
        return Followed::Nothing;
    };
    let message = Message {
        method: Method::POST,
        class: RequestClass::Safe,
        headers: ask::mirror(&envelope),
        body: body.clone(),
        instance: None,
        is_clients: false,
    };
    let Ok(response) = door.send(message).await else {
        return Followed::Nothing;
    };
    let mut exchange = listening(door, response);
    let mut heard = Followed::Nothing;
    while let Some(Ok(message)) = exchange.next().await {
        let Ok(envelope) = Envelope::read(&message) else {
            return heard;
        };
        if envelope.error_code() == Some(code::METHOD_NOT_FOUND) {
            return Followed::InVain;
        }
        let (Some(client), Some(method)) = (client.upgrade(), envelope.method()) else {
            return heard;
        };
        heard = Followed::Something;
        door.heard(&envelope);
        if server_notification(method) == Route::Subscribers
            && let Ok(message) = unstamp(&message)
        {
            client.tell(message);
        }
    }
    heard
}

/// Reads a stream that may have nothing to tell for as long as it likes.
fn listening(door: &Door, response: Response<Payload>) -> Exchange {
    let house = door.shared.mcp();
    Exchange::new(
        response,
        house.max_message_bytes(),
        LISTENING,
        house.clock(),
    )
}

/// The pause before a broken stream is opened again.
struct Pause {
    backoff: Option<Backoff>,
    attempt: u32,
}

impl Pause {
    fn new() -> Self {
        let backoff = Backoff::exponential(Duration::from_millis(500))
            .max(Duration::from_secs(30))
            .jitter(Jitter::Equal)
            .build();
        Self {
            backoff: backoff.ok(),
            attempt: 0,
        }
    }

    async fn after(&mut self, door: &Door, heard: bool) {
        self.attempt = if heard { 1 } else { self.attempt + 1 };
        let delay = self.backoff.as_ref();
        let delay = delay.map(|it| it.delay(self.attempt, &mut fastrand::Rng::new()));
        let delay = delay.unwrap_or(Duration::from_secs(1));
        door.shared.clock().sleep(delay).await;
    }
}

impl UpstreamSession {
    /// Holds the stream of this session's news open until the guard is dropped.
    pub(crate) fn watch(self: &Arc<Self>, door: &Door) -> Arc<Attendance> {
        self.attended(|| {
            let task = listen_by_get(door.clone(), Arc::downgrade(self));
            Attendance::begin(Arc::downgrade(&door.service), task)
        })
    }
}

async fn listen_by_get(door: Door, session: Weak<UpstreamSession>) {
    let mut pause = Pause::new();
    loop {
        let Some(strong) = session.upgrade() else {
            return;
        };
        let sent = strong.send(&door, |live| live.listen()).await;
        drop(strong);
        let mut heard = false;
        if let Ok((response, live)) = sent {
            if has_no_stream(response.status()) {
                // It has no news to tell, now or ever.
                return std::future::pending().await;
            }
            let mut exchange = listening(&door, response);
            while let Some(Ok(message)) = exchange.next().await {
                let Some(strong) = session.upgrade() else {
                    return;
                };
                let Ok(envelope) = Envelope::read(&message) else {
                    continue;
                };
                heard = true;
                if envelope.kind() == Kind::Request {
                    strong.asked(&door, &live, message).await;
                } else {
                    strong.heard(&door, &envelope);
                    strong.tell(message);
                }
            }
        }
        pause.after(&door, heard).await;
    }
}

/// Whether the answer to a `GET` means that there is nothing to be had by one.
fn has_no_stream(status: StatusCode) -> bool {
    status == StatusCode::NOT_IMPLEMENTED
        || status.is_client_error()
            && !lost::is_credential(status)
            && !matches!(
                status,
                StatusCode::NOT_FOUND | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
            )
}

/// The stream that a client of 2026-07-28 asks an older upstream for.
pub(super) async fn listen(
    door: &Door,
    client: &Arc<ModernClient>,
    request: &Request,
    headers: &HeaderMap,
) -> Response<Body> {
    let wanted = match Listen::read(&request.body) {
        Ok(wanted) => wanted,
        Err(invalid) => {
            let refusal = Refusal::new(
                StatusCode::BAD_REQUEST,
                code::INVALID_PARAMS,
                invalid.to_string(),
            );
            return refusal.response(Some(&request.id));
        }
    };
    let begun = async {
        let session = ask::pooled(door, client)?;
        let live = session.live(door).await?;
        Ok((session, live))
    };
    let (session, live) = match begun.await {
        Ok(begun) => begun,
        Err(refusal) => return Refusal::response(&refusal, Some(&request.id)),
    };
    let capabilities = edit::get(live.result(), &["capabilities"]).unwrap_or("{}");
    let honoured = wanted.honoured_by(capabilities);
    let door_of_talk = door.clone();
    let talk = Talk::new(|out| async move {
        let mut news = session.news();
        let watching = session.watch(&door_of_talk);
        let uris = honoured.uris().map(Into::into).collect();
        let watched = Watched::new(&door_of_talk, &session, uris);
        watched.subscribe().await;
        out.say(honoured.acknowledged()).await;
        let mut gone = pin!(turns::gone(&door_of_talk));
        let mut drain = pin!(door_of_talk.shared.until_drain());
        loop {
            let message = tokio::select! {
                message = next(&mut news) => message,
                () = &mut drain => None,
                () = &mut gone => {
                    for message in turns::changed_for(&honoured) {
                        out.say(message).await;
                    }
                    None
                }
            };
            let Some(message) = message else {
                break;
            };
            let Ok(envelope) = Envelope::read(&message) else {
                continue;
            };
            let uri = edit::get(&message, &["params", "uri"]).and_then(edit::text);
            if honoured.matches(envelope.method().unwrap_or_default(), uri.as_deref())
                && let Ok(stamped) = honoured.stamp(&message)
            {
                out.say(stamped).await;
            }
        }
        drop((watching, watched));
        Some(honoured.closed(None))
    });
    respond(door.shared.mcp(), talk, headers, Era::Modern).await
}

/// The resources that one stream watches at an older upstream, which is told when the last
/// stream that watched one has ended.
struct Watched {
    door: Door,
    session: Arc<UpstreamSession>,
    uris: Vec<Box<str>>,
}

impl Watched {
    fn new(door: &Door, session: &Arc<UpstreamSession>, uris: Vec<Box<str>>) -> Self {
        uris.iter().for_each(|uri| session.count_watch(uri));
        Self {
            door: door.clone(),
            session: Arc::clone(session),
            uris,
        }
    }

    /// Has the upstream watch what it does not yet.
    async fn subscribe(&self) {
        for uri in &self.uris {
            self.session.subscribe(&self.door, uri).await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let session = Arc::clone(&self.session);
        let uris: Vec<_> = std::mem::take(&mut self.uris)
            .into_iter()
            .filter(|uri| session.count_unwatch(uri))
            .collect();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let door = self.door.clone();
        runtime.spawn(async move {
            for uri in uris {
                if session.is_watched(&uri) {
                    continue;
                }
                session.unsubscribe(&door, &uri).await;
                // Somebody may have come while it was said, and may have said so before.
                if session.is_watched(&uri) {
                    session.subscribe(&door, &uri).await;
                }
            }
        });
    }
}
