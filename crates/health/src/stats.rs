use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use bartizan_clock::Instant;

use crate::{Health, ProbeResult};

/// What a [`Checker`](crate::Checker) did so far, instances that left included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckerStats {
    /// Probes that have ended.
    pub probes: u64,
    /// Those that found an instance alive.
    pub succeeded: u64,
    /// Those that did not.
    pub failed: u64,
    /// Probes under way now.
    pub in_flight: usize,
    /// When the last probe ended.
    pub last_probe: Option<Instant>,
    /// How often an instance became healthy.
    pub became_healthy: u64,
    /// How often an instance became unhealthy.
    pub became_unhealthy: u64,
}

/// The counters behind [`CheckerStats`]: written once a probe, which is a network exchange.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    succeeded: AtomicU64,
    failed: AtomicU64,
    in_flight: AtomicUsize,
    /// In nanoseconds of the clock; zero if there was none.
    last_probe: AtomicU64,
    became_healthy: AtomicU64,
    became_unhealthy: AtomicU64,
}

impl Counts {
    /// Counts a probe as under way until the guard is dropped.
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        UnderWay(self)
    }

    pub(crate) fn changed(&self, to: Health) {
        match to {
            Health::Healthy => self.became_healthy.fetch_add(1, Relaxed),
            Health::Unhealthy => self.became_unhealthy.fetch_add(1, Relaxed),
            Health::Unknown => 0,
        };
    }

    pub(crate) fn snapshot(&self) -> CheckerStats {
        let (succeeded, failed) = (self.succeeded.load(Relaxed), self.failed.load(Relaxed));
        let last_probe = self.last_probe.load(Relaxed);
        CheckerStats {
            probes: succeeded + failed,
            succeeded,
            failed,
            in_flight: self.in_flight.load(Relaxed),
            last_probe: (last_probe != 0).then(|| Instant::from_nanos(last_probe)),
            became_healthy: self.became_healthy.load(Relaxed),
            became_unhealthy: self.became_unhealthy.load(Relaxed),
        }
    }
}

/// One probe that has not ended; one that is dropped without an end was abandoned.
#[derive(Debug)]
pub(crate) struct UnderWay<'a>(&'a Counts);

impl UnderWay<'_> {
    pub(crate) fn end(self, result: &ProbeResult, now: Instant) {
        let counts = self.0;
        let counter = if result.is_alive() {
            &counts.succeeded
        } else {
            &counts.failed
        };
        counter.fetch_add(1, Relaxed);
        counts.last_probe.fetch_max(now.as_nanos(), Relaxed);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
