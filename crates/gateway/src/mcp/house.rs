use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use bartizan_auth::Secret;
use bartizan_clock::{Clock, Instant};
use bartizan_config::{AllowedHosts, CorsOrigins, GatewaySettings};
use bartizan_transport::{
    origin::{InvalidOriginCheck, OriginCheck},
    seal::{InvalidKeys, Keys},
    sessions::{InsertError, InvalidLimits, SessionId, SessionLimits, Sessions},
    stream::{Capped, Idle, IdleLimits, KeepAlive, KeepAliveInterval},
};
use thiserror::Error;

use super::{
    Caller, Refusal, all::Shelf, ask::Parked, client::ClientSession, session::LIFETIME,
    upstream::UpstreamSession,
};
use crate::service::Stream;

/// What something is kept under that `what` tells apart from all else: two hashes of it.
pub(super) fn key_of(what: impl Hash) -> SessionId {
    let half = |number: u8| {
        let mut hasher = DefaultHasher::new();
        (number, &what).hash(&mut hasher);
        hasher.finish().to_ne_bytes()
    };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&half(0));
    key[8..].copy_from_slice(&half(1));
    SessionId::from_bytes(key)
}

/// What all doors of MCP share.
///
/// Clones share the sessions.
#[derive(Clone)]
pub(crate) struct House {
    keys: Keys,
    origin: OriginCheck,
    /// Whether only this machine reaches the gateway, as long as the process runs.
    on_loopback: bool,
    clients: Table<ClientSession>,
    stand_ins: Table<UpstreamSession>,
    pool: Table<UpstreamSession>,
    parked: Sessions<Parked>,
    ended: Sessions<()>,
    shelf: Shelf,
    keep_alive: KeepAliveInterval,
    max_message_bytes: usize,
    max_stream_bytes: u64,
    clock: Clock,
}

/// How long a parked call waits for its client.
const PARKED: Duration = Duration::from_secs(300);

impl House {
    /// # Errors
    ///
    /// When the configuration holds something that it should have refused.
    pub(crate) fn new(settings: &GatewaySettings, clock: Clock) -> Result<Self, InvalidHouse> {
        let mcp = &settings.mcp;
        let keys = keys(settings)?.unwrap_or_else(Keys::random);
        let on_loopback = settings.address().ip().is_loopback();
        let limits = |idle| SessionLimits {
            max_sessions: nonzero(*mcp.max_sessions),
            max_per_owner: nonzero(*mcp.max_sessions_per_caller),
            idle,
            ..SessionLimits::default()
        };
        let idle = *mcp.session_idle_timeout;
        // Or the token of a session that its client ended would revive it.
        let ended = SessionLimits {
            lifetime: LIFETIME,
            ..limits(LIFETIME)
        };
        Ok(Self {
            keys,
            origin: origin(settings, on_loopback)?,
            on_loopback,
            clients: Table::new(limits(idle), clock)?,
            stand_ins: Table::new(limits(idle), clock)?,
            pool: Table::new(limits(idle), clock)?,
            parked: Sessions::new(limits(PARKED), clock)?,
            ended: Sessions::new(ended, clock)?,
            shelf: Shelf::new(
                *mcp.list_timeout,
                limits(SessionLimits::default().idle),
                clock,
            )?,
            keep_alive: KeepAliveInterval::new(*mcp.keep_alive).unwrap_or_default(),
            max_message_bytes: *settings.max_response_bytes,
            max_stream_bytes: *mcp.max_stream_bytes as u64,
            clock,
        })
    }

    /// The same sessions and lists under other settings: keys, hosts, sizes and times. How many
    /// sessions there may be, and for how long, stays as it was.
    ///
    /// # Errors
    ///
    /// When the configuration holds something that it should have refused.
    pub(crate) fn renewed(&self, settings: &GatewaySettings) -> Result<Self, InvalidHouse> {
        let mcp = &settings.mcp;
        Ok(Self {
            keys: keys(settings)?.unwrap_or_else(|| self.keys.clone()),
            origin: origin(settings, self.on_loopback)?,
            shelf: self.shelf.renewed(*mcp.list_timeout),
            keep_alive: KeepAliveInterval::new(*mcp.keep_alive).unwrap_or_default(),
            max_message_bytes: *settings.max_response_bytes,
            max_stream_bytes: *mcp.max_stream_bytes as u64,
            ..self.clone()
        })
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn origin(&self) -> &OriginCheck {
        &self.origin
    }

    /// What is kept of clients whose sessions are the gateway's.
    pub(crate) fn clients(&self) -> &Table<ClientSession> {
        &self.clients
    }

    /// Sessions in the place of those that upstreams lost, or would be told something if they did,
    /// by the session of the client.
    pub(crate) fn stand_ins(&self) -> &Table<UpstreamSession> {
        &self.stand_ins
    }

    /// Sessions with older upstreams that serve clients who have none.
    pub(crate) fn pool(&self) -> &Table<UpstreamSession> {
        &self.pool
    }

    /// Calls that wait for a client's answer.
    pub(crate) fn parked(&self) -> &Sessions<Parked> {
        &self.parked
    }

    /// Where the lists of services are kept, under the limits of sessions.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Notes that a client ended its session, so that nobody revives it.
    pub(crate) fn end(&self, id: SessionId, caller: &Caller) {
        // Without room for the note an upstream still knows that the session is over.
        let _ = self.ended.insert(id, caller.principal(), ());
    }

    /// Whether a client ended this session.
    pub(crate) fn has_ended(&self, id: &SessionId, caller: &Caller) -> bool {
        !self.ended.is_empty() && self.ended.get(id, caller.principal()).is_some()
    }

    /// The most bytes of one message.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    pub(crate) fn keep_alive(&self) -> KeepAliveInterval {
        self.keep_alive
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// The body of an answer that is one JSON value.
    pub(crate) fn whole(&self, stream: Stream, limits: IdleLimits) -> Body {
        let body = Idle::new(stream, limits, self.clock);
        Body::new(Capped::new(body, self.max_message_bytes as u64))
    }

    /// The body of an answer that is a stream of events.
    pub(crate) fn events(&self, stream: Stream, silence: Duration) -> Body {
        let body = Idle::new(stream, IdleLimits::silence(silence), self.clock);
        let body = Capped::new(body, self.max_stream_bytes);
        Body::new(KeepAlive::new(body, self.keep_alive, self.clock))
    }

    /// Forgets what nobody uses any more.
    pub(crate) fn sweep(&self) {
        self.sweep_as_of(self.clock.now());
    }

    /// Forgets everything, but the clients of open streams. What follows services for a client
    /// holds the snapshot, which holds what is kept of the client: only this lets go of both.
    pub(crate) fn retire(&self) {
        self.sweep_as_of(Instant::from_nanos(u64::MAX));
    }

    fn sweep_as_of(&self, now: Instant) {
        for table in [&self.stand_ins, &self.pool] {
            table.0.sweep(now);
        }
        self.clients.0.sweep(now);
        self.parked.sweep(now);
        self.ended.sweep(now);
        self.shelf.sweep(now);
    }
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House").finish_non_exhaustive()
    }
}

/// Things that belong to callers, by session.
#[derive(Debug)]
pub(crate) struct Table<T>(Sessions<Arc<T>>);

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Table<T> {
    fn new(limits: SessionLimits, clock: Clock) -> Result<Self, InvalidLimits> {
        Sessions::new(limits, clock).map(Self)
    }

    pub(crate) fn get(&self, id: &SessionId, caller: &Caller) -> Option<Arc<T>> {
        if self.0.is_empty() {
            return None;
        }
        let session = self.0.get(id, caller.principal())?;
        Some(Arc::clone(&session))
    }

    /// What is there, or what `make` makes if nothing is.
    ///
    /// # Errors
    ///
    /// When there is no room.
    pub(crate) fn get_or_insert(
        &self,
        id: SessionId,
        caller: &Caller,
        make: impl FnOnce() -> Arc<T>,
    ) -> Result<Arc<T>, Refusal> {
        if let Some(there) = self.get(&id, caller) {
            return Ok(there);
        }
        let session = self.0.insert(id, caller.principal(), make());
        session
            .map(|session| Arc::clone(&session))
            .map_err(|error| no_room(&error))
    }

    pub(crate) fn remove(&self, id: &SessionId, caller: &Caller) -> Option<Arc<T>> {
        let session = self.0.remove(id, caller.principal())?;
        Some(Arc::clone(&session))
    }

    /// Keeps a session from being forgotten for as long as the guard lives.
    pub(crate) fn hold(&self, id: &SessionId, caller: &Caller) -> Option<impl Send + use<T>>
    where
        T: Send + Sync,
    {
        self.0.get(id, caller.principal())
    }
}

pub(super) fn no_room(error: &InsertError) -> Refusal {
    match error {
        InsertError::Taken => Refusal::session_not_found(),
        error => Refusal::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            bartizan_protocol::error::OVERLOADED,
            format!("{error}: close one, or try again later"),
        ),
    }
}

/// A configuration whose parts do not hold.
#[derive(Debug, Error)]
pub enum InvalidHouse {
    /// The keys that seal sessions.
    #[error("MCP_SESSION_KEYS: {0}")]
    Keys(InvalidKeys),
    /// The hosts or origins that are allowed.
    #[error("MCP_ALLOWED_HOSTS, MCP_ALLOWED_ORIGINS: {0}")]
    Origins(InvalidOriginCheck),
    /// The limits of sessions.
    #[error("MCP_SESSION_IDLE_TIMEOUT: {0}")]
    Limits(InvalidLimits),
}

impl From<InvalidKeys> for InvalidHouse {
    fn from(error: InvalidKeys) -> Self {
        Self::Keys(error)
    }
}

impl From<InvalidOriginCheck> for InvalidHouse {
    fn from(error: InvalidOriginCheck) -> Self {
        Self::Origins(error)
    }
}

impl From<InvalidLimits> for InvalidHouse {
    fn from(error: InvalidLimits) -> Self {
        Self::Limits(error)
    }
}

/// The keys that the operator gave.
fn keys(settings: &GatewaySettings) -> Result<Option<Keys>, InvalidKeys> {
    let secrets = settings.mcp.session_keys.as_ref().map(|secrets| {
        let secrets = secrets.iter().map(|it: &Secret| it.expose().as_bytes());
        Keys::from_secrets(&secrets.collect::<Vec<_>>())
    });
    secrets.transpose()
}

fn nonzero(number: NonZeroU32) -> NonZeroUsize {
    NonZeroUsize::try_from(number).unwrap_or(NonZeroUsize::MAX)
}

/// Which pages of a browser may reach the gateway, under which names.
fn origin(
    settings: &GatewaySettings,
    on_loopback: bool,
) -> Result<OriginCheck, InvalidOriginCheck> {
    let (hosts, on_loopback) = match settings.mcp.allowed_hosts.as_deref() {
        Some(AllowedHosts::Only(hosts)) => (hosts.clone(), on_loopback),
        Some(AllowedHosts::Any) => (Vec::new(), false),
        // A proxy on this machine may pass on the name under which callers know the gateway.
        None if on_loopback => (
            settings
                .url
                .host_str()
                .map(str::to_owned)
                .into_iter()
                .collect(),
            true,
        ),
        None => (Vec::new(), false),
    };
    let origins = match settings.mcp.allowed_origins.as_deref() {
        Some(CorsOrigins::Only(origins)) => origins.iter().map(ToString::to_string).collect(),
        Some(CorsOrigins::Any) => vec!["*".to_owned()],
        None => Vec::new(),
    };
    OriginCheck::new(hosts, origins, on_loopback)
}
