use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bartizan_clock::{Clock, Instant};
use bartizan_discovery::Instance;
use bartizan_health::Health;
use http::Uri;

use crate::{fleet::Ejects, latency::Latency, load::Calls, score::Score, streak::Streak};

/// One instance as a balancer sees it: where it is, and how it is doing.
///
/// It outlives the updates of the set, as long as its id and its URI stay the same.
///
/// Calls that go well only read it, unless latencies are measured; what they write is in lanes.
/// What they read comes first, on one cache line.
#[repr(C)]
pub struct Endpoint {
    pub(crate) streak: Streak,
    pub(crate) score: Score,
    pub(crate) latency: Latency,
    pub(crate) clock: Clock,
    /// Neither ejected nor unhealthy. Written under the fleet's lock.
    pub(crate) usable: AtomicBool,
    /// A [`Health`]. Written under the fleet's lock.
    health: AtomicU8,
    pub(crate) calls: Calls,
    pub(crate) failures: AtomicU64,
    /// When the ejection ends, in nanoseconds; zero if there is none. Written under the
    /// fleet's lock, as are the next two.
    pub(crate) ejected_until: AtomicU64,
    /// How many times in a row it was ejected, which makes the next ejection longer.
    pub(crate) ejections: AtomicU32,
    /// When the last ejection ended or will end, in nanoseconds.
    pub(crate) last_return: AtomicU64,
    serial: u64,
    id: Arc<str>,
    uri: Uri,
    /// Weight and metadata may change while the endpoint stays.
    pub(crate) instance: ArcSwap<Instance>,
    /// Who ejects it when it fails. Weak, because the fleet holds its endpoints.
    pub(crate) fleet: Option<Weak<dyn Ejects>>,
}

impl Endpoint {
    pub(crate) fn new(
        instance: &Instance,
        clock: Clock,
        now: Instant,
        fleet: Option<Weak<dyn Ejects>>,
    ) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        Self {
            calls: Calls::new(),
            streak: Streak::new(),
            latency: Latency::new(now),
            score: Score::new(),
            failures: AtomicU64::new(0),
            usable: AtomicBool::new(true),
            health: AtomicU8::new(0),
            ejected_until: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            last_return: AtomicU64::new(0),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            id: Arc::clone(instance.id()),
            uri: instance.uri().clone(),
            instance: ArcSwap::from_pointee(instance.clone()),
            clock,
            fleet,
        }
    }

    /// The id of the instance.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Where the instance is.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The instance as its source describes it now, or did last.
    #[must_use]
    pub fn instance(&self) -> Arc<Instance> {
        self.instance.load_full()
    }

    /// Calls that have begun and not ended, streams included.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.calls.in_flight()
    }

    /// What active probes say of it.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    /// Unique in this process and never zero.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    #[inline]
    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected_until.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
        self.judge();
    }

    pub(crate) fn set_ejected_until(&self, until: u64) {
        self.ejected_until.store(until, Ordering::Relaxed);
        self.streak.advance();
        self.judge();
    }

    fn judge(&self) {
        let usable = !self.is_ejected() && self.health().is_usable();
        self.usable.store(usable, Ordering::Relaxed);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("in_flight", &self.in_flight())
            .field("usable", &self.is_usable())
            .finish_non_exhaustive()
    }
}

/// How an endpoint is doing, for people and dashboards.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// The id of the instance.
    pub id: Arc<str>,
    /// Where it is.
    pub uri: Uri,
    /// Its share relative to others.
    pub weight: u32,
    /// Calls that have begun and not ended.
    pub in_flight: u64,
    /// What active probes say.
    pub health: Health,
    /// How its calls went of late, from 0 to 100.
    pub score: u8,
    /// How long it will still be ejected, if it is.
    pub ejected_for: Option<Duration>,
    /// Its latency, if the strategy measures it.
    pub ewma: Option<Duration>,
    /// Calls that were ever sent to it.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
}

impl EndpointSnapshot {
    /// Whether it gets calls while there are others that do.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.ejected_for.is_none() && self.health.is_usable()
    }
}
