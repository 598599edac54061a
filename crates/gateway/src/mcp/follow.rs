//! Following the news of a service on behalf of one client.
//!
//! One task a client and service does so for as long as the client is there, whichever era the
//! service is of, and whatever the client comes to watch meanwhile.

use std::sync::{Arc, Weak};

use bartizan_classify::RequestClass;
use bartizan_protocol::{Envelope, error as code};
use bartizan_transport::bridge::{ClientMeta, Listen, Route, server_notification, unstamp};
use bytes::Bytes;
use futures_util::future::{FutureExt, OptionFuture};
use http::Method;
use tokio::sync::watch;

use super::{
    Door, Exchange, Message, Refusal, ask,
    client::{ClientSession, Resources},
    lost,
    news::{Attendance, Pause, Watched, listening, next},
    probe,
    turns::{all_changed, gone},
};

/// Has the client hear the news of the door's service from now on, for as long as it is there.
pub(super) fn attend(door: &Door, client: &Arc<ClientSession>) {
    client.attend(door.service.id(), |attendance| {
        if attendance.is_some_and(|it| !it.is_over() && it.is_of(&door.service)) {
            return None;
        }
        let wanted = Wanted::new(client, door.service.id());
        let (gone, staying, client) = (gone(door), door.for_listening(), Arc::downgrade(client));
        let task = async move {
            tokio::select! {
                () = follow(staying, client, wanted) => {}
                () = gone => {}
            }
        };
        Some(Attendance::begin(Arc::downgrade(&door.service), task))
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
    client.watch(door.service.id(), uri)?;
    attend(door, client);
    Ok(())
}

/// The resources of one service that a client watches.
struct Wanted {
    service: u64,
    all: watch::Receiver<Resources>,
    uris: Vec<Box<str>>,
}

impl Wanted {
    fn new(client: &ClientSession, service: u64) -> Self {
        let mut wanted = Self {
            service,
            all: client.watched(),
            uris: Vec::new(),
        };
        wanted.uris = wanted.now();
        wanted
    }

    fn now(&mut self) -> Vec<Box<str>> {
        let all = self.all.borrow_and_update();
        let first: (u64, Box<str>) = (self.service, "".into());
        let of_service = all.range(first..).take_while(|(it, _)| *it == self.service);
        of_service.map(|(_, uri)| uri.clone()).collect()
    }

    /// Completes when they are others than they were.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost by dropping the future.
    async fn changed(&mut self) {
        while self.all.changed().await.is_ok() {
            let now = self.now();
            if now != self.uris {
                self.uris = now;
                return;
            }
        }
        // The client is gone, and whoever follows for it about to be.
        std::future::pending::<()>().await;
    }
}

/// Follows the news of a service.
async fn follow(door: Door, client: Weak<ClientSession>, mut wanted: Wanted) {
    let mut pause = Pause::new();
    let mut was_away = false;
    while client.strong_count() > 0 {
        let heard = match probe::speaks_modern(&door).await {
            Ok(true) => follow_modern(&door, &client, &mut wanted, &mut was_away).await,
            Ok(false) => {
                if std::mem::take(&mut was_away) {
                    is_back(&door, &client);
                }
                let turned = door.service.mcp().map(|mcp| mcp.eras().until_modern());
                tokio::select! {
                    () = follow_legacy(&door, &client, &mut wanted) => {}
                    Some(()) = OptionFuture::from(turned) => {}
                }
                Followed::Nothing
            }
            Err(_) => {
                was_away = true;
                Followed::Nothing
            }
        };
        tokio::select! {
            () = wanted.changed() => {}
            () = pause.after(&door, heard == Followed::Something), if heard != Followed::InVain => {}
        }
    }
}

/// Tells the client of a service that was away to ask for its lists.
fn is_back(door: &Door, client: &Weak<ClientSession>) {
    door.doubt_lists();
    door.doubt_tools();
    if let Some(client) = client.upgrade() {
        all_changed().for_each(|message| client.tell(message));
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
async fn follow_legacy(door: &Door, client: &Weak<ClientSession>, wanted: &mut Wanted) {
    let Some(session) = client.upgrade().map(|client| client.upstream(door)) else {
        return;
    };
    let mut news = session.news();
    let watching = session.watch(door);
    let hears = async {
        while let (Some(message), Some(client)) = (next(&mut news).await, client.upgrade()) {
            let message = if ask::takes_back(&message) {
                ask::taken_back(door, &client, &message)
            } else {
                Some(message)
            };
            message.into_iter().for_each(|message| client.tell(message));
        }
    };
    let watches = async {
        let mut watched = Watched::new(door, &session, wanted.uris.clone());
        loop {
            watched.subscribe().await;
            wanted.changed().await;
            // Those of before are given up after those of now are counted, so that the upstream
            // is told of nothing that stays as it was.
            watched = Watched::new(door, &session, wanted.uris.clone());
        }
    };
    // What is heard does not wait for the upstream to watch one more.
    tokio::select! {
        () = hears => {}
        () = watches => {}
    }
    drop(watching);
}

/// Follows the news of an upstream of 2026-07-28 until a stream of them breaks. Who comes to watch
/// something else needs another stream, which takes the place of the one before as soon as it says
/// something: what stays watched is heard all the time. The client's session does not live for the
/// sake of its news.
async fn follow_modern(
    door: &Door,
    client: &Weak<ClientSession>,
    wanted: &mut Wanted,
    was_away: &mut bool,
) -> Followed {
    let mut heard = Followed::Nothing;
    let mut stream: Option<Exchange> = None;
    let mut opening = Some(open(door, client, wanted.uris.clone()).boxed());
    loop {
        let said = tokio::select! {
            biased;
            said = OptionFuture::from(stream.as_mut().map(Exchange::next)), if stream.is_some() => {
                match said.flatten().and_then(Result::ok) {
                    // The upstream may have ended it for the sake of the other.
                    None if opening.is_some() => {
                        stream = None;
                        continue;
                    }
                    said => said,
                }
            }
            opened = OptionFuture::from(opening.as_mut()), if opening.is_some() => {
                opening = None;
                match opened {
                    Some(Ok(Some((opened, said)))) => {
                        stream = Some(opened);
                        if std::mem::take(was_away) {
                            is_back(door, client);
                        }
                        Some(said)
                    }
                    Some(Err(Away)) => {
                        *was_away = true;
                        None
                    }
                    Some(Ok(None)) | None => None,
                }
            }
            () = wanted.changed(), if opening.is_none() => {
                opening = Some(open(door, client, wanted.uris.clone()).boxed());
                continue;
            }
        };
        let told = said.map_or(Followed::Nothing, |said| tell(door, client, &said));
        match told {
            Followed::Something => heard = told,
            Followed::Nothing => return heard,
            Followed::InVain => return told,
        }
    }
}

/// Nobody is there who could answer.
struct Away;

/// Opens a stream of the news of an upstream of 2026-07-28, and waits for the first that it says.
///
/// # Errors
///
/// When no answer came.
async fn open(
    door: &Door,
    client: &Weak<ClientSession>,
    uris: Vec<Box<str>>,
) -> Result<Option<(Exchange, Bytes)>, Away> {
    let Some(message) = listen_message(client, &uris) else {
        return Ok(None);
    };
    let response = door.send(message).await.map_err(|_| Away)?;
    let response = lost::look(door, response).await.map_err(|_| Away)?;
    if response.status().is_server_error() {
        return Err(Away);
    }
    probe::doubt_newer(door, &response);
    let mut stream = listening(door, response);
    let said = stream.next().await.and_then(Result::ok);
    Ok(said.map(|said| (stream, said)))
}

fn listen_message(client: &Weak<ClientSession>, uris: &[Box<str>]) -> Option<Message> {
    let body = listen_request(&*client.upgrade()?, uris)?;
    Some(Message {
        method: Method::POST,
        class: RequestClass::Safe,
        headers: ask::mirror(&Envelope::read(&body).ok()?),
        body: body.clone(),
        instance: None,
        is_clients: false,
        is_request: true,
    })
}

fn listen_request(client: &ClientSession, uris: &[Box<str>]) -> Option<Bytes> {
    let mut listen = Listen::new("\"bartizan-listen\"");
    (listen.tools, listen.prompts, listen.resources) = (true, true, true);
    for uri in uris {
        // A client watches no more than one stream may.
        let _ = listen.watch(uri);
    }
    let meta = ClientMeta {
        capabilities: client.modern_capabilities(),
        info: Some(&client.introduction().info),
        log_level: None,
    };
    listen.request(&meta).ok()
}

/// Tells the client what was said on such a stream; nothing of it is heard at its end.
fn tell(door: &Door, client: &Weak<ClientSession>, said: &Bytes) -> Followed {
    let Ok(envelope) = Envelope::read(said) else {
        return Followed::Nothing;
    };
    if envelope.error_code() == Some(code::METHOD_NOT_FOUND) {
        return Followed::InVain;
    }
    let (Some(client), Some(method)) = (client.upgrade(), envelope.method()) else {
        return Followed::Nothing;
    };
    door.heard(&envelope);
    if server_notification(method) == Route::Subscribers
        && let Ok(message) = unstamp(said)
    {
        client.tell(message);
    }
    Followed::Something
}
