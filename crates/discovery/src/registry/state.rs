use std::sync::Arc;

use tokio::sync::watch;

use crate::Registry;

/// What a source knows of all its services at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryState {
    /// The last good registry.
    pub registry: Arc<Registry>,
    /// Whether this is an old one, kept because the source now fails.
    ///
    /// A source that never had an answer is stale with no services.
    pub stale: bool,
    /// Why the last look failed, if it did.
    pub error: Option<Arc<str>>,
    /// Grows by one with every change of the fields above.
    pub version: u64,
}

/// The latest [`RegistryState`] of a source, and a way to wait for the next.
///
/// States that nobody waited for are skipped, never queued.
#[derive(Clone, Debug)]
pub struct RegistryWatch {
    receiver: watch::Receiver<RegistryState>,
}

impl RegistryWatch {
    pub(crate) fn new(receiver: watch::Receiver<RegistryState>) -> Self {
        Self { receiver }
    }

    /// What the source knows now.
    #[must_use]
    pub fn current(&self) -> RegistryState {
        self.receiver.borrow().clone()
    }

    /// Waits for a state that this method has not returned yet; `None` once the source is gone
    /// and nothing more can come.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing: the next call returns the state it would have.
    pub async fn changed(&mut self) -> Option<RegistryState> {
        self.receiver.changed().await.ok()?;
        Some(self.receiver.borrow_and_update().clone())
    }
}
