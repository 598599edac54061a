//! What open streams hear when services come and go.
//!
//! A stream belongs to the snapshot that it was opened under. At the address of all services it
//! goes on under the next one, and its client is told that the lists changed; at the address of
//! one service it ends with that service, after the same words, for the client to come again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bartizan_clock::Clock;
use bartizan_protocol::method::{
    NOTIFICATION_PROMPTS_LIST_CHANGED, NOTIFICATION_RESOURCES_LIST_CHANGED,
    NOTIFICATION_TOOLS_LIST_CHANGED,
};
use bartizan_transport::{bridge::Listen, stream::AsEvent};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::select, stream};
use http::Response;
use tokio::sync::watch;

use super::{Door, client::ClientSession, exchange::is_event_stream, follow, news::Attendance};
use crate::shared::Shared;

/// How long services must be left alone before clients hear of a change: registries and reloads
/// bring several at once.
const SETTLE: Duration = Duration::from_millis(100);
/// However often they change, clients hear of it this long after the first change.
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);

/// That all lists have changed, in the words of the protocol.
pub(super) fn all_changed() -> impl Iterator<Item = Bytes> {
    let methods = [
        NOTIFICATION_TOOLS_LIST_CHANGED,
        NOTIFICATION_PROMPTS_LIST_CHANGED,
        NOTIFICATION_RESOURCES_LIST_CHANGED,
    ];
    let message = |method| Bytes::from(format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#));
    methods.into_iter().map(message)
}

/// The snapshots that follow one.
struct Turns {
    next: watch::Receiver<Weak<Shared>>,
    clock: Clock,
}

impl Turns {
    fn after(shared: &Arc<Shared>) -> Self {
        let mut next = shared.turns();
        let is_last = next.borrow().ptr_eq(&Arc::downgrade(shared));
        if !is_last && next.borrow().strong_count() > 0 {
            next.mark_changed();
        }
        Self {
            next,
            clock: shared.clock(),
        }
    }

    /// The snapshot that counts when nothing has changed for a while; none when the gateway is
    /// gone.
    async fn next(&mut self) -> Option<Arc<Shared>> {
        loop {
            self.next.changed().await.ok()?;
            let clock = self.clock;
            let quiet = async {
                loop {
                    tokio::select! {
                        changed = self.next.changed() => if changed.is_err() { return },
                        () = clock.sleep(SETTLE) => return,
                    }
                }
            };
            tokio::select! {
                () = quiet => {}
                () = clock.sleep(SETTLE_AT_MOST) => {}
            }
            let latest = self.next.borrow_and_update().upgrade();
            if latest.is_some() {
                return latest;
            }
        }
    }
}

/// Completes when the service of the door is not the one behind its name any more.
pub(super) fn gone(door: &Door) -> impl Future<Output = ()> + Send + use<> {
    let mut turns = Turns::after(&door.shared);
    let (name, own) = (
        Arc::clone(door.service.name()),
        Arc::downgrade(&door.service),
    );
    async move {
        while let Some(shared) = turns.next().await {
            let now = shared.catalog().service(&name);
            if now.is_none_or(|now| Arc::as_ptr(now) != own.as_ptr()) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// Has the client hear the news of all services from now on, and of services that come and go.
pub(super) fn attend_all(door: &Door, client: &Arc<ClientSession>) {
    for service in door.shared.places().services() {
        follow::attend(&door.at(service), client);
    }
    client.attend(super::all::EVERYWHERE, |attendance| {
        if attendance.is_some_and(|it| !it.is_over()) {
            return None;
        }
        let keep = keep(door.clone(), Arc::downgrade(client));
        Some(Attendance::begin(Weak::new(), keep))
    });
}

/// Which services there are: an address is one service for as long as a snapshot holds it.
fn known(shared: &Shared) -> HashMap<u64, usize> {
    let services = shared.places().services().iter();
    services
        .map(|service| (service.id(), Arc::as_ptr(service) as usize))
        .collect()
}

async fn keep(mut door: Door, client: Weak<ClientSession>) {
    let mut turns = Turns::after(&door.shared);
    while let Some(shared) = turns.next().await {
        let Some(client) = client.upgrade() else {
            return;
        };
        let (before, now) = (known(&door.shared), known(&shared));
        door.shared = shared;
        if let Some(service) = door.shared.places().services().first() {
            door = door.at(service);
        }
        if before == now {
            continue;
        }
        client.attend_only(|service| now.contains_key(&service));
        for service in door.shared.places().services() {
            follow::attend(&door.at(service), &client);
        }
        all_changed().for_each(|message| client.tell(message));
    }
}

/// Ends the stream of one service, if the answer is one, with that service or when who listens is to
/// go; `listen` is what its client asked for, if it says so.
pub(super) fn until_gone(
    door: &Door,
    answer: Response<Body>,
    listen: Option<Listen>,
) -> Response<Body> {
    if !is_event_stream(&answer) {
        return answer;
    }
    let ended = Arc::new(Ending::default());
    let (seen, fired) = (Arc::clone(&ended), Arc::clone(&ended));
    let gone = gone(door).map(move |()| fired.is_over.store(true, Ordering::Relaxed));
    let (gone, leaves) = (Box::pin(gone), Box::pin(door.shared.until_listeners_go()));
    let gone = select(gone, leaves).map(drop);
    answer.map(|body| {
        let frames = body.into_data_stream().inspect(move |frame| {
            if let Ok(bytes) = frame {
                seen.look(bytes);
            }
        });
        let last_words = stream::once(async move { Ok(ended.last_words(listen.as_ref())) });
        Body::from_stream(frames.take_until(gone).chain(last_words))
    })
}

/// How the stream of an upstream was cut off.
#[derive(Debug)]
struct Ending {
    is_over: AtomicBool,
    /// Whether the last event was whole, so that another may follow.
    is_whole: AtomicBool,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            is_over: AtomicBool::new(false),
            is_whole: AtomicBool::new(true),
        }
    }
}

impl Ending {
    fn look(&self, bytes: &[u8]) {
        let is_whole = bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n");
        self.is_whole
            .store(is_whole || bytes.is_empty(), Ordering::Relaxed);
    }

    fn last_words(&self, listen: Option<&Listen>) -> Bytes {
        let is_over = self.is_over.load(Ordering::Relaxed);
        if !is_over || !self.is_whole.load(Ordering::Relaxed) {
            return Bytes::new();
        }
        let mut words = Vec::new();
        match listen {
            None => all_changed().for_each(|message| words.extend(message.as_event())),
            Some(listen) => {
                changed_for(listen).for_each(|message| words.extend(message.as_event()));
                words.extend(listen.closed(None).as_event());
            }
        }
        words.into()
    }
}

/// What of [`all_changed`] a client of 2026-07-28 asked to hear, stamped for it.
pub(super) fn changed_for(listen: &Listen) -> impl Iterator<Item = Bytes> {
    all_changed().filter_map(|message| {
        let envelope = bartizan_protocol::Envelope::read(&message).ok()?;
        let is_wanted = listen.matches(envelope.method()?, None);
        is_wanted.then(|| listen.stamp(&message).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use bartizan_config::{Configuration, Source};
    use http::HeaderMap;

    use super::*;
    use crate::{mcp::Introduction, works::Works};

    #[tokio::test(start_paused = true)]
    async fn who_stays_keeps_nothing_of_the_snapshot_that_it_came_under() {
        let configuration = |services: &str| {
            let source = Source::from_iter([
                ("MCP_SERVICES", services),
                ("MCP_RETRY_MAX_ATTEMPTS", "0"),
                ("MCP_SERVICE_GOES_TRANSPORT", "streamable-http"),
                ("MCP_SERVICE_GOES_ENDPOINT", "http://127.0.0.1:1"),
                ("MCP_SERVICE_STAYS_TRANSPORT", "streamable-http"),
                ("MCP_SERVICE_STAYS_ENDPOINT", "http://127.0.0.1:1"),
            ]);
            Configuration::parse(&source).expect("a configuration")
        };
        let works = Works::start(&configuration("goes,stays"), Clock::tokio());
        let works = works.expect("a gateway");
        // The news of all services, and of one.
        let clients = [(); 2].map(|()| Arc::new(ClientSession::new(Introduction::of_gateway())));
        let (snapshot, gone) = {
            let shared = works.current().load();
            let goes = shared.catalog().service("goes").expect("a service");
            let caller = shared.caller(&HeaderMap::new());
            let door = Door::new(&shared, goes, caller, &HeaderMap::new());
            attend_all(&door, &clients[0]);
            follow::attend(&door, &clients[1]);
            (Arc::downgrade(&shared), Arc::downgrade(goes))
        };
        tokio::time::sleep(2 * SETTLE).await;
        drop(works.renew(&configuration("stays")).expect("a change"));
        for _ in 0..100 {
            if snapshot.strong_count() == 0 && gone.strong_count() == 0 {
                break;
            }
            tokio::time::sleep(SETTLE).await;
        }
        assert_eq!((snapshot.strong_count(), gone.strong_count()), (0, 0));
    }
}
