use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// How many probes may be under way at once, shared by its clones.
///
/// Given to several [checkers](crate::CheckerBuilder::concurrency) it bounds them all together,
/// so that many small services burst no more than one large one. Checkers that wait take turns,
/// however many instances each has, and none has all turns if there is more than one: instances
/// that hang delay the probes of their own service, and hardly those of others. Within a checker,
/// who waits gets a turn in the order of asking.
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

    /// What one of several checkers has of it: all turns but one, if there are more.
    pub(crate) fn share(self) -> Share {
        let most = self.limit.saturating_sub(1).max(1);
        Share::new(self.turns, most)
    }

    /// What a checker has of it that is alone.
    pub(crate) fn whole(self) -> Share {
        Share::new(self.turns, self.limit)
    }
}

/// What one checker may take of a [`Concurrency`].
#[derive(Debug)]
pub(crate) struct Share {
    all: Arc<Semaphore>,
    own: Semaphore,
    /// Held while waiting for one of all turns, so that each checker has one place in that queue.
    place: Mutex<()>,
}

/// A probe that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _own: Option<SemaphorePermit<'a>>,
    _one_of_all: Option<SemaphorePermit<'a>>,
}

impl Share {
    fn new(all: Arc<Semaphore>, most: usize) -> Self {
        Self {
            all,
            own: Semaphore::new(most),
            place: Mutex::new(()),
        }
    }

    /// Waits for a turn.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        // Nobody closes the semaphores, so there always is a turn.
        let own = self.own.acquire().await.ok();
        let _place = self.place.lock().await;
        Turn {
            _own: own,
            _one_of_all: self.all.acquire().await.ok(),
        }
    }
}
