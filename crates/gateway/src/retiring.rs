use std::{sync::Arc, time::Duration};

use bartizan_clock::{Clock, Instant};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::service::Service;

/// Services that no snapshot has any more and that have not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Retiring {
    /// Locked when some are taken out and when they have ended.
    services: Mutex<Vec<Arc<Service>>>,
    /// Locked when some are taken out and when somebody asks.
    probed: Mutex<Probed>,
}

/// What probes came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probed {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) last: Option<Instant>,
}

impl Probed {
    /// Adds what those of a service came to.
    pub(crate) fn add(&mut self, service: &Service) {
        let Some(checker) = service.checker() else {
            return;
        };
        let stats = checker.stats();
        self.succeeded += stats.succeeded;
        self.failed += stats.failed;
        self.last = self.last.max(stats.last_probe);
    }
}

impl Retiring {
    /// Ends services that are gone, once they have had the time for what they were doing.
    pub(crate) fn retire(
        self: &Arc<Self>,
        gone: Vec<Arc<Service>>,
        clock: Clock,
        patience: Duration,
    ) {
        if gone.is_empty() {
            return;
        }
        for service in &gone {
            service.rest();
            // From now on the metrics ask those in their places.
            service.count();
            self.probed.lock().add(service);
        }
        self.services.lock().extend(gone.iter().cloned());
        let retiring = Arc::clone(self);
        tokio::spawn(async move {
            clock.sleep(patience).await;
            join_all(gone.iter().map(|service| service.close())).await;
            let is_gone = |it: &Arc<Service>| gone.iter().any(|gone| Arc::ptr_eq(gone, it));
            retiring.services.lock().retain(|it| !is_gone(it));
        });
    }

    /// What the probes came to of all services that are gone.
    pub(crate) fn probed(&self) -> Probed {
        *self.probed.lock()
    }

    /// Those that have not ended yet, for who cannot wait until their time is over.
    pub(crate) fn services(&self) -> Vec<Arc<Service>> {
        self.services.lock().clone()
    }
}
