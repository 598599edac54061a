use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bartizan_clock::{Clock, Instant};
use bartizan_protocol::edit;
use bartizan_transport::{
    bridge::{Abilities, CapabilitiesDigest},
    sessions::{InvalidLimits, Session, SessionLimits, Sessions},
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::{
    list::{self, Item, Kind, List},
    own_tools::OwnTools,
};
use crate::{
    mcp::{
        Door,
        ask::Client,
        client::ClientSession,
        follow, house,
        single_flight::{SingleFlight, Turn},
        tidings::OwnLists,
        upstream::Introduction,
    },
    service::{Service, Upstream},
};

/// How long a list is taken for what its service would say now, if the service does not say
/// itself that it changed.
pub(super) const FRESH: Duration = Duration::from_secs(60);

/// The most bytes of all lists together, as many as large requests may have.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What services said when they were last asked for their lists, by service, caller and what
/// the caller's client can do.
///
/// Clones share the lists.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    lists: Sessions<Lists>,
    /// How many bytes all lists have, and may have.
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
    timeout: Duration,
    pub(super) clock: Clock,
}

/// The lists of one service.
#[derive(Debug, Default)]
struct Lists {
    /// The number of its service.
    service: u64,
    slots: [Slot; 4],
    /// Tools as the service lists them itself.
    own: Arc<OwnTools>,
}

#[derive(Debug, Default)]
struct Slot {
    list: ArcSwapOption<List>,
    asking: SingleFlight,
    failing: Arc<Failing>,
}

/// What has been said of asking in vain.
#[derive(Debug, Default)]
struct Failing {
    /// That nothing comes.
    is_said: AtomicBool,
}

/// The most characters of what a service says instead of a list that the log has.
const LONGEST_REASON: usize = 200;

impl Failing {
    /// Says that there is no list; aloud only the first time in a row, for there may be many who ask.
    fn complain(&self, service: &str, kind: Kind, reason: &str) {
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let list = kind.method();
        if self.is_said.swap(true, Ordering::Relaxed) {
            tracing::debug!(service, list, reason, "no list");
        } else {
            tracing::warn!(service, list, reason, "no list");
        }
    }
}

/// Counts bytes among those of all lists for as long as it is there.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Counts the changes that a service announces.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What its lists are known by, and no other's: not those of one that has its name, either.
    number: u64,
    generation: Arc<AtomicU64>,
    /// Locked when somebody asks for a list, and when the service goes.
    listening: Mutex<Listening>,
}

#[derive(Debug, Default)]
struct Listening {
    /// Listens for as long as it is here, from when somebody asks for a list.
    listener: Option<Arc<ClientSession>>,
    /// Whether the service is gone.
    is_over: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            number: fastrand::u64(..),
            generation: Arc::default(),
            listening: Mutex::default(),
        }
    }
}

impl Watch {
    /// Takes note that the service said so.
    pub(crate) fn doubt(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Listens to the service no more. Who listens holds the service, which holds this: only this
    /// lets go of all three.
    fn end(&self) {
        let listener = {
            let mut listening = self.listening.lock();
            listening.is_over = true;
            listening.listener.take()
        };
        drop(listener);
    }

    fn is_over(&self) -> bool {
        self.listening.lock().is_over
    }
}

/// How often the door's service said that something changed; listens from the first time on.
pub(super) fn generation(door: &Door) -> Arc<AtomicU64> {
    let Some(watch) = door.service.mcp().map(Upstream::watch) else {
        return Arc::default();
    };
    let mut listening = watch.listening.lock();
    // Calls that began before the service was gone end without listening.
    if listening.listener.is_none() && !listening.is_over {
        let listener = Arc::new(ClientSession::listener(Introduction::of_gateway()));
        follow::attend(&door.for_house(), &listener);
        listening.listener = Some(listener);
    }
    Arc::clone(&watch.generation)
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
            bytes: Arc::default(),
            max_bytes: MAX_BYTES,
            timeout,
            clock,
        })
    }

    /// The same lists under another timeout.
    pub(crate) fn renewed(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// The longest that a caller waits for a service that the answer is not all about.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The tools of the door's service in its own words, as far as this caller was told of them.
    pub(super) fn own(&self, door: &Door) -> Option<Arc<OwnTools>> {
        Some(Arc::clone(&self.lists(door, ())?.own))
    }

    /// What the door's service said to this caller, `what` being all else that may matter to it.
    /// Nothing if there is no room.
    fn lists(&self, door: &Door, what: impl Hash) -> Option<Session<Lists>> {
        let watch = door.service.mcp()?.watch();
        let principal = door.caller.principal();
        let id = house::key_of((watch.number, principal, what));
        if let Some(lists) = self.lists.get(&id, principal) {
            return Some(lists);
        }
        let lists = Lists {
            service: watch.number,
            ..Lists::default()
        };
        let lists = self.lists.insert(id, principal, lists).ok()?;
        // Looked at once it is there: who forgets it may have looked before.
        if watch.is_over() {
            self.lists.remove(&id, principal);
        }
        Some(lists)
    }

    /// Counts bytes of a list that is kept.
    pub(super) fn hold(&self, bytes: usize) -> Held {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Held {
            bytes,
            all: Arc::clone(&self.bytes),
        }
    }

    /// Forgets the lists that nobody asked for for longest, until the others have room.
    pub(super) fn make_room(&self) {
        while self.bytes.load(Ordering::Relaxed) > self.max_bytes && self.lists.end_longest_idle() {
        }
    }

    /// Forgets the lists of services that are gone, and listens to them no more.
    pub(crate) fn forget(&self, gone: &[Arc<Service>]) {
        let watches = gone.iter().filter_map(|service| service.mcp());
        let watches = watches.map(Upstream::watch);
        let numbers: Vec<_> = watches.inspect(|it| it.end()).map(|it| it.number).collect();
        if !numbers.is_empty() {
            let is_gone = |lists: &Lists| numbers.contains(&lists.service);
            self.lists.end_those(is_gone);
        }
    }

    /// Forgets the lists that nobody asked for for long.
    pub(crate) fn sweep(&self, now: Instant) {
        self.lists.sweep(now);
    }
}

/// What tells clients apart to whom a service may list different things: what it may ask of them,
/// and the extensions that they know. Nothing else that they say of themselves has lists of its own.
#[derive(Clone, Copy, Debug, Hash)]
struct Kin {
    abilities: Abilities,
    extensions: Option<CapabilitiesDigest>,
}

impl Kin {
    fn of(client: &Client) -> Self {
        let capabilities = &client.introduction().capabilities;
        let extensions = edit::get(capabilities.as_bytes(), &["extensions"]);
        Self {
            abilities: Abilities::read(capabilities),
            extensions: extensions.map(CapabilitiesDigest::of),
        }
    }
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
    listed_as(door, client, Kin::of(client), kind).await
}

/// The lists of all services, in their order.
pub(super) async fn listed_by_all(
    door: &Door,
    client: &Client,
    kind: Kind,
) -> Vec<Option<Arc<List>>> {
    let kin = Kin::of(client);
    let services = door.shared.places().services().iter();
    join_all(services.map(|service| listed_as(door.at(service), client, kin, kind))).await
}

async fn listed_as(door: Door, client: &Client, kin: Kin, kind: Kind) -> Option<Arc<List>> {
    let shelf = door.shared.shelf();
    let own = own(&door, client);
    // A session in which the service said that its lists have changed may have lists of its own;
    // and names in lists have the separator in them.
    let separator = door.shared.places().separator();
    let lists = shelf.lists(&door, (kin, own.map(|own| own.key), separator))?;
    let generation = generation(&door);
    let known = lists.slots[kind as usize].list.load_full();
    let is_current = |list: &Arc<List>| list.generation == changes(&generation, own);
    let current = known.as_ref().filter(|list| is_current(list)).cloned();
    if let Some(list) = &current
        && shelf.clock.now() < list.fresh_until
    {
        return current;
    }
    let (timeout, name) = (shelf.timeout, Arc::clone(door.service.name()));
    let failing = Arc::clone(&lists.slots[kind as usize].failing);
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
        Ok(asked) => asked.ok().flatten().or(known),
        Err(_) => {
            failing.complain(&name, kind, &format!("nothing within {timeout:?}"));
            tell_of_other(asked, client, kind, known.clone());
            known
        }
    }
}

/// Tells a client on its stream that it was `served` another list than comes of what is `asked`.
fn tell_of_other(
    asked: JoinHandle<Option<Arc<List>>>,
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
        let Ok(Some(list)) = asked.await else {
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
    /// In use, so that what is put there stays.
    lists: Session<Lists>,
    generation: Arc<AtomicU64>,
    /// As of when it was asked for.
    own: Option<OwnLists>,
}

async fn refresh(door: Door, client: Client, asked: Asked) -> Option<Arc<List>> {
    let slot = &asked.lists.slots[asked.kind as usize];
    let before = slot.list.load_full();
    let told = changes(&asked.generation, asked.own);
    // Somebody else's answer is as good, if it came while this one waited and is no older than
    // what this one was told.
    let is_heard = |now: &Arc<List>| {
        let is_new = before
            .as_ref()
            .is_none_or(|before| !Arc::ptr_eq(before, now));
        is_new && now.generation >= told
    };
    let heard = || slot.list.load_full().filter(is_heard);
    let flight = match slot.asking.turn(heard).await {
        Turn::Heard(list) => return Some(list),
        Turn::InVain => return None,
        Turn::Ask(flight) => flight,
    };
    let generation = changes(&asked.generation, own(&door, &client));
    let items = list::fetch(&door, &client, asked.kind).await;
    let mut items = items
        .inspect_err(|reason| {
            let name = door.service.name();
            flight.failed();
            slot.failing.complain(name, asked.kind, reason);
        })
        .ok()?;
    slot.failing.is_said.store(false, Ordering::Relaxed);
    let joined = list::gather(&mut items);
    let shelf = door.shared.shelf();
    let list = Arc::new(List {
        _held: shelf.hold(items.iter().map(Item::size).sum()),
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
        shelf.make_room();
    }
    drop(flight);
    Some(list)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lists_that_nobody_asks_for_make_room_for_others() {
        let limits = SessionLimits::default();
        let shelf = Shelf::new(Duration::ZERO, limits, Clock::tokio()).unwrap();
        let shelf = Shelf {
            max_bytes: 1000,
            ..shelf
        };
        let id = |number| house::key_of(number);
        let put = async |number: u64, bytes| {
            tokio::time::advance(Duration::from_secs(1)).await;
            let lists = shelf.lists.insert(id(number), b"", Lists::default());
            let lists = lists.unwrap();
            let list = List {
                items: Vec::new(),
                joined: Bytes::new(),
                fresh_until: shelf.clock.now(),
                generation: 0,
                told: Mutex::default(),
                _held: shelf.hold(bytes),
            };
            lists.slots[0].list.store(Some(Arc::new(list)));
            shelf.make_room();
        };
        let there = || {
            let is_there = |number: &u64| shelf.lists.get(&id(*number), b"").is_some();
            (0..5).filter(is_there).collect::<Vec<_>>()
        };
        for number in 0..3 {
            put(number, 400).await;
        }
        assert_eq!(there(), [1, 2]);
        // One that is too large for all of them together stays for as long as it is in use.
        put(3, 2000).await;
        assert_eq!(there(), [3]);
        put(4, 400).await;
        assert_eq!(there(), [4]);
        shelf.lists.end_those(|_| true);
        assert_eq!(shelf.bytes.load(Ordering::Relaxed), 0);
    }
}
