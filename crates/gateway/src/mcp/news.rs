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
use bartizan_protocol::{Envelope, Era, Kind, edit, error as code};
use bartizan_transport::{
    bridge::Listen,
    sessions::SessionId,
    stream::{EventStream, IdleLimits, set_headers},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    Door, Exchange, Refusal,
    ask::{self, ModernClient, Request},
    client::ClientSession,
    live::Live,
    lost::Asks,
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
    pub(super) fn is_of(&self, service: &Arc<Service>) -> bool {
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
    let hearing = (Hearing::new(client), held);
    let messages = stream::unfold(hearing, async |(mut hearing, held)| {
        let message = hearing.next().await?;
        Some((message, (hearing, held)))
    });
    let messages = messages.take_until(Box::pin(door.shared.until_listeners_go()));
    let body = EventStream::new(Box::pin(messages), house.keep_alive(), house.clock());
    let mut response = Response::new(Body::new(body));
    set_headers(response.headers_mut());
    response
}

/// What a client hears on one stream.
struct Hearing {
    client: Arc<ClientSession>,
    news: broadcast::Receiver<Bytes>,
    /// Questions that it may not have heard.
    again: std::vec::IntoIter<Bytes>,
}

impl Hearing {
    fn new(client: &Arc<ClientSession>) -> Self {
        let (news, again) = client.news();
        Self {
            client: Arc::clone(client),
            news,
            again: again.into_iter(),
        }
    }

    /// The next of the news. Who fell behind misses some, but is asked again what is asked.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(question) = self.again.next() {
                return Some(question);
            }
            match self.news.recv().await {
                Ok(message) => return Some(message),
                Err(RecvError::Lagged(_)) => {
                    self.again = self.client.questions().outside().into_iter();
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
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

/// Reads a stream that may have nothing to tell for as long as it likes.
pub(super) fn listening(door: &Door, response: Response<Payload>) -> Exchange {
    let house = door.shared.mcp();
    Exchange::new(
        response,
        house.max_message_bytes(),
        IdleLimits::silence(LISTENING),
        house.clock(),
    )
}

/// The pause before a broken stream is opened again.
pub(super) struct Pause {
    backoff: Option<Backoff>,
    attempt: u32,
}

impl Pause {
    pub(super) fn new() -> Self {
        let backoff = Backoff::exponential(Duration::from_millis(500))
            .max(Duration::from_secs(30))
            .jitter(Jitter::Equal)
            .build();
        Self {
            backoff: backoff.ok(),
            attempt: 0,
        }
    }

    pub(super) async fn after(&mut self, door: &Door, heard: bool) {
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
    let mut was_away = false;
    loop {
        let Some(strong) = session.upgrade() else {
            return;
        };
        let sent = strong.send(&door, Asks::Stream, |live| live.listen()).await;
        let is_away = match &sent {
            Ok((response, _)) => response.status().is_server_error(),
            Err(_) => true,
        };
        if was_away && !is_away {
            strong.is_back(&door);
        }
        was_away = is_away;
        drop(strong);
        let mut heard = false;
        if let Ok((response, live)) = sent {
            if has_no_stream(response.status()) {
                // It has no news to tell in this session, now or ever.
                if replaced(&session, &live).await.is_none() {
                    return;
                }
                continue;
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

/// Completes when another has taken the place of `live`; with nothing when the session is gone.
async fn replaced(session: &Weak<UpstreamSession>, live: &Arc<Live>) -> Option<()> {
    let replaced = session.upgrade()?.replaced();
    loop {
        let again = replaced.notified();
        if !session.upgrade()?.is_still(live).await {
            return Some(());
        }
        again.await;
    }
}

/// Whether the answer to a `GET` means that there is nothing to be had by one, now or ever: that
/// the server knows no such request. A 404 is no loss of the session here, which was seen to.
/// Whatever else refuses one may be over, like the stream before it that a 409 speaks of, or the
/// session, which some servers know not with 400.
fn has_no_stream(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::NOT_IMPLEMENTED
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
    let door = &door.for_listening();
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
        let mut leaves = pin!(door_of_talk.shared.until_listeners_go());
        loop {
            let message = tokio::select! {
                message = next(&mut news) => message,
                () = &mut leaves => None,
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
pub(super) struct Watched {
    door: Door,
    session: Arc<UpstreamSession>,
    uris: Vec<Box<str>>,
}

impl Watched {
    pub(super) fn new(door: &Door, session: &Arc<UpstreamSession>, uris: Vec<Box<str>>) -> Self {
        uris.iter().for_each(|uri| session.count_watch(uri));
        Self {
            door: door.clone(),
            session: Arc::clone(session),
            uris,
        }
    }

    /// Has the upstream watch what it does not yet.
    pub(super) async fn subscribe(&self) {
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
        if uris.is_empty() {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{Introduction, questions::Origin};

    #[tokio::test]
    async fn who_falls_behind_is_asked_again_what_is_asked() {
        let client = Arc::new(ClientSession::new(Introduction::of_gateway()));
        let _held = client.holds_stream();
        let mut hearing = Hearing::new(&client);
        let origin = |id: &str| Origin {
            service: 1,
            id: id.into(),
            token: None,
        };
        let put = |id: &str| {
            let text = Bytes::from(format!("question {id}"));
            let asked = client.ask_on_stream(origin(id), |_| text.clone());
            (asked, text)
        };
        let (first, second) = (put("1"), put("2"));
        drop(first);
        for _ in 0..1000 {
            client.tell(Bytes::from_static(b"news"));
        }
        assert_eq!(hearing.next().await, Some(second.1));
        assert_eq!(hearing.next().await.as_deref(), Some(&b"news"[..]));
    }
}
