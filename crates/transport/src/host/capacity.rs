use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::state::State;

/// How long a connection may take to end: a process is asked, then told, then killed.
pub(super) const ENDING: Duration = Duration::from_secs(10);

/// Room for connections, shared by its clones.
///
/// Where there is none left, the connection ends that nobody has used for longest, whichever host
/// it is of, so that clients that were forgotten lock nobody out.
#[derive(Clone)]
pub struct Capacity {
    room: Arc<Semaphore>,
    limit: usize,
    /// The hosts that share it.
    hosts: Arc<Mutex<Vec<Weak<State>>>>,
}

impl Capacity {
    /// Room for so many connections.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(limit)),
            limit,
            hosts: Arc::default(),
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

    /// Lets connections of a host end where others need their room.
    pub(super) fn share(&self, host: &Arc<State>) {
        let mut hosts = self.hosts.lock();
        hosts.retain(|host| host.strong_count() > 0);
        hosts.push(Arc::downgrade(host));
    }

    /// Room for one more connection, if need be that of another, once that has ended.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.room);
        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
            return Some(permit);
        }
        if !self.evict() {
            return None;
        }
        let freed = tokio::time::timeout(ENDING, room.acquire_owned());
        freed.await.ok()?.ok()
    }

    /// Ends the connection that nobody has used for longest; whether there was one.
    fn evict(&self) -> bool {
        let hosts: Vec<_> = self.hosts.lock().iter().filter_map(Weak::upgrade).collect();
        let idle = hosts.iter().filter_map(|host| {
            let (since, connection) = host.longest_idle(&host.table.lock(), None)?;
            Some((since, host, connection))
        });
        let Some((since, host, connection)) = idle.min_by_key(|(since, ..)| *since) else {
            return false;
        };
        let mut table = host.table.lock();
        // Somebody may have come, or have been faster.
        let is_idle = connection.idle_since() == Some(since) && table.finds(&connection);
        if is_idle {
            tracing::info!(
                limit = self.limit,
                "no room for another connection to a server; ending the longest idle one"
            );
            table.end(&connection);
        }
        is_idle
    }
}

impl fmt::Debug for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capacity")
            .field("limit", &self.limit)
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}
