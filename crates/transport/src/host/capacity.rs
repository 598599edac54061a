use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for connections, shared by its clones.
#[derive(Clone, Debug)]
pub struct Capacity {
    room: Arc<Semaphore>,
    limit: usize,
}

impl Capacity {
    /// Room for so many connections.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// How many connections there can be.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many more connections there can be now.
    #[must_use]
    pub fn available(&self) -> usize {
        self.room.available_permits()
    }

    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }
}
