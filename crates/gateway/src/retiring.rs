use std::{sync::Arc, time::Duration};

use bartizan_clock::Clock;
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::service::Service;

/// Services that no snapshot has any more and that have not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Retiring {
    /// Locked when some are taken out and when they have ended.
    services: Mutex<Vec<Arc<Service>>>,
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
            // From now on the metrics ask those in their places.
            service.count();
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

    /// Those that have not ended yet, for who cannot wait until their time is over.
    pub(crate) fn services(&self) -> Vec<Arc<Service>> {
        self.services.lock().clone()
    }
}
