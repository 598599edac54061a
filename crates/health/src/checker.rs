use std::{collections::HashMap, fmt, future::Future, pin::Pin, sync::Arc};

use bartizan_backoff::spread;
use bartizan_clock::Clock;
use fastrand::Rng;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore, task::AbortHandle};

use crate::{Health, HealthConfig, HealthState, Probe, ProbeResult, Target};

/// A change of health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Whose health changed.
    pub id: Arc<str>,
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
    runtime: Handle,
    /// Locked when the set changes or someone asks about it, never by a probe.
    watched: Mutex<HashMap<Arc<str>, Watched>>,
}

struct Watched {
    target: Target,
    state: HealthState,
    task: AbortHandle,
}

impl Checker {
    /// A builder of a checker that asks `probe`.
    pub fn builder<P: Probe>(config: HealthConfig, probe: P) -> CheckerBuilder<P> {
        CheckerBuilder {
            config,
            probe,
            clock: Clock::default(),
            on_transition: None,
        }
    }

    /// Probes exactly `targets` from now on.
    ///
    /// Those that were probed already, at the same place, keep their health and their schedule.
    /// Others begin as [`Unknown`](Health::Unknown). Results of those that left are ignored.
    pub fn update(&self, targets: impl IntoIterator<Item = Target>) {
        let mut watched = self.watched.lock();
        let mut before = std::mem::take(&mut *watched);
        for target in targets {
            let entry = match before.remove(&target.id) {
                Some(known) if known.target == target => known,
                moved => {
                    moved.iter().for_each(Watched::retire);
                    self.start(target)
                }
            };
            if let Some(twin) = watched.insert(Arc::clone(&entry.target.id), entry) {
                twin.retire();
            }
        }
        before.values().for_each(Watched::retire);
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

    fn start(&self, target: Target) -> Watched {
        let state = HealthState::default();
        let probing = Arc::clone(&self.probing);
        let task = self
            .runtime
            .spawn(probing.forever(target.clone(), state.clone()))
            .abort_handle();
        Watched {
            target,
            state,
            task,
        }
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.watched.get_mut().values().for_each(Watched::retire);
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("targets", &self.watched.lock().len())
            .finish_non_exhaustive()
    }
}

impl Watched {
    fn retire(&self) {
        self.state.retire();
        self.task.abort();
    }
}

type OnTransition = Box<dyn Fn(&Transition) + Send + Sync>;

/// Builds a [`Checker`].
#[must_use]
pub struct CheckerBuilder<P> {
    config: HealthConfig,
    probe: P,
    clock: Clock,
    on_transition: Option<OnTransition>,
}

impl<P: Probe> CheckerBuilder<P> {
    /// The clock that measures intervals. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
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
        let checker = Checker {
            probing: Arc::new(Schedule {
                permits: Semaphore::new(
                    self.config.max_concurrent.get().min(Semaphore::MAX_PERMITS),
                ),
                config: self.config,
                probe: self.probe,
                clock: self.clock,
                on_transition: self.on_transition,
            }),
            runtime: Handle::current(),
            watched: Mutex::default(),
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
    fn forever(self: Arc<Self>, target: Target, state: HealthState) -> Probes;
    fn once(self: Arc<Self>, target: Target, state: HealthState) -> Probes;
}

struct Schedule<P> {
    config: HealthConfig,
    probe: P,
    clock: Clock,
    permits: Semaphore,
    on_transition: Option<OnTransition>,
}

impl<P: Probe> Probing for Schedule<P> {
    fn forever(self: Arc<Self>, target: Target, state: HealthState) -> Probes {
        Box::pin(async move {
            let mut random = Rng::new();
            let HealthConfig {
                interval, jitter, ..
            } = self.config;
            let start = interval.mul_f64(jitter * random.f64());
            self.clock.sleep(start).await;
            loop {
                self.check(&target, &state).await;
                let pause = spread(interval, jitter, &mut random);
                self.clock.sleep(pause).await;
            }
        })
    }

    fn once(self: Arc<Self>, target: Target, state: HealthState) -> Probes {
        Box::pin(async move { self.check(&target, &state).await })
    }
}

impl<P: Probe> Schedule<P> {
    async fn check(&self, target: &Target, state: &HealthState) {
        let Ok(_permit) = self.permits.acquire().await else {
            return;
        };
        let timeout = self.config.timeout;
        let result = tokio::time::timeout(timeout, self.probe.probe(target))
            .await
            .unwrap_or_else(|_| ProbeResult::dead(format_args!("no answer in {timeout:?}")));
        let now = self.clock.now();
        state.record(&result, now, &self.config, |from, to| {
            let reason = match result.clone() {
                ProbeResult::Alive => None,
                ProbeResult::Dead(reason) => Some(reason),
            };
            let id = Arc::clone(&target.id);
            tracing::info!(%id, %from, %to, reason = reason.as_deref(), "health changed");
            if let Some(listener) = &self.on_transition {
                listener(&Transition {
                    id,
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
