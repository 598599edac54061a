use parking_lot::Mutex;
use tokio::sync::MutexGuard;

use crate::Secret;

/// Refresh tokens of which each came of the one before. Presenting any but the newest revokes them
/// all, so caches that share a chain take turns.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    turn: tokio::sync::Mutex<()>,
    /// Once it is known which that is.
    newest: Mutex<Option<Secret>>,
}

impl Chain {
    /// Held from choosing the token to present until its successor is known and saved.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(crate) fn newest(&self) -> Option<Secret> {
        self.newest.lock().clone()
    }

    pub(crate) fn grow(&self, newest: Secret) {
        *self.newest.lock() = Some(newest);
    }
}
