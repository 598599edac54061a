use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering},
};

use bartizan_clock::Instant;

use crate::{
    Endpoint, EndpointSnapshot, Strategy,
    load::{Lane, Lanes},
    ring::Ring,
    schedule,
};

/// All endpoints at one moment, with what the strategy precomputes from them.
pub(crate) struct Set<T> {
    pub(crate) entries: Box<[Entry<T>]>,
    by_id: HashMap<Arc<str>, usize>,
    pub(crate) plan: Plan,
}

/// An endpoint with the service that reaches it.
pub(crate) struct Entry<T> {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) lanes: Arc<Lanes<T>>,
    /// Where there are many endpoints, the one lane: through `lanes` it would be one cache miss
    /// more, of which a pick among ten thousand has few others. Weak, for a reference is a call.
    only: Weak<Lane<T>>,
    pub(crate) weight: u32,
}

/// What a strategy needs to choose from this set.
pub(crate) enum Plan {
    RoundRobin,
    /// Indices of endpoints, in the order of their turns.
    Turns(Box<[u32]>),
    LeastConnections,
    HealthBased,
    Random,
    P2c,
    P2cPeakEwma,
    Ring(Ring),
}

impl<T> Set<T> {
    /// Entries must have distinct ids.
    pub(crate) fn new(strategy: Strategy, entries: Box<[Entry<T>]>) -> Self {
        let plan = match strategy {
            Strategy::RoundRobin => Plan::RoundRobin,
            Strategy::WeightedRoundRobin => {
                Plan::Turns(schedule::turns(entries.iter().map(|entry| entry.weight)))
            }
            Strategy::LeastConnections => Plan::LeastConnections,
            Strategy::HealthBased => Plan::HealthBased,
            Strategy::Random => Plan::Random,
            Strategy::P2c => Plan::P2c,
            Strategy::P2cPeakEwma => Plan::P2cPeakEwma,
            Strategy::ConsistentHash => {
                let ids = entries.iter().map(|e| (&**e.endpoint.id(), e.weight));
                Plan::Ring(Ring::new(&ids.collect::<Vec<_>>()))
            }
        };
        let by_id = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (Arc::clone(entry.endpoint.id()), index))
            .collect();
        Self {
            entries,
            by_id,
            plan,
        }
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Entry<T>> {
        self.entries.get(*self.by_id.get(id)?)
    }

    pub(crate) fn contains(&self, endpoint: &Endpoint) -> bool {
        let known = self.by_id(endpoint.id());
        known.is_some_and(|entry| entry.endpoint.serial() == endpoint.serial())
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.entries.iter().map(|entry| &*entry.endpoint)
    }
}

impl<T> Entry<T> {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        lanes: Arc<Lanes<T>>,
        weight: u32,
        many: bool,
    ) -> Self {
        Self {
            endpoint,
            only: if many { lanes.only() } else { Weak::new() },
            lanes,
            weight,
        }
    }

    /// A call begins. It ends when what is returned is dropped.
    #[inline(always)]
    pub(crate) fn begin(&self) -> Arc<Lane<T>> {
        Lanes::begin_at(&self.only).unwrap_or_else(|| self.lanes.begin())
    }

    #[inline(always)]
    fn in_flight(&self) -> u64 {
        match self.only.strong_count() as u64 {
            0 => self.lanes.in_flight(),
            references => references - 1,
        }
    }

    /// Calls in flight, to be compared by [`Occupancy::is_below`].
    #[inline]
    pub(crate) fn occupancy(&self) -> Occupancy {
        Occupancy {
            in_flight: self.in_flight(),
            weight: self.weight,
        }
    }

    pub(crate) fn snapshot(&self, measured: bool, now: Instant) -> EndpointSnapshot {
        let endpoint = &*self.endpoint;
        let until = endpoint.ejected_until.load(Ordering::Relaxed);
        EndpointSnapshot {
            id: Arc::clone(endpoint.id()),
            uri: endpoint.uri().clone(),
            weight: self.weight,
            in_flight: self.lanes.in_flight(),
            health: endpoint.health(),
            score: endpoint.score.points(now),
            ejected_for: (until > now.as_nanos()).then(|| Instant::from_nanos(until) - now),
            ewma: measured.then(|| endpoint.latency.average(now)),
            requests: self.lanes.total(),
            failures: endpoint.failures.load(Ordering::Relaxed),
        }
    }

    /// Whether one more call would cost less here than there: latency times calls, for the weight.
    #[inline(always)]
    pub(crate) fn costs_less(&self, other: &Self) -> bool {
        let (ours, theirs) = self.endpoint.latency.both(&other.endpoint.latency);
        let load = |entry: &Self| (entry.in_flight() + 1) as f32;
        ours * load(self) * (other.weight as f32) < theirs * load(other) * (self.weight as f32)
    }
}

/// Calls in flight relative to a weight.
#[derive(Clone, Copy)]
pub(crate) struct Occupancy {
    in_flight: u64,
    weight: u32,
}

impl Occupancy {
    /// Whether this is less, without dividing.
    #[inline]
    pub(crate) fn is_below(self, other: Self) -> bool {
        self.cross(other) < other.cross(self)
    }

    #[inline]
    pub(crate) fn equals(self, other: Self) -> bool {
        self.cross(other) == other.cross(self)
    }

    #[inline]
    fn cross(self, other: Self) -> u64 {
        self.in_flight.saturating_mul(u64::from(other.weight))
    }
}
