use std::{
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use axum::body::Body;
use bartizan_clock::{Clock, Instant};
use bartizan_protocol::{edit, error as code, method};
use bartizan_transport::{
    bridge::CapabilitiesDigest,
    sessions::{InvalidLimits, SessionId, SessionLimits, Sessions},
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::join_all;
use http::{HeaderName, HeaderValue, Response};
use parking_lot::Mutex;

use super::own_tools::OwnTools;
use crate::{
    body::Pieces,
    mcp::{
        Door, Refusal,
        ask::{Client, Request},
        client::ClientSession,
        news, pages,
        respond::json,
        upstream::Introduction,
    },
    service::Service,
};

/// How long a list is taken for what its service would say now, if the service does not say
/// itself that it changed.
pub(super) const FRESH: Duration = Duration::from_secs(60);
/// Says which services a list is without.
const X_MISSING: HeaderName = HeaderName::from_static("x-bartizan-missing-services");

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

/// A list, as it was at one time.
#[derive(Debug)]
struct List {
    items: Vec<Item>,
    /// All items, with a comma before each.
    joined: Bytes,
    fresh_until: Instant,
    /// The count of changes that the service had announced.
    generation: u64,
}

#[derive(Debug)]
struct Item {
    /// The name or URI that it goes by.
    key: Box<str>,
    /// The name that its service knows.
    original: Box<str>,
    raw: Bytes,
}

/// Counts the changes that a service announces.
#[derive(Debug)]
struct Watch {
    generation: Arc<AtomicU64>,
    /// Listens for as long as it is here.
    _listener: Arc<ClientSession>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl Kind {
    fn of(method: &str) -> Option<Self> {
        Some(match method {
            "tools/list" => Self::Tools,
            "prompts/list" => Self::Prompts,
            "resources/list" => Self::Resources,
            "resources/templates/list" => Self::Templates,
            _ => return None,
        })
    }

    fn method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST,
            Self::Prompts => method::PROMPTS_LIST,
            Self::Resources => method::RESOURCES_LIST,
            Self::Templates => method::RESOURCES_TEMPLATES_LIST,
        }
    }

    fn member(self) -> &'static str {
        method::list_member(self.method()).unwrap_or_default()
    }

    /// The member that tells items apart.
    fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    fn has_names(self) -> bool {
        matches!(self, Self::Tools | Self::Prompts)
    }
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

    fn lists(&self, door: &Door, digest: &CapabilitiesDigest) -> Result<Arc<Lists>, Refusal> {
        let id = key(door, digest);
        let principal = door.caller.principal();
        if let Some(lists) = self.lists.get(&id, principal) {
            return Ok(Arc::clone(&lists));
        }
        let lists = self.lists.insert(id, principal, Arc::default());
        lists
            .map(|lists| Arc::clone(&lists))
            .map_err(|error| crate::mcp::house::no_room(&error))
    }

    /// Listens to no service any more. Who listens holds the snapshot, which holds the shelf: only
    /// this lets go of all three.
    pub(crate) fn retire(&self) {
        let watches = self.watches.lock().take();
        drop(watches);
    }

    /// How often the service said that something changed; listens from the first time on.
    pub(super) fn generation(&self, door: &Door) -> Arc<AtomicU64> {
        let mut watches = self.watches.lock();
        let Some(watches) = &mut *watches else {
            // Calls that began before the change of configuration end without listening.
            return Arc::default();
        };
        let watch = watches.entry(door.service.id()).or_insert_with(|| {
            let listener = Arc::new(ClientSession::new(Introduction::of_gateway()));
            let generation = Arc::new(AtomicU64::new(0));
            news::attend(&door.for_house(), &listener);
            let (mut changes, counted) = (listener.news(), Arc::clone(&generation));
            tokio::spawn(async move {
                while news::next(&mut changes).await.is_some() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
            Arc::new(Watch {
                generation,
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

/// What a caller's list of one service is kept under.
fn key(door: &Door, digest: &CapabilitiesDigest) -> SessionId {
    let half = |number: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        (number, door.service.id(), door.caller.principal()).hash(&mut hasher);
        digest.as_bytes().hash(&mut hasher);
        hasher.finish().to_ne_bytes()
    };
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half(0));
    id[8..].copy_from_slice(&half(1));
    SessionId::from_bytes(id)
}

/// The answer to a list request: the lists of all services, one after the other.
pub(super) async fn answer(door: &Door, client: &Client, request: &Request) -> Response<Body> {
    let era = client.era();
    let Some(kind) = Kind::of(&request.method) else {
        let refusal = Refusal::answer(code::METHOD_NOT_FOUND, "no such list");
        return json(request.refused(&refusal), era);
    };
    if edit::get(&request.body, &["params", "cursor"]).is_some_and(|cursor| cursor != "null") {
        let text = "unknown cursor: this list has one page";
        return json(
            request.refused(&Refusal::answer(code::INVALID_PARAMS, text)),
            era,
        );
    }
    let digest = digest(client);
    let services = door.shared.places().services();
    let heard = join_all(
        services
            .iter()
            .map(|service| listed(door.at(service), client, &digest, kind)),
    )
    .await;
    let missing = services
        .iter()
        .zip(&heard)
        .filter(|(_, list)| list.is_none());
    let missing: Vec<_> = missing.map(|(service, _)| &**service.name()).collect();
    let lists: Vec<_> = heard.iter().flatten().collect();

    let mut head = BytesMut::with_capacity(request.id.len() + 64);
    for part in [
        r#"{"jsonrpc":"2.0","id":"#,
        &*request.id,
        r#","result":{""#,
        kind.member(),
        r#"":["#,
    ] {
        head.extend_from_slice(part.as_bytes());
    }
    let twice = if kind.has_names() {
        HashSet::new()
    } else {
        twice(&lists)
    };
    // The lists are not copied: together they may be the largest answer that there is.
    let mut pieces = Vec::with_capacity(lists.len() + 2);
    pieces.push(head.freeze());
    for list in lists {
        let mut piece = if twice.is_empty() {
            list.joined.clone()
        } else {
            let kept = list.items.iter().filter(|it| !twice.contains(&*it.key));
            join(&kept.collect::<Vec<_>>())
        };
        if piece.is_empty() {
            continue;
        }
        if pieces.len() == 1 {
            piece.advance(COMMA.len());
        }
        pieces.push(piece);
    }
    let mut message = BytesMut::from(&b"]"[..]);
    if era == bartizan_protocol::Era::Modern {
        let hints = br#","resultType":"complete","ttlMs":0,"cacheScope":"private""#;
        message.extend_from_slice(hints);
    }
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|name| edit::string(name)).collect();
        let meta = format!(
            r#","_meta":{{"bartizan/missingServices":[{}]}}"#,
            names.join(",")
        );
        message.extend_from_slice(meta.as_bytes());
    }
    message.extend_from_slice(b"}}");
    pieces.push(message.freeze());
    let mut response = Response::new(Body::new(Pieces::from(pieces)));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, crate::mcp::refusal::JSON);
    if !missing.is_empty()
        && let Ok(names) = HeaderValue::from_str(&missing.join(", "))
    {
        headers.insert(X_MISSING, names);
    }
    response
}

/// What more than one service claims: nobody could say whose it is, so it is nobody's.
fn twice(lists: &[&Arc<List>]) -> HashSet<Box<str>> {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    for item in lists.iter().flat_map(|list| &list.items) {
        if !seen.insert(&*item.key) && twice.insert(item.key.clone()) {
            tracing::warn!(
                uri = &*item.key,
                "several services have this; none does at /mcp"
            );
        }
    }
    twice
}

/// The list of one service: what is known if it is fresh, else what the service says now, else
/// what it said last.
async fn listed(
    door: Door,
    client: &Client,
    digest: &CapabilitiesDigest,
    kind: Kind,
) -> Option<Arc<List>> {
    let shelf = door.shared.shelf();
    let lists = shelf.lists(&door, digest).ok()?;
    let generation = shelf.generation(&door);
    let known = lists.slots[kind as usize].list.load_full();
    let now = shelf.clock.now();
    if let Some(known) = &known
        && known.generation == generation.load(Ordering::Relaxed)
    {
        if now < known.fresh_until {
            return Some(Arc::clone(known));
        }
        // Old, but nobody said that it changed: good enough while it is asked for again.
        drop(tokio::spawn(refresh(
            door,
            client.clone(),
            kind,
            lists,
            generation,
        )));
        return Some(Arc::clone(known));
    }
    // In a task of its own: whoever gives up waiting leaves the answer to the next.
    let (timeout, name) = (shelf.timeout, Arc::clone(door.service.name()));
    let asked = tokio::spawn(refresh(door, client.clone(), kind, lists, generation));
    match tokio::time::timeout(timeout, asked).await {
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
            known
        }
    }
}

async fn refresh(
    door: Door,
    client: Client,
    kind: Kind,
    lists: Arc<Lists>,
    generation: Arc<AtomicU64>,
) -> Result<Arc<List>, String> {
    let slot = &lists.slots[kind as usize];
    let before = slot.list.load_full();
    let _turn = slot.turn.lock().await;
    // Somebody else's answer is as good, if it came while this one waited.
    if let Some(now) = slot.list.load_full()
        && before.is_none_or(|before| !Arc::ptr_eq(&before, &now))
    {
        return Ok(now);
    }
    let counted = generation.load(Ordering::Relaxed);
    let items = fetch(&door, &client, kind).await?;
    let joined = join(&items.iter().collect::<Vec<_>>());
    let list = Arc::new(List {
        items,
        joined,
        fresh_until: door.shared.clock().now() + FRESH,
        generation: counted,
    });
    slot.list.store(Some(Arc::clone(&list)));
    Ok(list)
}

const COMMA: &[u8] = b",";

/// Items with a comma before each.
fn join(items: &[&Item]) -> Bytes {
    let room = items.iter().map(|item| COMMA.len() + item.raw.len());
    let mut joined = BytesMut::with_capacity(room.sum());
    for item in items {
        joined.extend_from_slice(COMMA);
        joined.extend_from_slice(&item.raw);
    }
    joined.freeze()
}

/// Everything in a list, under the names that it has among all services.
///
/// # Errors
///
/// A text that says what the service did instead.
async fn fetch(door: &Door, client: &Client, kind: Kind) -> Result<Vec<Item>, String> {
    let mut keys = HashSet::new();
    let mut items = Vec::new();
    let listed = pages::all(door, Some(client), kind.method()).await;
    for raw in listed.map_err(|error| error.to_string())? {
        let Some(item) = item(door, kind, raw) else {
            continue;
        };
        if keys.insert(item.key.clone()) {
            items.push(item);
        } else {
            let (service, key) = (&**door.service.name(), &*item.key);
            tracing::warn!(service, key, "listed twice; the first counts");
        }
    }
    Ok(items)
}

/// An item of a list, under the name that it has among those of all services.
fn item(door: &Door, kind: Kind, raw: Bytes) -> Option<Item> {
    let named = edit::get(&raw, &[kind.key()])?;
    let original = edit::text(named)?;
    if !kind.has_names() {
        return Some(Item {
            key: (&*original).into(),
            original: original.into(),
            raw,
        });
    }
    let Some(joined) = door.shared.places().join(&door.service, &original) else {
        let (service, name) = (&**door.service.name(), &*original);
        tracing::warn!(service, name, "no sound name for all services; left out");
        return None;
    };
    let renamed = edit::replace(&raw, &[(named, &edit::string(&joined))]).ok()?;
    Some(Item {
        key: joined.into(),
        original: original.into(),
        raw: renamed,
    })
}

/// The tools of the service of `door`, by the names that it knows, as a client may see them.
pub(super) async fn tools(door: Door, client: &Client) -> Option<Vec<(String, Bytes)>> {
    let list = listed(door, client, &digest(client), Kind::Tools).await?;
    let items = list.items.iter();
    let tools = items.map(|item| (item.original.as_ref().to_owned(), item.raw.clone()));
    Some(tools.collect())
}

/// Whether the service of `door` has a tool of this name; `None` if it never said.
pub(super) async fn has_tool(door: Door, client: &Client, name: &str) -> Option<bool> {
    let list = listed(door, client, &digest(client), Kind::Tools).await?;
    Some(list.items.iter().any(|item| &*item.original == name))
}

/// The name at its service of what goes by `joined`.
pub(super) async fn original(
    door: &Door,
    client: &Client,
    list: &str,
    joined: &str,
) -> Option<String> {
    let list = listed(door.clone(), client, &digest(client), Kind::of(list)?).await?;
    let item = list.items.iter().find(|item| &*item.key == joined)?;
    Some(item.original.as_ref().to_owned())
}

/// The services that may have a resource, the likeliest first.
pub(super) async fn of_resource(door: &Door, client: &Client, uri: &str) -> Vec<Door> {
    let services = door.shared.places().services();
    let listed_at = owners(door, client, Kind::Resources, services, |key| key == uri).await;
    if let [service] = &listed_at[..] {
        return vec![door.at(service)];
    }
    let templates = owners(door, client, Kind::Templates, services, |template| {
        template
            .split_once('{')
            .is_some_and(|(start, _)| !start.is_empty() && uri.starts_with(start))
    })
    .await;
    let likely = listed_at.into_iter().chain(templates);
    // A tool's answer may speak of resources that no list has.
    let mut doors: Vec<Door> = Vec::new();
    for service in likely.chain(services.iter().cloned()) {
        if !doors.iter().any(|door| door.service.id() == service.id()) {
            doors.push(door.at(&service));
        }
    }
    doors
}

/// The service that has a resource template.
pub(super) async fn of_template(door: &Door, client: &Client, template: &str) -> Option<Door> {
    let services = door.shared.places().services();
    let owners = owners(door, client, Kind::Templates, services, |key| {
        key == template
    })
    .await;
    owners.first().map(|service| door.at(service))
}

async fn owners(
    door: &Door,
    client: &Client,
    kind: Kind,
    services: &[Arc<Service>],
    is_it: impl Fn(&str) -> bool,
) -> Vec<Arc<Service>> {
    let digest = digest(client);
    let lists = join_all(
        services
            .iter()
            .map(|service| listed(door.at(service), client, &digest, kind)),
    );
    let lists = lists.await;
    let owners = services.iter().zip(lists).filter(|(_, list)| {
        list.as_ref()
            .is_some_and(|list| list.items.iter().any(|item| is_it(&item.key)))
    });
    owners.map(|(service, _)| Arc::clone(service)).collect()
}
