use super::sync::{AtomicU32, AtomicU64, Ordering};

/// Who uses a session, and since when nobody does.
///
/// Users come while somebody holds the lock of the table for reading, or is a user already; it is
/// asked for idleness to end the session while the lock is held for writing. So no user can come
/// between the question and the end; but users leave at any time.
#[derive(Debug)]
pub(crate) struct Usage {
    users: AtomicU32,
    /// When the last user left, in nanoseconds of the clock.
    left: AtomicU64,
}

impl Usage {
    /// The usage of a session with one user.
    pub(crate) fn new() -> Self {
        Self {
            users: AtomicU32::new(1),
            left: AtomicU64::new(0),
        }
    }

    /// One more user has come.
    pub(crate) fn begin(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
    }

    /// A user leaves.
    pub(crate) fn end(&self, now: u64) {
        // The greatest, as of two that leave at once the earlier may be the later to write.
        self.left.fetch_max(now, Ordering::Relaxed);
        // Whoever sees that nobody is left must see when they left.
        self.users.fetch_sub(1, Ordering::Release);
    }

    /// When the last user left, if there is none.
    pub(crate) fn idle_since(&self) -> Option<u64> {
        (self.users.load(Ordering::Acquire) == 0).then(|| self.left.load(Ordering::Relaxed))
    }
}
