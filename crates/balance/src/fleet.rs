mod standing;

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use bartizan_clock::{Clock, Instant};
use bartizan_discovery::Instance;
use parking_lot::Mutex;

use crate::{
    Endpoint, NoEndpoints, OutlierConfig, Strategy, Tried,
    balancer::BalancerBuilder,
    cursor::Cursor,
    load::Lanes,
    select::{Admit, Call, MANY},
    set::{Entry, Set},
};

use standing::Standing;

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
            standing: Standing::default(),
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
            return Err(NoEndpoints::FOR_GOOD);
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
        let index = match self.best(&set, admit, call) {
            Some(index) => index,
            None => self.second_best(&set, admit, call)?,
        };
        Ok(picked(&set.entries[index], self.begun()))
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
            if next == u64::MAX {
                return NoEndpoints::FOR_GOOD;
            }
            NoEndpoints::for_nanos(next.saturating_sub(self.clock.now().as_nanos()))
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

    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
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
                let (service, id) = (self.name(), &**instance.id());
                tracing::warn!(
                    service,
                    id,
                    "two instances have one id, ignoring the second"
                );
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
}
