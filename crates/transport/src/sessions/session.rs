use std::{fmt, ops::Deref, sync::Arc};

use bartizan_clock::{Clock, Instant};

use super::{SessionId, entry::Entry};

/// A session in use.
///
/// As long as there is one of these, the session is not idle: it neither ends for being idle nor
/// makes room for another. A request keeps one until it is answered, an open stream until it
/// closes. When the last one is dropped, the time of being idle begins.
///
/// It stays good when the session is ended meanwhile; nobody finds it any more then.
pub struct Session<T> {
    entry: Arc<Entry<T>>,
    clock: Clock,
}

impl<T> Session<T> {
    /// For an entry that already counts this user.
    pub(super) fn counted(entry: Arc<Entry<T>>, clock: Clock) -> Self {
        Self { entry, clock }
    }

    pub(super) fn of(entry: &Arc<Entry<T>>, clock: Clock) -> Self {
        entry.usage.begin();
        Self::counted(Arc::clone(entry), clock)
    }

    /// The id of the session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.entry.id
    }

    /// To whom the session belongs.
    #[must_use]
    pub fn owner(&self) -> &[u8] {
        &self.entry.owner
    }

    /// When the session was inserted here.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.entry.created
    }
}

impl<T> Clone for Session<T> {
    fn clone(&self) -> Self {
        Self::of(&self.entry, self.clock)
    }
}

impl<T> Deref for Session<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.entry.value
    }
}

impl<T> Drop for Session<T> {
    fn drop(&mut self) {
        self.entry.usage.end(self.clock.now().as_nanos());
    }
}

impl<T> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.entry.id)
            .finish_non_exhaustive()
    }
}
