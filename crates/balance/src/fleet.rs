use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bartizan_clock::{Clock, Instant};
use bartizan_discovery::Instance;
use bartizan_health::Health;
use http::Uri;
use parking_lot::Mutex;

use crate::{
    Endpoint, NoEndpoints, OutlierConfig, Strategy, Tried,
    balancer::BalancerBuilder,
    cursor::Cursor,
    load::Lanes,
    select::{Admit, Call, MANY},
    set::{Entry, Set},
};

/// Makes the lanes to an endpoint, with the service that reaches it, for all threads or for each.
type Make<T> = Box<dyn Fn(&Instance, &Arc<Endpoint>, bool) -> Lanes<T> + Send + Sync>;

/// What ejects endpoints, whatever they are reached by.
pub(crate) trait Ejects: Send + Sync {
    /// An endpoint has failed `failures` times in a row.
    fn consider_ejection(&self, endpoint: &Endpoint, failures: u32);
}

/// What all clones of a balancer share.
pub(crate) struct Fleet<T> {
    set: ArcSwap<Set<T>>,
    cursor: Cursor,
    standing: Standing,
    pub(crate) strategy: Strategy,
    pub(crate) clock: Clock,
    pub(crate) outlier: Option<OutlierConfig>,
    panic_threshold: f64,
    make: Make<T>,
    /// Itself, for its endpoints.
    ejects: Weak<dyn Ejects>,
    /// Held while a set is replaced: `make` runs under it. Picks never touch it.
    updating: Mutex<()>,
    /// Held while an endpoint is ejected, returned or found (un)healthy, and while a new set
    /// is put in place, so that [`Standing`] always matches the set. These are rare; a pick
    /// only ever tries it, when an ejection has run out.
    changing: Mutex<()>,
    /// How often an endpoint was ever ejected.
    ejections: AtomicU64,
    /// What the log calls the service.
    name: Option<Arc<str>>,
}

/// How many endpoints of the current set may not be used, so that a pick need not count.
#[derive(Default)]
struct Standing {
    /// Ejected or unhealthy.
    unusable: AtomicUsize,
    /// Ejected and not unhealthy besides: those that would be usable.
    ejected: AtomicUsize,
    /// When the first ejection ends, in nanoseconds; `u64::MAX` if there is none.
    next_return: AtomicU64,
    /// Whether too few were usable when last counted.
    panicking: AtomicBool,
}

impl<T> Fleet<T> {
    pub(crate) fn new(
        builder: BalancerBuilder,
        make: impl Fn(&Instance) -> T + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        T: Send + Sync + 'static,
    {
        Arc::new_cyclic(|fleet: &Weak<Self>| Self {
            set: ArcSwap::from_pointee(Set::new(builder.strategy, Box::new([]))),
            cursor: Cursor::default(),
            standing: Standing {
                next_return: AtomicU64::new(u64::MAX),
                ..Standing::default()
            },
            strategy: builder.strategy,
            clock: builder.clock,
            outlier: builder.outlier,
            panic_threshold: builder.panic_threshold,
            make: Box::new(move |instance, endpoint, shared| {
                Lanes::new(endpoint, make(instance), shared)
            }),
            ejects: fleet.clone(),
            updating: Mutex::new(()),
            changing: Mutex::new(()),
            ejections: AtomicU64::new(0),
            name: builder.name,
        })
    }

    /// What the log calls the service.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn set(&self) -> arc_swap::Guard<Arc<Set<T>>> {
        self.set.load()
    }

    /// What `picked` makes of the endpoint for a request, or none.
    #[inline(always)]
    pub(crate) fn pick<P>(
        &self,
        key: Option<u64>,
        tried: Option<&Tried>,
        picked: impl FnOnce(&Entry<T>, Option<Instant>) -> P,
    ) -> Result<P, NoEndpoints> {
        let set = self.set.load();
        if set.entries.is_empty() {
            return Err(NoEndpoints::new(None));
        }
        let admit = Admit {
            usable_only: self.standing.unusable.load(Ordering::Relaxed) != 0
                && !self.must_use_all(&set),
            tried: tried.filter(|tried| !tried.is_empty()),
        };
        let call = Call {
            key,
            clock: self.clock,
        };
        // Before the endpoints are looked at: the clock is read while their cache lines come.
        let begun = self.begun();
        let index = match self.best(&set, admit, call) {
            Some(index) => index,
            None => self.second_best(&set, admit, call)?,
        };
        Ok(picked(&set.entries[index], begun))
    }

    /// The time at which a call begins, if that is of interest.
    #[inline]
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.strategy.measures_latency().then(|| self.clock.now())
    }

    #[inline]
    fn best(&self, set: &Set<T>, admit: Admit<'_>, call: Call) -> Option<usize> {
        if admit.tried.is_some() && !admit.usable_only {
            // Where all are used because few are usable, a call that failed already goes to one of
            // the few: they take what fails elsewhere, not everything.
            let usable_only = Admit {
                usable_only: true,
                ..admit
            };
            if let Some(index) = self.select(set, usable_only, call) {
                return Some(index);
            }
        }
        self.select(set, admit, call)
    }

    #[inline]
    fn select(&self, set: &Set<T>, admit: Admit<'_>, call: Call) -> Option<usize> {
        set.select(admit, &self.cursor, call)
    }

    /// Nobody is left after those excluded: better one of them than none.
    #[cold]
    fn second_best(
        &self,
        set: &Set<T>,
        admit: Admit<'_>,
        call: Call,
    ) -> Result<usize, NoEndpoints> {
        let usable_only = admit.usable_only;
        let again = || {
            let tried = None;
            self.select(set, Admit { usable_only, tried }, call)
        };
        // The standing may have changed since it was looked at.
        let anyone = || {
            let (usable_only, tried) = (false, None);
            let index = self.select(set, Admit { usable_only, tried }, call);
            index.filter(|_| self.panic_threshold > 0.0)
        };
        again().or_else(anyone).ok_or_else(|| {
            let next = self.standing.next_return.load(Ordering::Relaxed);
            let wait = Instant::from_nanos(next) - self.clock.now();
            NoEndpoints::new((next != u64::MAX).then_some(wait))
        })
    }

    /// Some endpoint may not be used: brings back those whose ejection has ended, and says
    /// whether so few are left that all must be used nevertheless.
    #[cold]
    fn must_use_all(&self, set: &Set<T>) -> bool {
        if self.standing.next_return.load(Ordering::Relaxed) != u64::MAX {
            let now = self.clock.now();
            if self.standing.next_return.load(Ordering::Relaxed) <= now.as_nanos() {
                self.bring_back(now);
            }
        }
        self.is_panic(
            set.entries.len(),
            self.standing.unusable.load(Ordering::Relaxed),
        )
    }

    fn is_panic(&self, count: usize, unusable: usize) -> bool {
        let usable = count.saturating_sub(unusable);
        (usable as f64) < self.panic_threshold * count as f64
    }

    fn bring_back(&self, now: Instant) {
        // Whoever holds the lock brings them back, or recounts, for us.
        let Some(_changing) = self.changing.try_lock() else {
            return;
        };
        let set = self.set.load();
        for endpoint in set.endpoints() {
            let until = endpoint.ejected_until.load(Ordering::Relaxed);
            if until != 0 && until <= now.as_nanos() {
                endpoint.set_ejected_until(0);
                tracing::info!(service = self.name(), id = %endpoint.id(), "endpoint returned");
            }
        }
        self.recount(&set);
    }

    /// Whether a failure of this endpoint is dealt with by setting it aside.
    pub(crate) fn absorbs(&self, id: &str) -> bool {
        let set = self.set.load();
        let Some(entry) = set.by_id(id) else {
            return true;
        };
        if self.must_use_all(&set) {
            return false;
        }
        let may_eject = |outlier| self.may_eject(outlier, &set);
        !entry.endpoint.is_usable() || self.outlier.as_ref().is_some_and(may_eject)
    }

    /// Whether one more may go. Those that probes keep out anyway do not count: a dead instance
    /// is no reason to go on calling one that fails.
    fn may_eject(&self, outlier: &OutlierConfig, set: &Set<T>) -> bool {
        self.standing.ejected.load(Ordering::Relaxed) < outlier.limit(set.entries.len())
    }

    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
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
            let service = self.name();
            tracing::info!(service, id = %endpoint.id(), "endpoint returned, its probes are good");
        } else {
            endpoint.streak.advance();
        }
    }

    /// To be called with `changing` held.
    fn recount(&self, set: &Set<T>) {
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

    /// Replaces the set, keeping the slots of endpoints that stay.
    pub(crate) fn update(&self, instances: &[Instance]) {
        let _updating = self.updating.lock();
        self.replace(instances);
    }

    /// The same if the set is empty; whether it was.
    pub(crate) fn seed(&self, instances: &[Instance]) -> bool {
        let _updating = self.updating.lock();
        let is_empty = self.set.load().entries.is_empty();
        if is_empty {
            self.replace(instances);
        }
        is_empty
    }

    /// For whoever is updating.
    fn replace(&self, instances: &[Instance]) {
        let before = self.set.load_full();
        let now = self.clock.now();
        let mut entries: Vec<Entry<T>> = Vec::with_capacity(instances.len());
        let mut seen = std::collections::HashSet::with_capacity(instances.len());
        for instance in instances {
            if !seen.insert(instance.id()) {
                let (service, id) = (self.name(), instance.id());
                tracing::warn!(service, %id, "two instances have one id, ignoring the second");
                continue;
            }
            entries.push(self.entry(&before, instance, instances.len() > MANY, now));
        }
        let set = Arc::new(Set::new(self.strategy, entries.into()));
        let _changing = self.changing.lock();
        if let Some(outlier) = &self.outlier {
            self.pardon(&set, outlier.limit(set.entries.len()));
        }
        self.set.store(Arc::clone(&set));
        self.recount(&set);
    }

    /// What was known of an instance, or a new endpoint for it; one of `many`, perhaps.
    fn entry(&self, before: &Set<T>, instance: &Instance, many: bool, now: Instant) -> Entry<T> {
        let (endpoint, lanes) = match before.by_id(instance.id()) {
            Some(entry) if entry.endpoint.uri() == instance.uri() => {
                let known = &entry.endpoint.instance;
                if **known.load() != *instance {
                    known.store(Arc::new(instance.clone()));
                }
                (Arc::clone(&entry.endpoint), Arc::clone(&entry.lanes))
            }
            _ => {
                let fleet = Some(Weak::clone(&self.ejects));
                let endpoint = Arc::new(Endpoint::new(instance, self.clock, now, fleet));
                // Of many endpoints hardly ever two threads are at one, and a lane for each would
                // be memory that no cache holds.
                let shared = self.strategy.compares_load() || many;
                let lanes = (self.make)(instance, &endpoint, shared);
                (endpoint, Arc::new(lanes))
            }
        };
        Entry::new(endpoint, lanes, instance.weight(), many)
    }

    /// Brings back the ejected beyond `limit`, those first who would return first: when healthy
    /// endpoints leave, the ejected ones may be all that is left.
    fn pardon(&self, set: &Set<T>, limit: usize) {
        let would_be_usable = |e: &&Endpoint| e.is_ejected() && e.health().is_usable();
        let mut ejected: Vec<_> = set.endpoints().filter(would_be_usable).collect();
        ejected.sort_unstable_by_key(|e| e.ejected_until.load(Ordering::Relaxed));
        let surplus = ejected.len().saturating_sub(limit);
        let now = self.clock.now().as_nanos();
        for endpoint in &ejected[..surplus] {
            endpoint.last_return.fetch_min(now, Ordering::Relaxed);
            endpoint.set_ejected_until(0);
            let (service, id) = (self.name(), endpoint.id());
            tracing::info!(service, %id, "endpoint returned early, too few are left");
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
        let (id, seconds) = (endpoint.id(), duration.as_secs());
        tracing::warn!(service = self.name(), %id, failures, seconds, "endpoint ejected");
    }
}
