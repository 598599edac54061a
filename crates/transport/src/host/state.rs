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

use super::{HostError, HostLimits, connection::Usage, table::Table};

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
        let limit = self.limits.per_owner;
        let Some(permit) = self.limits.capacity.take().await else {
            let limit = self.limits.capacity.limit();
            let reason =
                format!("{limit} connections to servers are open and in use, which is the limit");
            return Err(HostError::overloaded(reason));
        };
        if !self.table.lock().admit(owner, limit) {
            let reason = format!("the caller has {limit} connections, which is the limit");
            return Err(HostError::overloaded(reason));
        }
        Ok(Place {
            state: Arc::clone(self),
            owner,
            _permit: permit,
        })
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
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.table.lock().leave(self.owner);
    }
}
