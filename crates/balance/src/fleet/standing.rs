//! How many endpoints are out of use, and what takes them out and brings them back.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use bartizan_clock::Instant;
use bartizan_health::Health;
use http::Uri;

use super::{Ejects, Fleet};
use crate::{
    Endpoint, OutlierConfig,
    set::{Entry, Set},
};

/// How many endpoints of the current set may not be used, so that a pick need not count.
pub(super) struct Standing {
    /// Ejected or unhealthy.
    pub(super) unusable: AtomicUsize,
    /// Ejected and not unhealthy besides: those that would be usable.
    ejected: AtomicUsize,
    /// When the first ejection ends, in nanoseconds; `u64::MAX` if there is none.
    pub(super) next_return: AtomicU64,
    /// Whether too few were usable when last counted.
    panicking: AtomicBool,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            unusable: AtomicUsize::new(0),
            ejected: AtomicUsize::new(0),
            next_return: AtomicU64::new(u64::MAX),
            panicking: AtomicBool::new(false),
        }
    }
}

impl<T> Fleet<T> {
    /// Takes note of the health of the endpoint known as `id`, if it is at `place`, where that was
    /// found.
    pub(crate) fn set_health(&self, id: &str, place: Option<&Uri>, health: Health) -> bool {
        let _changing = self.changing.lock();
        let set = self.set.load();
        let is_there = |entry: &&Entry<T>| place.is_none_or(|uri| entry.endpoint.uri() == uri);
        let Some(entry) = set.by_id(id).filter(is_there) else {
            return false;
        };
        let endpoint = &entry.endpoint;
        if endpoint.health() == Health::Unhealthy && health == Health::Healthy {
            // The probes saw it fail and saw it mend: calls need not wait any longer, nor hold
            // what was against it.
            self.pardon_mended(endpoint, &set);
        }
        endpoint.set_health(health);
        self.recount(&set);
        true
    }

    /// Ends an ejection, if there is one, as if it had run out, and forgets failures and how long
    /// they took: the endpoint is as fast as the others until it is seen to be otherwise. To be
    /// called with `changing` held.
    fn pardon_mended(&self, endpoint: &Endpoint, set: &Set<T>) {
        let now = self.clock.now();
        endpoint.score.forget(now);
        let others = set.endpoints().filter(|other| other.is_usable());
        let latencies = others.map(|other| other.latency.average_nanos(now));
        let (sum, count) =
            latencies.fold((0.0, 0.0), |(sum, count), nanos| (sum + nanos, count + 1.0));
        if count > 0.0 {
            endpoint.latency.take(sum / count, now);
        }
        if endpoint.is_ejected() {
            endpoint
                .last_return
                .store(now.as_nanos(), Ordering::Relaxed);
            endpoint.set_ejected_until(0);
            let (service, id) = (self.name(), &**endpoint.id());
            tracing::info!(service, id, "endpoint returned, its probes are good");
        } else {
            endpoint.streak.advance();
        }
    }

    pub(super) fn bring_back(&self, now: Instant) {
        // Whoever holds the lock brings them back, or recounts, for us.
        let Some(_changing) = self.changing.try_lock() else {
            return;
        };
        let set = self.set.load();
        for endpoint in set.endpoints() {
            let until = endpoint.ejected_until.load(Ordering::Relaxed);
            if until != 0 && until <= now.as_nanos() {
                endpoint.set_ejected_until(0);
                let (service, id) = (self.name(), &**endpoint.id());
                tracing::info!(service, id, "endpoint returned");
            }
        }
        self.recount(&set);
    }

    /// Brings back the ejected beyond `limit`, those first who would return first: when healthy
    /// endpoints leave, the ejected ones may be all that is left.
    pub(super) fn pardon(&self, set: &Set<T>, limit: usize) {
        let would_be_usable = |e: &&Endpoint| e.is_ejected() && e.health().is_usable();
        let mut ejected: Vec<_> = set.endpoints().filter(would_be_usable).collect();
        ejected.sort_unstable_by_key(|e| e.ejected_until.load(Ordering::Relaxed));
        let surplus = ejected.len().saturating_sub(limit);
        let now = self.clock.now().as_nanos();
        for endpoint in &ejected[..surplus] {
            endpoint.last_return.fetch_min(now, Ordering::Relaxed);
            endpoint.set_ejected_until(0);
            let (service, id) = (self.name(), &**endpoint.id());
            tracing::info!(service, id, "endpoint returned early, too few are left");
        }
    }

    /// Whether one more may go. Those that probes keep out anyway do not count: a dead instance
    /// is no reason to go on calling one that fails.
    pub(super) fn may_eject(&self, outlier: &OutlierConfig, set: &Set<T>) -> bool {
        self.standing.ejected.load(Ordering::Relaxed) < outlier.limit(set.entries.len())
    }

    fn eject(&self, endpoint: &Endpoint, outlier: &OutlierConfig, now: Instant) -> Duration {
        let last_return = Instant::from_nanos(endpoint.last_return.load(Ordering::Relaxed));
        let behaved = (now - last_return).as_nanos() / outlier.base_ejection.as_nanos().max(1);
        let forgiven = u32::try_from(behaved).unwrap_or(u32::MAX);
        let times = endpoint.ejections.load(Ordering::Relaxed);
        let times = times.saturating_sub(forgiven).saturating_add(1);
        let duration = outlier.ejection(times, &mut fastrand::Rng::new());
        let until = (now + duration).as_nanos();
        endpoint.ejections.store(times, Ordering::Relaxed);
        endpoint.last_return.store(until, Ordering::Relaxed);
        endpoint.set_ejected_until(until);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        duration
    }

    /// To be called with `changing` held.
    pub(super) fn recount(&self, set: &Set<T>) {
        let (mut unusable, mut ejected, mut next_return) = (0, 0, u64::MAX);
        for endpoint in set.endpoints() {
            unusable += usize::from(!endpoint.is_usable());
            if endpoint.is_ejected() {
                ejected += usize::from(endpoint.health().is_usable());
                let until = endpoint.ejected_until.load(Ordering::Relaxed);
                next_return = next_return.min(until);
            }
        }
        let standing = &self.standing;
        standing.ejected.store(ejected, Ordering::Relaxed);
        standing.next_return.store(next_return, Ordering::Relaxed);
        standing.unusable.store(unusable, Ordering::Relaxed);
        let count = set.entries.len();
        let panicking = self.is_panic(count, unusable);
        let service = self.name();
        if standing.panicking.swap(panicking, Ordering::Relaxed) != panicking {
            if panicking {
                tracing::warn!(
                    service,
                    unusable,
                    count,
                    "too few endpoints are usable, using all"
                );
            } else {
                tracing::info!(
                    service,
                    unusable,
                    count,
                    "enough endpoints are usable again"
                );
            }
        }
    }
}

impl<T: Send + Sync> Ejects for Fleet<T> {
    #[cold]
    fn consider_ejection(&self, endpoint: &Endpoint, failures: u32) {
        let Some(outlier) = &self.outlier else {
            return;
        };
        if failures < outlier.consecutive_failures.get() || endpoint.is_ejected() {
            return;
        }
        // Before the lock, so that a fleet that fails as a whole does not queue up for it.
        if !self.may_eject(outlier, &self.set.load()) {
            return;
        }
        let now = self.clock.now();
        let _changing = self.changing.lock();
        let set = self.set.load();
        let full = !self.may_eject(outlier, &set);
        if full || endpoint.is_ejected() || !set.contains(endpoint) {
            return;
        }
        let duration = self.eject(endpoint, outlier, now);
        self.recount(&set);
        let (id, seconds) = (&**endpoint.id(), duration.as_secs());
        tracing::warn!(
            service = self.name(),
            id,
            failures,
            seconds,
            "endpoint ejected"
        );
    }
}
