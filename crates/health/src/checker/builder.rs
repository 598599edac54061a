use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use bartizan_clock::Clock;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::Checker;
use crate::{
    Concurrency, HealthConfig, Probe, Target, Transition, schedule::Schedule, stats::Counts,
    transition::OnTransition,
};

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
    pub(super) fn new(config: HealthConfig, probe: P) -> Self {
        Self {
            name: None,
            config,
            probe,
            clock: Clock::default(),
            concurrency: None,
            on_transition: None,
        }
    }

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
        let share = match self.concurrency {
            Some(concurrency) => concurrency.share(),
            None => Concurrency::new(self.config.max_concurrent).whole(),
        };
        let checker = Checker {
            probing: Arc::new(Schedule {
                name: self.name,
                share,
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
