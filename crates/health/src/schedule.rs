use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use bartizan_backoff::spread;
use bartizan_clock::Clock;
use fastrand::Rng;
use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::{
    Health, HealthConfig, HealthState, Probe, ProbeResult, Target, Transition, concurrency::Share,
    stats::Counts, transition::OnTransition,
};

/// What asks the instances of a [`Checker`](crate::Checker), whatever its probe is.
pub(crate) trait Probing: Send + Sync {
    /// Probes from `first` on until it is dropped, sooner when `wanted` is notified.
    fn forever(
        self: Arc<Self>,
        target: Target,
        state: HealthState,
        wanted: Arc<Notify>,
        first: Duration,
    ) -> Probes;

    /// Probes now.
    fn once(self: Arc<Self>, target: Target, state: HealthState) -> Probes;
}

/// Boxed because a checker does not name its probe, and a probe is a network exchange anyway.
pub(crate) type Probes = Pin<Box<dyn Future<Output = ()> + Send>>;

/// When each instance is asked, and what becomes of the answers.
pub(crate) struct Schedule<P> {
    /// What the log calls the service.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) config: HealthConfig,
    pub(crate) probe: P,
    pub(crate) clock: Clock,
    pub(crate) share: Share,
    pub(crate) counts: Arc<Counts>,
    pub(crate) on_transition: Option<OnTransition>,
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
            let mut due = self.clock.now() + first;
            loop {
                tokio::select! {
                    () = self.clock.sleep_until(due) => {}
                    () = wanted.notified() => {
                        let soon = self.clock.now() + recheck;
                        self.clock.sleep_until(soon.min(due)).await;
                    }
                }
                let check = AssertUnwindSafe(self.check(&target, &state));
                if check.catch_unwind().await.is_err() {
                    // The next transition may be told; to probe no more would be worse.
                    let (service, id) = (self.name.as_deref(), &*target.id);
                    tracing::error!(service, id, "a listener to changes of health panicked");
                }
                let pause = if state.is_settled() {
                    interval
                } else {
                    recheck
                };
                due = self.clock.now() + spread(pause, jitter, &mut random);
            }
        })
    }

    fn once(self: Arc<Self>, target: Target, state: HealthState) -> Probes {
        Box::pin(async move { self.check(&target, &state).await })
    }
}

impl<P: Probe> Schedule<P> {
    async fn check(&self, target: &Target, state: &HealthState) {
        let _turn = self.share.turn().await;
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
                tracing::warn!(service, id = &*id, %from, %to, reason = why, "health changed");
            } else {
                tracing::info!(service, id = &*id, %from, %to, reason = why, "health changed");
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
