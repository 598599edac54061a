use parking_lot::Mutex;
use tokio::sync::MutexGuard;

use crate::Secret;

/// Refresh tokens of which each came of the one before. Presenting any but the newest revokes them
/// all, so caches that share a chain take turns.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    turn: tokio::sync::Mutex<()>,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    /// Once it is known which that is.
    newest: Option<Secret>,
    unsaved: bool,
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
        self.links.lock().newest.clone()
    }

    /// Notes the newest token; whether the one before could not be saved.
    pub(crate) fn grow(&self, newest: Secret) -> bool {
        let mut links = self.links.lock();
        links.newest = Some(newest);
        links.unsaved
    }

    pub(crate) fn is_unsaved(&self) -> bool {
        self.links.lock().unsaved
    }

    pub(crate) fn set_unsaved(&self, unsaved: bool) {
        self.links.lock().unsaved = unsaved;
    }
}
