use std::{
    fmt,
    sync::{Arc, Weak},
};

use super::{Link, LinkError, shared::Shared, table::Entry};

/// Cancels one [`Exchange`](super::Exchange) from elsewhere, whatever its reader does.
///
/// Neither the exchange nor the link is kept alive by it.
#[derive(Clone)]
pub struct Canceller {
    shared: Weak<Shared>,
    entry: Arc<Entry>,
}

impl Canceller {
    pub(super) fn new(link: &Link, entry: &Arc<Entry>) -> Self {
        Self {
            shared: Arc::downgrade(link.shared()),
            entry: Arc::clone(entry),
        }
    }

    /// Tells the server that the answer is no longer wanted, and ends the exchange with
    /// [`LinkError::Cancelled`]. `initialize` ends without a word, as the protocol wants.
    ///
    /// Does not wait: the message goes out ahead of every request that waits for the wire. False
    /// if the exchange is over.
    pub fn cancel(&self, reason: Option<&str>) -> bool {
        let Some(shared) = self.shared.upgrade() else {
            return false;
        };
        let cancelled = shared.cancel(&self.entry, reason.unwrap_or("the client cancelled"));
        if cancelled {
            self.entry.mailbox.finish(Some(Err(LinkError::Cancelled)));
        }
        cancelled
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("wire_id", &self.entry.wire_id)
            .finish_non_exhaustive()
    }
}
