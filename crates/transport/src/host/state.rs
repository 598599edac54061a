use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    HostError, HostLimits,
    capacity::ENDING,
    connection::{Connection, Usage},
    table::Table,
};

/// What outlives the host: until the last of its connections has ended.
#[derive(Debug)]
pub(super) struct State {
    pub(super) limits: HostLimits,
    pub(super) clock: Clock,
    /// The connections. Held for a look-up or a change, twice a message.
    pub(super) table: Mutex<Table>,
    /// How many connections have not ended.
    pub(super) living: watch::Sender<usize>,
    /// When a connection last could not be opened, or closed before it had answered anything, in
    /// nanoseconds of the clock; zero once another has answered.
    failed: AtomicU64,
}

impl State {
    pub(super) fn new(limits: HostLimits, clock: Clock) -> Self {
        Self {
            limits,
            clock,
            table: Mutex::default(),
            living: watch::Sender::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A connection could not be opened, or closed before it had answered.
    pub(super) fn note_failure(&self) {
        let now = self.clock.now().as_nanos();
        self.failed.store(now, Ordering::Relaxed);
    }

    /// A connection has answered.
    pub(super) fn note_success(&self) {
        self.failed.store(0, Ordering::Relaxed);
    }

    pub(super) fn failed_within(&self, time: Duration) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        failed > 0 && self.clock.now() - Instant::from_nanos(failed) < time
    }

    /// A place for one more connection of `owner`.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives it up.
    pub(super) async fn place(self: &Arc<Self>, owner: u64) -> Result<Place, HostError> {
        // The owner's own limit first: who has reached that must cost nobody else a connection.
        let (own, all) = (self.limits.per_owner, self.limits.capacity.limit());
        let admitted = self.admit(owner).await;
        if admitted.is_none() && own < all {
            let reason = format!("the caller has {own} connections, which is the limit");
            return Err(HostError::overloaded(reason));
        }
        if let Some(mut place) = admitted {
            place.permit = self.limits.capacity.take().await;
            if place.permit.is_some() {
                return Ok(place);
            }
        }
        let reason =
            format!("{all} connections to servers are open and in use, which is the limit");
        Err(HostError::overloaded(reason))
    }

    /// Counts one more connection of `owner`, if need be for another of its own, once that has
    /// ended.
    async fn admit(self: &Arc<Self>, owner: u64) -> Option<Place> {
        let admit = || {
            let admitted = self.table.lock().admit(owner, self.limits.per_owner);
            admitted.then(|| Place {
                state: Arc::clone(self),
                owner,
                permit: None,
            })
        };
        let mut living = self.living.subscribe();
        if let Some(place) = admit() {
            return Some(place);
        }
        {
            let mut table = self.table.lock();
            let (_, connection) = self.longest_idle(&table, Some(owner))?;
            tracing::info!(
                limit = self.limits.per_owner,
                "a caller has as many connections as it may have; ending its longest idle one"
            );
            table.end(&connection);
        }
        let freed = async {
            loop {
                living.changed().await.ok()?;
                if let Some(place) = admit() {
                    return Some(place);
                }
            }
        };
        tokio::time::timeout(ENDING, freed).await.ok()?
    }

    /// Of the connections in `table`, or of those of `owner`, the one that nobody has used for
    /// longest, and since when; none if that is not long enough to end it.
    pub(super) fn longest_idle(
        &self,
        table: &Table,
        owner: Option<u64>,
    ) -> Option<(Instant, Arc<Connection>)> {
        let longest = table.longest_idle(owner);
        longest.filter(|(since, _)| self.clock.now() - *since >= self.limits.spare)
    }

    /// The connection of a session, used from now on.
    pub(super) fn session(self: &Arc<Self>, name: &str, owner: u64) -> Option<Usage> {
        let table = self.table.lock();
        let connection = table.session(name, owner)?;
        Some(Usage::begin(self, connection))
    }

    /// The shared connection of `owner`, used from now on.
    pub(super) fn shared(self: &Arc<Self>, owner: u64) -> Option<Usage> {
        let table = self.table.lock();
        let connection = table.shared(owner)?;
        Some(Usage::begin(self, connection))
    }
}

/// The room that a connection takes until it has ended.
#[derive(Debug)]
pub(super) struct Place {
    state: Arc<State>,
    owner: u64,
    /// Of all connections, once there is room.
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.table.lock().leave(self.owner);
    }
}
