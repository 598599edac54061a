use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use bartizan_clock::Instant;
use bytes::Bytes;
use http::request::Parts;
use tokio::sync::Notify;

use super::{HostError, QUIET, state::State, stream::Passed};
use crate::link::{Exchange, Ids, Link, LinkError};

/// A connection to the server.
///
/// The atomics are written under the lock of the table, which is what orders them.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) role: Role,
    pub(super) owner: u64,
    /// Where what goes along with requests is kept, if it goes anywhere.
    pub(super) passed: Option<Passed>,
    /// Those who use it: requests under way and who listens.
    users: AtomicUsize,
    /// When the last of them left, in nanoseconds of the clock.
    left: AtomicU64,
    /// Whether the server ever answered with a result.
    proven: AtomicBool,
    /// Whether it takes no more requests.
    retired: AtomicBool,
    /// Wakes the keeper.
    pub(super) changed: Notify,
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The session of this name.
    Session(Arc<str>),
    /// All messages of its owner that belong to no session.
    Shared,
}

impl Connection {
    pub(super) fn new(
        link: Link,
        role: Role,
        owner: u64,
        passed: Option<Passed>,
        proven: bool,
        now: Instant,
    ) -> Self {
        Self {
            link,
            role,
            owner,
            passed,
            users: AtomicUsize::new(0),
            left: AtomicU64::new(now.as_nanos()),
            proven: AtomicBool::new(proven),
            retired: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Since when nobody uses it.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.users.load(Relaxed) == 0).then(|| Instant::from_nanos(self.left.load(Relaxed)))
    }

    /// From now on its users only become fewer.
    pub(super) fn retire(&self) {
        self.retired.store(true, Relaxed);
    }
}

/// Somebody who uses a connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Usage {
    state: Arc<State>,
    connection: Arc<Connection>,
}

impl Usage {
    /// One more user. Under the lock of the table, so that the keeper does not take the
    /// connection for idle.
    pub(super) fn begin(state: &Arc<State>, connection: &Arc<Connection>) -> Self {
        connection.users.fetch_add(1, Relaxed);
        Self {
            state: Arc::clone(state),
            connection: Arc::clone(connection),
        }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The server answers: the connection is worth keeping, and its session has begun.
    pub(super) fn prove(&self) {
        if self.connection.proven.load(Relaxed) {
            return;
        }
        self.state.note_success();
        let mut table = self.state.table.lock();
        self.connection.proven.store(true, Relaxed);
        table.proven(&self.connection);
    }

    /// What goes along with messages from now on, if the transport has a place for it.
    pub(super) fn pass(&self, head: &Parts) {
        if let Some(passed) = &self.connection.passed {
            passed.set(head);
        }
    }

    /// Sends a request, with other ids than its own if `ids` or another request says so.
    ///
    /// # Errors
    ///
    /// Those of the link; nothing was sent then.
    pub(super) async fn request(
        &self,
        head: &Parts,
        message: Bytes,
        ids: Ids,
    ) -> Result<Exchange, Failed> {
        let link = &self.connection.link;
        let is_quiet = head.headers.contains_key(QUIET);
        let send = async |message, ids| {
            if is_quiet {
                link.quiet_request(message, ids).await
            } else {
                link.request(message, ids).await
            }
        };
        let request = async {
            match send(message.clone(), ids).await {
                Err(LinkError::Duplicate) => send(message, Ids::Remap).await,
                result => result,
            }
        };
        self.accepted(request).await
    }

    /// Sends a notification, or the answer to a request of the server.
    ///
    /// # Errors
    ///
    /// Those of the link; nothing was sent then.
    pub(super) async fn send(&self, message: Bytes) -> Result<(), Failed> {
        self.accepted(self.connection.link.send(message)).await
    }

    async fn accepted<T>(
        &self,
        sending: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, Failed> {
        tokio::select! {
            biased;
            result = sending => result.map_err(Failed::Link),
            () = self.state.clock.sleep(self.state.limits.accept) => {
                Err(Failed::Host(HostError::unsent("the server reads no messages")))
            }
        }
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        let now = self.state.clock.now();
        let connection = &self.connection;
        let mut table = self.state.table.lock();
        connection.left.store(now.as_nanos(), Relaxed);
        if connection.users.fetch_sub(1, Relaxed) == 1 {
            if !connection.proven.load(Relaxed) {
                if connection.link.is_closed() {
                    self.state.note_failure();
                }
                table.end(connection);
            } else if connection.retired.load(Relaxed) {
                connection.changed.notify_one();
            }
        }
    }
}

/// Why a message was not sent.
#[derive(Debug)]
pub(super) enum Failed {
    Link(LinkError),
    Host(HostError),
}
