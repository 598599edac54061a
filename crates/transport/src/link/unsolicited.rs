use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;

use super::{mailbox::Mailbox, shared::Shared};

/// What the server says that belongs to no request: changed lists and resources, log messages and
/// requests while nothing is under way.
///
/// Bounded by [`LinkLimits::unsolicited`](super::LinkLimits::unsolicited): the oldest
/// notifications are left out first, and requests for which there is no room are refused.
/// Notifications are kept while nobody reads; requests are refused then, so that the server does
/// not wait for nobody.
///
/// Does not keep the link alive. Dropping it makes room for another reader, and refuses what
/// requests it had not taken out.
pub struct Unsolicited {
    inbox: Arc<Mailbox>,
    shared: Weak<Shared>,
}

impl Unsolicited {
    /// `None` if somebody else reads.
    pub(super) fn new(shared: &Arc<Shared>) -> Option<Self> {
        shared.inbox.begin_reading().then(|| Self {
            inbox: Arc::clone(&shared.inbox),
            shared: Arc::downgrade(shared),
        })
    }

    /// The next message; `None` once the link has ended.
    ///
    /// # Cancellation
    ///
    /// Safe: a message is taken out only when it is returned.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.inbox.poll(cx).map(|item| item.and_then(Result::ok))
    }
}

impl Stream for Unsolicited {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll(cx)
    }
}

impl Drop for Unsolicited {
    fn drop(&mut self) {
        let unread = self.inbox.end_reading();
        if let Some(shared) = self.shared.upgrade() {
            shared.refuse(unread);
        }
    }
}

impl fmt::Debug for Unsolicited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsolicited").finish_non_exhaustive()
    }
}
