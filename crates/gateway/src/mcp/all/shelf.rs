use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bartizan_clock::Clock;
use bartizan_transport::{
    bridge::CapabilitiesDigest,
    sessions::{InvalidLimits, SessionId, SessionLimits, Sessions},
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::{
    list::{self, Kind, List},
    own_tools::OwnTools,
};
use crate::{
    mcp::{
        Door, Refusal, ask::Client, client::ClientSession, follow, house, tidings::OwnLists,
        upstream::Introduction,
    },
    service::Service,
};

/// How long a list is taken for what its service would say now, if the service does not say
/// itself that it changed.
pub(super) const FRESH: Duration = Duration::from_secs(60);

/// What services said when they were last asked for their lists, by service, caller and what
/// the caller's client can do.
#[derive(Debug)]
pub(crate) struct Shelf {
    lists: Sessions<Arc<Lists>>,
    /// Tools as services list them themselves.
    pub(super) own: Sessions<Arc<OwnTools>>,
    /// Nothing once the snapshot that the shelf is part of has been replaced.
    watches: Mutex<Option<HashMap<u64, Arc<Watch>>>>,
    timeout: Duration,
    pub(super) clock: Clock,
}

/// The lists of one service.
#[derive(Debug, Default)]
struct Lists {
    slots: [Slot; 4],
}

#[derive(Debug, Default)]
struct Slot {
    list: ArcSwapOption<List>,
    /// One asks, the others wait for what it hears.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Counts the changes that a service announces.
#[derive(Debug)]
struct Watch {
    generation: Arc<AtomicU64>,
    /// Listens for as long as it is here.
    _listener: Arc<ClientSession>,
}

impl Shelf {
    /// Asks services for no longer than `timeout` while a caller waits.
    ///
    /// # Errors
    ///
    /// When the limits allow nothing.
    pub(crate) fn new(
        timeout: Duration,
        limits: SessionLimits,
        clock: Clock,
    ) -> Result<Self, InvalidLimits> {
        Ok(Self {
            lists: Sessions::new(limits, clock)?,
            own: Sessions::new(limits, clock)?,
            watches: Mutex::new(Some(HashMap::new())),
            timeout,
            clock,
        })
    }

    /// The longest that a caller waits for a service that the answer is not all about.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn lists(
        &self,
        door: &Door,
        digest: &CapabilitiesDigest,
        own: Option<OwnLists>,
    ) -> Result<Arc<Lists>, Refusal> {
        let id = key(door, digest, own);
        let principal = door.caller.principal();
        if let Some(lists) = self.lists.get(&id, principal) {
            return Ok(Arc::clone(&lists));
        }
        let lists = self.lists.insert(id, principal, Arc::default());
        lists
            .map(|lists| Arc::clone(&lists))
            .map_err(|error| house::no_room(&error))
    }

    /// Listens to no service any more. Who listens holds the snapshot, which holds the shelf: only
    /// this lets go of all three.
    pub(crate) fn retire(&self) {
        let watches = self.watches.lock().take();
        drop(watches);
    }

    /// Takes note that the service said so.
    pub(in crate::mcp) fn doubt(&self, service: &Service) {
        let watches = self.watches.lock();
        if let Some(watch) = watches.as_ref().and_then(|it| it.get(&service.id())) {
            watch.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often the service said that something changed; listens from the first time on.
    pub(super) fn generation(&self, door: &Door) -> Arc<AtomicU64> {
        let mut watches = self.watches.lock();
        let Some(watches) = &mut *watches else {
            // Calls that began before the change of configuration end without listening.
            return Arc::default();
        };
        let watch = watches.entry(door.service.id()).or_insert_with(|| {
            let listener = Arc::new(ClientSession::listener(Introduction::of_gateway()));
            follow::attend(&door.for_house(), &listener);
            Arc::new(Watch {
                generation: Arc::default(),
                _listener: listener,
            })
        });
        Arc::clone(&watch.generation)
    }
}

/// What tells clients apart to whom a service may say different things.
fn digest(client: &Client) -> CapabilitiesDigest {
    CapabilitiesDigest::of(&client.introduction().capabilities)
}

/// What a caller's list of one service is kept under. A session in which the service said that its
/// lists have changed may have lists of its own.
fn key(door: &Door, digest: &CapabilitiesDigest, own: Option<OwnLists>) -> SessionId {
    let (service, caller) = (door.service.id(), door.caller.principal());
    house::key_of((service, caller, digest.as_bytes(), own.map(|own| own.key)))
}

/// Lists that only the session of this client may have.
fn own(door: &Door, client: &Client) -> Option<OwnLists> {
    match client {
        Client::Legacy(session) => session.own_lists(door.service.id()),
        Client::Modern(_) => None,
    }
}

/// How often lists have changed, of those that the service said to all or to this session.
fn changes(generation: &AtomicU64, own: Option<OwnLists>) -> u64 {
    generation.load(Ordering::Relaxed) + own.map_or(0, |own| own.changes)
}

/// The list of one service: what is known if it is fresh, else what the service says now, else
/// what it said last.
pub(super) async fn listed(door: Door, client: &Client, kind: Kind) -> Option<Arc<List>> {
    listed_as(door, client, &digest(client), kind).await
}

/// The lists of all services, in their order.
pub(super) async fn listed_by_all(
    door: &Door,
    client: &Client,
    kind: Kind,
) -> Vec<Option<Arc<List>>> {
    let digest = digest(client);
    let services = door.shared.places().services().iter();
    join_all(services.map(|service| listed_as(door.at(service), client, &digest, kind))).await
}

async fn listed_as(
    door: Door,
    client: &Client,
    digest: &CapabilitiesDigest,
    kind: Kind,
) -> Option<Arc<List>> {
    let shelf = door.shared.shelf();
    let own = own(&door, client);
    let lists = shelf.lists(&door, digest, own).ok()?;
    let generation = shelf.generation(&door);
    let known = lists.slots[kind as usize].list.load_full();
    let is_current = |list: &Arc<List>| list.generation == changes(&generation, own);
    let current = known.as_ref().filter(|list| is_current(list)).cloned();
    if let Some(list) = &current
        && shelf.clock.now() < list.fresh_until
    {
        return current;
    }
    let (timeout, name) = (shelf.timeout, Arc::clone(door.service.name()));
    let asked = Asked {
        kind,
        lists,
        generation,
        own,
    };
    // In a task of its own: whoever gives up waiting leaves the answer to the next.
    let mut asked = tokio::spawn(refresh(door, client.clone(), asked));
    if current.is_some() {
        // Old, but nobody said that it changed: good enough while it is asked for again.
        tell_of_other(asked, client, kind, current.clone());
        return current;
    }
    match tokio::time::timeout(timeout, &mut asked).await {
        Ok(Ok(Ok(list))) => Some(list),
        Ok(Ok(Err(reason))) => {
            tracing::warn!(service = &*name, list = kind.method(), reason, "no list");
            known
        }
        Ok(Err(_)) => known,
        Err(_) => {
            tracing::warn!(
                service = &*name,
                list = kind.method(),
                ?timeout,
                "no list in time"
            );
            tell_of_other(asked, client, kind, known.clone());
            known
        }
    }
}

/// Tells a client on its stream that it was `served` another list than comes of what is `asked`.
fn tell_of_other(
    asked: JoinHandle<Result<Arc<List>, String>>,
    client: &Client,
    kind: Kind,
    served: Option<Arc<List>>,
) {
    let Client::Legacy(client) = client else {
        // One of 2026-07-28 hears of it on the stream that it asked for, if its service says so.
        return;
    };
    let client = Arc::downgrade(client);
    tokio::spawn(async move {
        let Ok(Ok(list)) = asked.await else {
            return;
        };
        let is_other = served.is_none_or(|served| served.joined != list.joined);
        if is_other && let Some(client) = client.upgrade() {
            list.tell(&client, kind);
        }
    });
}

/// A list that is asked for.
struct Asked {
    kind: Kind,
    lists: Arc<Lists>,
    generation: Arc<AtomicU64>,
    /// As of when it was asked for.
    own: Option<OwnLists>,
}

async fn refresh(door: Door, client: Client, asked: Asked) -> Result<Arc<List>, String> {
    let slot = &asked.lists.slots[asked.kind as usize];
    let before = slot.list.load_full();
    let told = changes(&asked.generation, asked.own);
    let _turn = slot.turn.lock().await;
    // Somebody else's answer is as good, if it came while this one waited and is no older than
    // what this one was told.
    if let Some(now) = slot.list.load_full()
        && before.is_none_or(|before| !Arc::ptr_eq(&before, &now))
        && now.generation >= told
    {
        return Ok(now);
    }
    let generation = changes(&asked.generation, own(&door, &client));
    let items = list::fetch(&door, &client, asked.kind).await?;
    let joined = list::join(&items, |_| true);
    let list = Arc::new(List {
        items,
        joined,
        fresh_until: door.shared.clock().now() + FRESH,
        generation,
        told: Mutex::default(),
    });
    // A session that was told of its first change meanwhile may have said what is its alone.
    let key = |own: Option<OwnLists>| own.map(|own| own.key);
    if key(own(&door, &client)) == key(asked.own) {
        slot.list.store(Some(Arc::clone(&list)));
    }
    Ok(list)
}
