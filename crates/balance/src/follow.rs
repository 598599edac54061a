use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use bartizan_discovery::{Snapshot, Watch};
use bartizan_health::Checker;
use tokio::task::JoinHandle;

use crate::Balancer;

/// A task that keeps a balancer's set as a source of instances has it.
///
/// Dropping it stops the task; the balancer keeps its last set. The task ends by itself when
/// the source or the last clone of the balancer is gone.
#[derive(Debug)]
#[must_use = "dropping it stops following"]
pub struct Follow {
    task: JoinHandle<()>,
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Send + Sync + 'static> Balancer<T> {
    /// Takes over the source's current set, and every later one.
    ///
    /// A stale set without instances, from a source that has not had an answer yet, is ignored.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn follow(&self, watch: Watch) -> Follow {
        self.follow_with(watch, |_, _| {})
    }

    /// As [`follow`](Balancer::follow), and has `checker` probe the same set.
    ///
    /// The checker reports back through [`health_listener`](Balancer::health_listener).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn follow_checked(&self, watch: Watch, checker: Arc<Checker>) -> Follow {
        self.follow_with(watch, move |balancer, _| checker.update(balancer.targets()))
    }

    /// As [`follow`](Balancer::follow), and calls `heard` after every snapshot, whether it was
    /// taken over or ignored; with the current one before this method returns.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn follow_with<F>(&self, mut watch: Watch, heard: F) -> Follow
    where
        F: Fn(&Self, &Snapshot) + Send + 'static,
    {
        apply(self, &watch.current(), &heard);
        let weak = self.downgrade();
        let task = tokio::spawn(async move {
            while let Some(snapshot) = watch.changed().await {
                let Some(balancer) = Self::upgrade(&weak) else {
                    return;
                };
                let applied = AssertUnwindSafe(|| apply(&balancer, &snapshot, &heard));
                if panic::catch_unwind(applied).is_err() {
                    let service = balancer.fleet.name();
                    tracing::error!(service, "a change of endpoints panicked and is passed over");
                }
            }
        });
        Follow { task }
    }
}

fn apply<T>(balancer: &Balancer<T>, snapshot: &Snapshot, heard: impl Fn(&Balancer<T>, &Snapshot)) {
    if !(snapshot.instances.is_empty() && snapshot.stale) {
        balancer.update(&snapshot.instances);
    }
    heard(balancer, snapshot);
}
