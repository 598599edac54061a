use std::{
    collections::HashMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_backoff::spread;
use bartizan_clock::Clock;
use fastrand::Rng;
use futures_util::{FutureExt, future::join_all};
use http::Uri;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Notify, task::AbortHandle};

use crate::{
    CheckerStats, Concurrency, Health, HealthConfig, HealthState, Probe, ProbeResult, Target,
    stats::Counts,
};

/// A change of health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Whose health changed.
    pub id: Arc<str>,
    /// Where it is, or was: it may have moved since.
    pub uri: Uri,
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// What the last probe found, if that was bad.
    pub reason: Option<Arc<str>>,
}

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
        CheckerBuilder {
            name: None,
            config,
            probe,
            clock: Clock::default(),
            concurrency: None,
            on_transition: None,
        }
    }

    /// Probes exactly `targets` from now on.
    ///
    /// Those that were probed already, at the same place, keep their health and their schedule;
    /// if only their health is asked for elsewhere now, their health. Others begin as
    /// [`Unknown`](Health::Unknown), and their first probes are spread out: over the
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

type OnTransition = Box<dyn Fn(&Transition) + Send + Sync>;

/// Builds a [`Checker`].
#[must_use]
pub struct CheckerBuilder<P> {
    name: Option<Arc<str>>,
    config: HealthConfig,
    probe: P,
    clock: Clock,
    concurrency: Option<Concurrency>,
    on_transition: Option<OnTransition>,
}

impl<P: Probe> CheckerBuilder<P> {
    /// What the log calls the service that the instances are of. Default: nothing.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The clock that measures intervals. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A bound on probes under way that is shared with other checkers, in the place of
    /// [`max_concurrent`](crate::HealthConfigBuilder::max_concurrent).
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// Who is told about changes of health, in the order in which they happen to one instance.
    ///
    /// The function runs in the probing task and must not block.
    pub fn on_transition(mut self, listener: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.on_transition = Some(Box::new(listener));
        self
    }

    /// Starts probing `targets`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(self, targets: impl IntoIterator<Item = Target>) -> Checker {
        let counts = Arc::<Counts>::default();
        let concurrency = self.concurrency;
        let checker = Checker {
            probing: Arc::new(Schedule {
                name: self.name,
                concurrency: concurrency
                    .unwrap_or_else(|| Concurrency::new(self.config.max_concurrent)),
                config: self.config,
                probe: self.probe,
                clock: self.clock,
                counts: Arc::clone(&counts),
                on_transition: self.on_transition,
            }),
            config: self.config,
            clock: self.clock,
            counts,
            runtime: Handle::current(),
            watched: Mutex::default(),
            next_call_for_all: AtomicU64::new(0),
        };
        checker.update(targets);
        checker
    }
}

impl<P: fmt::Debug> fmt::Debug for CheckerBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckerBuilder")
            .field("config", &self.config)
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

/// Boxed because a checker does not name its probe, and a probe is a network exchange anyway.
type Probes = Pin<Box<dyn Future<Output = ()> + Send>>;

trait Probing: Send + Sync {
    /// Probes from `first` on until it is dropped, sooner when `wanted` is notified.
    fn forever(
        self: Arc<Self>,
        target: Target,
        state: HealthState,
        wanted: Arc<Notify>,
        first: Duration,
    ) -> Probes;
    fn once(self: Arc<Self>, target: Target, state: HealthState) -> Probes;
}

struct Schedule<P> {
    /// What the log calls the service.
    name: Option<Arc<str>>,
    config: HealthConfig,
    probe: P,
    clock: Clock,
    concurrency: Concurrency,
    counts: Arc<Counts>,
    on_transition: Option<OnTransition>,
}

impl<P: Probe> Probing for Schedule<P> {
    fn forever(
        self: Arc<Self>,
        target: Target,
        state: HealthState,
        wanted: Arc<Notify>,
        first: Duration,
    ) -> Probes {
        Box::pin(async move {
            let mut random = Rng::new();
            let HealthConfig {
                interval,
                recheck,
                jitter,
                ..
            } = self.config;
            self.clock.sleep(first).await;
            loop {
                let check = AssertUnwindSafe(self.check(&target, &state));
                if check.catch_unwind().await.is_err() {
                    // The next transition may be told; to probe no more would be worse.
                    let (service, id) = (self.name.as_deref(), &target.id);
                    tracing::error!(service, %id, "a listener to changes of health panicked");
                }
                let pause = if state.is_settled() {
                    interval
                } else {
                    recheck
                };
                let due = self.clock.now() + spread(pause, jitter, &mut random);
                tokio::select! {
                    () = self.clock.sleep_until(due) => continue,
                    () = wanted.notified() => {}
                }
                let soon = self.clock.now() + recheck.min(spread(recheck, jitter, &mut random));
                self.clock.sleep_until(soon.min(due)).await;
            }
        })
    }

    fn once(self: Arc<Self>, target: Target, state: HealthState) -> Probes {
        Box::pin(async move { self.check(&target, &state).await })
    }
}

impl<P: Probe> Schedule<P> {
    async fn check(&self, target: &Target, state: &HealthState) {
        let _turn = self.concurrency.turn().await;
        if state.is_retired() {
            return;
        }
        let under_way = self.counts.begin();
        let timeout = self.config.timeout;
        let probe = AssertUnwindSafe(async { self.probe.probe(target).await }).catch_unwind();
        let result = match tokio::time::timeout(timeout, probe).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => ProbeResult::unreachable("the probe panicked"),
            Err(_) => ProbeResult::unreachable(format_args!("no answer in {timeout:?}")),
        };
        let now = self.clock.now();
        under_way.end(&result, now);
        state.record(&result, now, &self.config, |from, to| {
            self.counts.changed(to);
            let reason = result.reason().cloned();
            let id = Arc::clone(&target.id);
            let (service, why) = (self.name.as_deref(), reason.as_deref());
            if to == Health::Unhealthy {
                tracing::warn!(service, %id, %from, %to, reason = why, "health changed");
            } else {
                tracing::info!(service, %id, %from, %to, reason = why, "health changed");
            }
            if let Some(listener) = &self.on_transition {
                listener(&Transition {
                    id,
                    uri: target.uri.clone(),
                    from,
                    to,
                    reason,
                });
            }
        });
    }
}

#[cfg(test)]
mod tests;
