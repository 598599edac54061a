mod builder;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_backoff::spread;
use bartizan_clock::Clock;
use fastrand::Rng;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Notify, task::AbortHandle};

use crate::{
    CheckerStats, HealthConfig, HealthState, Probe, Target, schedule::Probing, stats::Counts,
};

pub use builder::CheckerBuilder;

/// Probes a set of instances for as long as it lives.
///
/// Each instance has a task of its own that waits, asks for one of the few permits to probe,
/// and probes. Dropping the checker stops them all, in the middle of a probe if need be.
pub struct Checker {
    probing: Arc<dyn Probing>,
    config: HealthConfig,
    clock: Clock,
    counts: Arc<Counts>,
    runtime: Handle,
    /// Locked when the set changes or someone asks about it, never by a probe.
    watched: Mutex<HashMap<Arc<str>, Watched>>,
    /// When all may be asked for sooner again, in nanoseconds of the clock.
    next_call_for_all: AtomicU64,
}

struct Watched {
    target: Target,
    state: HealthState,
    wanted: Arc<Notify>,
    task: AbortHandle,
}

impl Checker {
    /// A builder of a checker that asks `probe`.
    pub fn builder<P: Probe>(config: HealthConfig, probe: P) -> CheckerBuilder<P> {
        CheckerBuilder::new(config, probe)
    }

    /// Probes exactly `targets` from now on.
    ///
    /// Those that were probed already, at the same place, keep their health and their schedule;
    /// if only their health is asked for elsewhere now, their health. Others begin as
    /// [`Unknown`](crate::Health::Unknown), and their first probes are spread out: over the
    /// [jitter](crate::HealthConfigBuilder::jitter) of an interval if they are few, over all of
    /// it if they are many. Results of those that left are ignored.
    pub fn update(&self, targets: impl IntoIterator<Item = Target>) {
        let mut watched = self.watched.lock();
        let mut before = std::mem::take(&mut *watched);
        let mut begin = Vec::new();
        for target in targets {
            if watched
                .get(&target.id)
                .is_some_and(|it| it.target == target)
            {
                continue;
            }
            let entry = match before.remove(&target.id) {
                Some(known) if known.target == target => known,
                known => {
                    let state = known.and_then(|known| known.hand_over(&target));
                    begin.push((target, state));
                    continue;
                }
            };
            watched.insert(Arc::clone(&entry.target.id), entry);
        }
        let within = self.config.spread_of_first(begin.len());
        let mut random = Rng::new();
        for (target, state) in begin {
            let first = spread(within / 2, 1.0, &mut random);
            let entry = self.start(target, state.unwrap_or_default(), first);
            if let Some(twin) = watched.insert(Arc::clone(&entry.target.id), entry) {
                twin.retire();
            }
        }
        retire_all(&before);
    }

    /// Has the instance known as `id` probed sooner than its schedule says: somebody needs it, or
    /// has found it wanting.
    ///
    /// It is asked after no more than the [recheck](HealthConfig::recheck) time, and no more often
    /// than that however many ask for it. Does nothing if no such instance is probed.
    pub fn probe_soon(&self, id: &str) {
        if let Some(watched) = self.watched.lock().get(id) {
            watched.wanted.notify_one();
        }
    }

    /// [`probe_soon`](Checker::probe_soon) for all that are unhealthy, for a caller who found none
    /// to serve it. Cheap to call for every such caller: once in a recheck time does anything.
    pub fn probe_unhealthy_soon(&self) {
        let now = self.clock.now();
        let due = self.next_call_for_all.load(Ordering::Relaxed);
        let next = (now + self.config.recheck).as_nanos();
        let claim = || {
            self.next_call_for_all
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
        };
        if now.as_nanos() < due || claim().is_err() {
            return;
        }
        let watched = self.watched.lock();
        let unhealthy = watched.values().filter(|it| !it.state.is_usable());
        unhealthy.for_each(|it| it.wanted.notify_one());
    }

    /// What was probed so far, by this checker alone. Reads a few atomics.
    #[must_use]
    pub fn stats(&self) -> CheckerStats {
        self.counts.snapshot()
    }

    /// When and how strictly it probes.
    #[must_use]
    pub fn config(&self) -> &HealthConfig {
        &self.config
    }

    /// The health of the instance known as `id`, if it is being probed.
    #[must_use]
    pub fn state(&self, id: &str) -> Option<HealthState> {
        self.watched.lock().get(id).map(|w| w.state.clone())
    }

    /// All instances and their health, in no particular order.
    #[must_use]
    pub fn states(&self) -> Vec<(Target, HealthState)> {
        let watched = self.watched.lock();
        watched
            .values()
            .map(|w| (w.target.clone(), w.state.clone()))
            .collect()
    }

    /// Probes all instances now, beside their schedule, and waits for the answers, which count
    /// like any others.
    ///
    /// For an operator who asks how things are. The limit on concurrent probes holds.
    ///
    /// # Cancellation
    ///
    /// Dropping the future abandons the probes that have not ended.
    pub async fn probe_all(&self) {
        let probes = self
            .states()
            .into_iter()
            .map(|(target, state)| Arc::clone(&self.probing).once(target, state));
        join_all(probes.collect::<Vec<_>>()).await;
    }

    fn start(&self, target: Target, state: HealthState, first: Duration) -> Watched {
        let probing = Arc::clone(&self.probing);
        let wanted = Arc::<Notify>::default();
        let watch = probing.forever(target.clone(), state.clone(), Arc::clone(&wanted), first);
        let task = self.runtime.spawn(watch).abort_handle();
        Watched {
            target,
            state,
            wanted,
            task,
        }
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        retire_all(self.watched.get_mut());
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("targets", &self.watched.lock().len())
            .finish_non_exhaustive()
    }
}

/// First they are all told, then they are ended, or the turn of one that has ended would go to
/// one that is about to.
fn retire_all(watched: &HashMap<Arc<str>, Watched>) {
    watched.values().for_each(|it| it.state.retire());
    watched.values().for_each(|it| it.task.abort());
}

impl Watched {
    /// What is known of the instance, if `target` is the same one and only its health is asked
    /// for elsewhere.
    fn hand_over(self, target: &Target) -> Option<HealthState> {
        if self.target.uri != target.uri {
            self.retire();
            return None;
        }
        self.task.abort();
        Some(self.state)
    }

    fn retire(&self) {
        self.state.retire();
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
