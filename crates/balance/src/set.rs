use std::{collections::HashMap, sync::Arc};

use bartizan_clock::Instant;

use crate::{Endpoint, Strategy, endpoint::Slot, ring::Ring, schedule};

/// All endpoints at one moment, with what the strategy precomputes from them.
pub(crate) struct Set<T> {
    pub(crate) entries: Box<[Entry<T>]>,
    by_id: HashMap<Arc<str>, usize>,
    pub(crate) plan: Plan,
}

pub(crate) struct Entry<T> {
    pub(crate) slot: Arc<Slot<T>>,
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
                let ids = entries.iter().map(|e| (&**e.endpoint().id(), e.weight));
                Plan::Ring(Ring::new(&ids.collect::<Vec<_>>()))
            }
        };
        let by_id = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (Arc::clone(entry.endpoint().id()), index))
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
        known.is_some_and(|entry| entry.endpoint().serial() == endpoint.serial())
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.entries.iter().map(Entry::endpoint)
    }
}

impl<T> Entry<T> {
    #[inline]
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.slot.endpoint
    }

    /// Calls in flight, to be compared by [`Occupancy::is_below`].
    #[inline]
    pub(crate) fn occupancy(&self) -> Occupancy {
        Occupancy {
            in_flight: self.slot.lanes.in_flight(),
            weight: self.weight,
        }
    }

    /// What one more call would cost here: latency times calls, for its weight.
    #[inline]
    pub(crate) fn cost(&self, now: Instant) -> f32 {
        let calls = self.slot.lanes.in_flight() + 1;
        self.endpoint().latency.average_nanos(now) * calls as f32 / self.weight as f32
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
