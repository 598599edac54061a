use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Refresh tokens of which each came of the one before, with what else is kept of them. Presenting
/// any but the newest revokes them all, so who shares a chain takes turns.
#[derive(Debug)]
pub(crate) struct Chain<T> {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Once it is known which that is.
    newest: Mutex<Option<T>>,
}

/// The right to present the newest token.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl<T: Clone> Chain<T> {
    /// Held from choosing the token to present until its successor is known and saved.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.turn).lock_owned().await
    }

    pub(crate) fn newest(&self) -> Option<T> {
        self.newest.lock().clone()
    }

    #[cfg(feature = "authorize")]
    pub(crate) fn is_some_and(&self, test: impl FnOnce(&T) -> bool) -> bool {
        self.newest.lock().as_ref().is_some_and(test)
    }

    pub(crate) fn grow(&self, newest: T) {
        *self.newest.lock() = Some(newest);
    }
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self {
            turn: Arc::default(),
            newest: Mutex::default(),
        }
    }
}
