use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many probes may be under way at once, shared by its clones.
///
/// Given to several [checkers](crate::CheckerBuilder::concurrency) it bounds them all together,
/// so that many small services burst no more than one large one. Who waits for a turn gets it in
/// the order of asking.
#[derive(Clone, Debug)]
pub struct Concurrency {
    turns: Arc<Semaphore>,
    limit: usize,
}

impl Concurrency {
    /// Room for so many probes.
    #[must_use]
    pub fn new(limit: NonZeroUsize) -> Self {
        let limit = limit.get().min(Semaphore::MAX_PERMITS);
        Self {
            turns: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// How many probes may be under way at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Waits for a turn, which lasts until it is dropped.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes the semaphore, so there always is a turn.
        self.turns.acquire().await.ok()
    }
}
