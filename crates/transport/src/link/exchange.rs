use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;

use super::{Canceller, Link, LinkError, table::Entry};

/// A request under way: what belongs to it, then its response.
///
/// Yields notifications and requests of the server, byte for byte except for replaced ids, and
/// ends with the response, or with an error. Requests of the server are answered with
/// [`Link::send`].
///
/// A reader that falls behind loses progress and log messages first, and its exchange when that
/// does not help. It never holds up others.
///
/// # Cancellation
///
/// Dropping the exchange before its response frees its place, sends the server
/// `notifications/cancelled`, unless the request is `initialize` or was never sent, and refuses
/// requests of the server that have not been taken out. A late response is swallowed. One that
/// has been taken out and not answered stays open: answer it first, or let the server learn of it
/// by the cancellation.
pub struct Exchange {
    link: Link,
    entry: Arc<Entry>,
}

impl Exchange {
    pub(super) fn new(link: Link, entry: Arc<Entry>) -> Self {
        Self { link, entry }
    }

    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The next item; `None` after the response.
    ///
    /// # Errors
    ///
    /// The last item, if the exchange ends without a response.
    ///
    /// # Cancellation
    ///
    /// Safe: an item is taken out only when it is returned.
    pub async fn next(&mut self) -> Option<Result<Bytes, LinkError>> {
        std::future::poll_fn(|cx| self.entry.mailbox.poll(cx)).await
    }

    /// A handle that cancels this exchange from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::new(&self.link, &self.entry)
    }

    /// The id of the request on the wire, as JSON.
    #[must_use]
    pub fn wire_id(&self) -> &str {
        &self.entry.wire_id
    }
}

impl Stream for Exchange {
    type Item = Result<Bytes, LinkError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.entry.mailbox.poll(cx)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let shared = self.link.shared();
        shared.cancel(&self.entry, "the client went away");
        shared.refuse(self.entry.mailbox.abandon(None));
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("wire_id", &self.entry.wire_id)
            .finish_non_exhaustive()
    }
}
