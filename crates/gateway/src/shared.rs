use std::{
    fmt,
    path::Path,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use bartizan_auth::Secret;
use bartizan_clock::{Clock, Instant};
use bartizan_config::{CorsOrigins, Dialect, GatewaySettings, Setting};
use bartizan_protocol::unmarked;
use bartizan_server::{CollectError, Stats, collect};
use bartizan_telemetry::{GatewayMetrics, Metrics};
use bartizan_transport::origin::Refused;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{AUTHORIZATION, ORIGIN},
    uri::Authority,
};
use tokio::sync::watch;

use crate::{
    catalog::Catalog,
    cors::Cors,
    error::Error,
    ids,
    mcp::{
        Caller, House,
        all::{Places, Shelf},
    },
    retiring::Retiring,
    room::{NoRoom, Room, Taken, Taking},
    service::Owner,
};

/// How many bytes of large request bodies are in memory at once, unless one may be so large that this
/// is not four of them.
const LARGE_BODIES: u64 = 256 * 1024 * 1024;

pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What outlives every change of the configuration.
#[derive(Debug)]
pub(crate) struct Lasting {
    clock: Clock,
    started: Instant,
    /// What the gateway is called where a request has been.
    pseudonym: HeaderValue,
    metrics: Metrics,
    counters: GatewayMetrics,
    connections: OnceLock<Arc<Stats>>,
    /// Whether load balancers are told to send their calls elsewhere.
    leaving: AtomicBool,
    listening: watch::Sender<Listening>,
    retiring: Arc<Retiring>,
    room: Arc<Room>,
    /// The snapshot that was put in place last.
    turns: watch::Sender<Weak<Shared>>,
}

impl Lasting {
    pub(crate) fn new(clock: Clock) -> Self {
        let metrics = Metrics::new();
        Self {
            counters: metrics.gateway(env!("CARGO_PKG_VERSION")),
            started: clock.now(),
            clock,
            pseudonym: ids::pseudonym(),
            metrics,
            connections: OnceLock::new(),
            leaving: AtomicBool::new(false),
            listening: watch::Sender::default(),
            retiring: Arc::default(),
            room: Arc::default(),
            turns: watch::Sender::new(Weak::new()),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn pseudonym(&self) -> &HeaderValue {
        &self.pseudonym
    }

    /// How long the gateway has been there.
    pub(crate) fn uptime(&self) -> Duration {
        self.clock.now() - self.started
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The services that were taken out.
    pub(crate) fn retiring(&self) -> &Arc<Retiring> {
        &self.retiring
    }

    /// Has everybody hear who waits for it that another snapshot counts.
    pub(crate) fn turn(&self, shared: &Arc<Shared>) {
        self.turns.send_replace(Arc::downgrade(shared));
    }

    /// From now on no more calls are wanted. Those that come all the same are served.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// From now on no more connections are taken, and nobody is listened to for ever.
    pub(crate) fn drain(&self) {
        self.listening.send_modify(|it| it.drains = true);
    }

    /// Somebody who came in before may not come in any more: whoever listens is to come again.
    pub(crate) fn revoke(&self) {
        self.listening.send_modify(|it| it.revocations += 1);
    }

    /// Lets the metrics show the connections of a server; of the first, if there are several.
    pub(crate) fn watch_connections(&self, stats: Arc<Stats>) {
        let _ = self.connections.set(stats);
    }
}

/// What ends streams that are only listened to.
#[derive(Clone, Copy, Debug, Default)]
struct Listening {
    drains: bool,
    /// How often keys were taken out.
    revocations: u64,
}

/// Of whom a gateway asks a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Nobody,
    /// Of those who do what an operator does.
    Operators,
    Everybody,
}

/// What all requests share that come in under one configuration.
pub(crate) struct Shared {
    lasting: Arc<Lasting>,
    catalog: Catalog,
    mcp: House,
    places: Places,
    cors: Cors,
    api_keys: Box<[Secret]>,
    admin_keys: Box<[Secret]>,
    /// How often keys had been taken out before these were asked for.
    revocations: u64,
    strict: bool,
    dialect: Dialect,
    docs: bool,
    max_body_bytes: usize,
    body_read_timeout: Duration,
    /// The same without services.
    staying: OnceLock<Arc<Self>>,
}

impl Shared {
    pub(crate) fn new(
        lasting: Arc<Lasting>,
        settings: &GatewaySettings,
        catalog: Catalog,
        mcp: House,
    ) -> Self {
        let keys = |keys: &Option<Setting<Vec<Secret>>>| {
            let keys = keys.as_ref();
            keys.map_or_else(Box::default, |keys| keys.value().as_slice().into())
        };
        let revocations = lasting.listening.borrow().revocations;
        Self {
            revocations,
            lasting,
            places: Places::new(catalog.services(), &settings.mcp.separator),
            catalog,
            mcp,
            cors: cors(&settings.cors_origins),
            api_keys: keys(&settings.api_keys),
            admin_keys: keys(&settings.admin_keys),
            strict: *settings.strict_status,
            dialect: *settings.dialect,
            docs: *settings.docs,
            max_body_bytes: *settings.max_body_bytes,
            body_read_timeout: *settings.body_read_timeout,
            staying: OnceLock::new(),
        }
    }

    /// The same without services, for whoever stays when another snapshot takes the place of this
    /// one.
    pub(crate) fn for_staying(self: &Arc<Self>) -> Arc<Self> {
        if self.catalog.services().is_empty() {
            return Arc::clone(self);
        }
        let make = || {
            Arc::new(Self {
                lasting: Arc::clone(&self.lasting),
                catalog: Catalog::new(Vec::new()),
                mcp: self.mcp.clone(),
                places: Places::new(&[], self.places.separator()),
                cors: self.cors.clone(),
                api_keys: self.api_keys.clone(),
                admin_keys: self.admin_keys.clone(),
                staying: OnceLock::new(),
                ..**self
            })
        };
        Arc::clone(self.staying.get_or_init(make))
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn clock(&self) -> Clock {
        self.lasting.clock
    }

    /// A way to hear of the snapshots after this one.
    pub(crate) fn turns(&self) -> watch::Receiver<Weak<Self>> {
        self.lasting.turns.subscribe()
    }

    /// The snapshot that counts now, as long as there is a gateway.
    pub(crate) fn latest(&self) -> Option<Arc<Self>> {
        self.lasting.turns.borrow().upgrade()
    }

    /// Why a request is refused that a page of a browser may have made which may not read its answer:
    /// then it may not make it either. Where every page may read, it is for the doors to say.
    ///
    /// A page that reached the gateway by a name of its own (DNS rebinding) sends no `Origin` when
    /// it only reads, and shows by that name alone. It knows no key.
    pub(crate) fn refuses_page(
        &self,
        headers: &HeaderMap,
        authority: Option<&Authority>,
    ) -> Option<Error> {
        let origin = headers.get(ORIGIN);
        if self.cors.lists(origin) {
            return None;
        }
        match (self.mcp.origin().check(headers, authority), origin) {
            (Ok(()), _) => None,
            (Err(_), Some(_)) => Some(Error::ForeignPage),
            (Err(Refused::Host), None) if self.api_keys.is_empty() => Some(Error::ForeignHost),
            (Err(_), None) => None,
        }
    }

    /// What this gateway is called where a request has been.
    pub(crate) fn pseudonym(&self) -> &HeaderValue {
        &self.lasting.pseudonym
    }

    /// Whether nothing but its origin shows that a page of a browser may call tools, and that does
    /// not.
    pub(crate) fn is_stranger(&self, headers: &HeaderMap, authority: Option<&Authority>) -> bool {
        self.api_keys.is_empty()
            && headers.contains_key(ORIGIN)
            && self.mcp.origin().check(headers, authority).is_err()
    }

    pub(crate) fn cors(&self) -> &Cors {
        &self.cors
    }

    pub(crate) fn mcp(&self) -> &House {
        &self.mcp
    }

    /// Which services are behind the address of all of them.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        self.mcp.shelf()
    }

    /// Who sent a request, as far as its key tells.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Caller {
        let key = if self.api_keys.is_empty() {
            ""
        } else {
            presented(headers).unwrap_or_default()
        };
        let owner = bartizan_balance::hash_key(key.as_bytes());
        Caller::new(Bytes::copy_from_slice(key.as_bytes()), Owner(owner))
    }

    pub(crate) fn unix_seconds(&self) -> u64 {
        let now = self.clock().wall().duration_since(UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs())
    }

    /// Whether answers have the status that says what happened.
    pub(crate) fn strict(&self) -> bool {
        self.strict
    }

    /// What `GET /health` says.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the API is described to whoever asks.
    pub(crate) fn shows_docs(&self) -> bool {
        self.docs
    }

    /// Of whom a key is asked.
    pub(crate) fn asks(&self) -> Asks {
        match (self.api_keys.is_empty(), self.admin_keys.is_empty()) {
            (false, _) => Asks::Everybody,
            (true, false) => Asks::Operators,
            (true, true) => Asks::Nobody,
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.lasting.leaving.load(Ordering::Relaxed)
    }

    /// Completes when who listens is to go: at the beginning of the drain, which nobody is kept from
    /// by it, and when a key is asked for that was not, or none any more that was.
    pub(crate) fn until_listeners_go(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut listening = self.lasting.listening.subscribe();
        let revocations = self.revocations;
        async move {
            let go = |it: &Listening| it.drains || it.revocations != revocations;
            let _ = listening.wait_for(go).await;
        }
    }

    /// Whether a caller with these headers may come in: with one of the keys, or if there are
    /// none.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let admits = |key| knows(&self.api_keys, key) | knows(&self.admin_keys, key);
        self.api_keys.is_empty() || presented(headers).is_some_and(admits)
    }

    /// Whether a caller with these headers may do what operators do: with one of their keys.
    pub(crate) fn is_admin(&self, headers: &HeaderMap) -> bool {
        presented(headers).is_some_and(|key| knows(&self.admin_keys, key))
    }

    /// The most bytes of a request's body.
    pub(crate) fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    /// A request's whole body.
    pub(crate) async fn collect(&self, body: axum::body::Body) -> Result<Bytes, Error> {
        let mut taken = None;
        let most = LARGE_BODIES.max(4 * self.max_body_bytes as u64);
        let body = Taking::new(body, &self.lasting.room, most, &mut taken);
        let collected = collect(body, self.max_body_bytes, self.body_read_timeout).await;
        let body = collected.map_err(|error| match error {
            CollectError::TooLarge { limit } => Error::TooLarge { limit },
            CollectError::Timeout { .. } => Error::SlowBody,
            CollectError::Disconnected { cause } if cause.is::<NoRoom>() => Error::NoRoom,
            _ => Error::Disconnected,
        })?;
        Ok(Taken::by(taken, unmarked(body)))
    }

    pub(crate) fn count(&self, status: StatusCode) {
        self.lasting.counters.answered(status);
    }

    /// Keeps recorded durations from piling up; see [`Metrics::upkeep`].
    pub(crate) fn upkeep(&self) {
        self.mcp.sweep();
        self.lasting.metrics.upkeep();
    }

    /// The page for `/metrics`, while these files of registries cannot be used.
    pub(crate) fn render_metrics(&self, stale_files: &[Arc<Path>]) -> String {
        let lasting = &self.lasting;
        if let Some(stats) = lasting.connections.get() {
            lasting.counters.connections.set(stats.current() as f64);
        }
        for service in self.catalog.services() {
            service.measure(stale_files);
        }
        lasting.metrics.render()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}

/// Whether a key is one of ours.
fn knows(ours: &[Secret], key: &str) -> bool {
    let key = Secret::new(key);
    // Compared in constant time, all of them, so that timing tells nothing about any.
    ours.iter().fold(false, |known, it| known | (*it == key))
}

/// The key that a caller shows, in either of the two places.
fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get(X_API_KEY) {
        return key.to_str().ok();
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cors(origins: &CorsOrigins) -> Cors {
    match origins {
        CorsOrigins::Any => Cors::Any,
        CorsOrigins::Only(origins) => Cors::Origins(
            origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
        ),
    }
}
