use std::sync::Arc;

use bartizan_clock::Instant;

use super::{SessionId, SessionLimits, usage::Usage};

/// A session, in the table or after it has ended.
pub(super) struct Entry<T> {
    pub(super) id: SessionId,
    /// Shared by all sessions of the owner.
    pub(super) owner: Arc<[u8]>,
    pub(super) created: Instant,
    pub(super) usage: Usage,
    pub(super) value: T,
}

impl<T> Entry<T> {
    /// Whether the session's time is over.
    pub(super) fn is_over(&self, now: Instant, limits: &SessionLimits) -> bool {
        let is_idle_too_long = |since: Instant| now.saturating_duration_since(since) >= limits.idle;
        now.saturating_duration_since(self.created) >= limits.lifetime
            || self.idle_since().is_some_and(is_idle_too_long)
    }

    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.usage.idle_since().map(Instant::from_nanos)
    }
}
