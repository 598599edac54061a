use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU64, Ordering, fence},
};

use crate::{
    Endpoint,
    stripe::{self, STRIPES},
};

/// What the calls of one thread, or of all, hold of an endpoint while they are in flight.
///
/// A call counts itself by the reference it holds, so that the number in flight and what keeps
/// the endpoint and its service alive cost one atomic operation at its beginning and one at its
/// end. A second one, on the same cache line, counts those ever made.
#[repr(C)]
pub(crate) struct Lane<T> {
    begun: AtomicU64,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) service: Arc<T>,
    /// So that no two lanes write to one cache line: 128 bytes with the reference counts.
    _room: [u64; 11],
}

impl<T> Lane<T> {
    #[inline(always)]
    fn count(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }
}

/// A lane, whatever the service is.
pub(crate) trait Occupied: Send + Sync {
    fn endpoint(&self) -> &Endpoint;
}

impl<T: Send + Sync> Occupied for Lane<T> {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// The lanes of an endpoint that is in a set, one for all threads or one for each of a few.
///
/// Threads that share a lane hand its cache line to one another at every call. Only a strategy
/// that compares endpoints by their calls in flight is better off with one, for then every pick
/// has to look at all lanes of several endpoints.
pub(crate) struct Lanes<T> {
    /// Zero if there is only one.
    mask: usize,
    /// The first only, or all.
    lanes: [Option<Arc<Lane<T>>>; STRIPES],
}

impl<T> Lanes<T> {
    pub(crate) fn new(endpoint: &Arc<Endpoint>, service: T, shared: bool) -> Self
    where
        T: Send + Sync + 'static,
    {
        let service = Arc::new(service);
        let lane = || {
            Arc::new(Lane {
                begun: AtomicU64::new(0),
                endpoint: Arc::clone(endpoint),
                service: Arc::clone(&service),
                _room: [0; 11],
            })
        };
        let mask = if shared { 0 } else { STRIPES - 1 };
        let lanes = std::array::from_fn(|index| (index <= mask).then(lane));
        endpoint.calls.watch(&lanes);
        Self { mask, lanes }
    }

    /// A call begins. It ends when what is returned is dropped.
    #[inline(always)]
    pub(crate) fn begin(&self) -> Arc<Lane<T>> {
        let index = if self.mask == 0 { 0 } else { stripe::own() };
        let lane = self.lane(index);
        lane.count();
        Arc::clone(lane)
    }

    /// The same by the way around [`Lanes`], if there is one.
    #[inline(always)]
    pub(crate) fn begin_at(only: &Weak<Lane<T>>) -> Option<Arc<Lane<T>>> {
        let lane = only.upgrade()?;
        lane.count();
        Some(lane)
    }

    /// The one lane of all threads; a reference to nothing if each has its own.
    pub(crate) fn only(&self) -> Weak<Lane<T>> {
        if self.mask == 0 {
            Arc::downgrade(self.lane(0))
        } else {
            Weak::new()
        }
    }

    /// What reaches the endpoint.
    pub(crate) fn service(&self) -> &Arc<T> {
        &self.lane(0).service
    }

    #[inline(always)]
    fn lane(&self, index: usize) -> &Arc<Lane<T>> {
        match &self.lanes[index] {
            Some(lane) => lane,
            None => unreachable!("there is a lane for every thread"),
        }
    }

    /// Calls that have begun and not ended.
    #[inline(always)]
    pub(crate) fn in_flight(&self) -> u64 {
        // All references but our own are calls.
        let calls = |lane: &Arc<Lane<T>>| Arc::strong_count(lane) as u64 - 1;
        match &self.lanes {
            [Some(lane), None, ..] => calls(lane),
            lanes => lanes.iter().flatten().map(calls).sum(),
        }
    }

    /// Calls that have ever begun.
    pub(crate) fn total(&self) -> u64 {
        let lanes = self.lanes.iter().flatten();
        lanes.map(|lane| lane.begun.load(Ordering::Relaxed)).sum()
    }
}

impl<T> Drop for Lanes<T> {
    fn drop(&mut self) {
        let Some(endpoint) = self.lanes[0]
            .as_ref()
            .map(|lane| Arc::clone(&lane.endpoint))
        else {
            return;
        };
        // Said before it is done, so that nobody takes a call for a reference of ours.
        endpoint.calls.own.store(0, Ordering::Release);
        self.lanes = Default::default();
    }
}

/// The lanes of an endpoint as it sees them itself, whether it is still in a set or not.
pub(crate) struct Calls {
    lanes: OnceLock<Box<[Weak<dyn Occupied>]>>,
    /// How many references to each lane are no calls: one while it is in a set, then none.
    own: AtomicU64,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            lanes: OnceLock::new(),
            own: AtomicU64::new(1),
        }
    }

    fn watch<T: Send + Sync + 'static>(&self, lanes: &[Option<Arc<Lane<T>>>]) {
        let watched = |lane| -> Weak<dyn Occupied> { Arc::<Lane<T>>::downgrade(lane) };
        let lanes = lanes.iter().flatten();
        self.lanes.get_or_init(|| lanes.map(watched).collect());
    }

    /// Calls that have begun and not ended. May be too high for the moment in which the endpoint
    /// leaves its set, and never too low.
    pub(crate) fn in_flight(&self) -> u64 {
        let lanes = self.lanes.get().map_or(&[][..], |lanes| lanes);
        let references: usize = lanes.iter().map(Weak::strong_count).sum();
        // Whoever sees a lane let go of sees that it was said.
        fence(Ordering::Acquire);
        let own = self.own.load(Ordering::Relaxed) * lanes.len() as u64;
        (references as u64).saturating_sub(own)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use bartizan_clock::{Clock, Instant};
    use bartizan_discovery::Instance;

    use super::*;

    fn lanes(shared: bool) -> (Arc<Endpoint>, Lanes<()>) {
        let instance = Instance::new("http://a").unwrap();
        let now = Instant::from_nanos(0);
        let endpoint = Arc::new(Endpoint::new(&instance, Clock::default(), now, None));
        let lanes = Lanes::new(&endpoint, (), shared);
        (endpoint, lanes)
    }

    #[test]
    fn a_lane_is_as_long_as_two_cache_lines() {
        let counts = 2 * size_of::<usize>();
        assert_eq!(counts + size_of::<Lane<()>>(), 128);
    }

    #[test]
    fn calls_of_many_threads_are_counted_and_end_where_they_did_not_begin() {
        const THREADS: usize = 12;
        const CALLS: usize = 2_000;
        for shared in [false, true] {
            let (endpoint, lanes) = lanes(shared);
            let start = Barrier::new(THREADS);
            let left: Vec<_> = thread::scope(|scope| {
                let begin = || {
                    start.wait();
                    let mut last = lanes.begin();
                    for _ in 1..CALLS {
                        assert!(lanes.in_flight() >= 1);
                        assert!(lanes.in_flight() <= 2 * THREADS as u64);
                        last = lanes.begin();
                    }
                    last
                };
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(lanes.total(), (THREADS * CALLS) as u64);
            assert_eq!(lanes.in_flight(), THREADS as u64);
            assert_eq!(endpoint.in_flight(), THREADS as u64);
            drop(left);
            assert_eq!((lanes.in_flight(), endpoint.in_flight()), (0, 0));
        }
    }

    #[test]
    fn an_endpoint_that_has_left_still_knows_its_calls() {
        for shared in [false, true] {
            let (endpoint, lanes) = lanes(shared);
            let calls = [lanes.begin(), lanes.begin()];
            drop(lanes);
            assert_eq!(endpoint.in_flight(), 2);
            drop(calls);
            assert_eq!(endpoint.in_flight(), 0);
            assert_eq!(Arc::strong_count(&endpoint), 1);
        }
    }
}
