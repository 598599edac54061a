use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicBool},
};

use bartizan_protocol::{
    edit,
    error::{self, ErrorMessage},
    method,
};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{Sender, error::TrySendError},
        watch,
    },
};

use super::{
    LinkError, LinkLimits, WireError,
    mailbox::{Letter, Mailbox, Rank, Room},
    table::{Cancelled, Entry, Table},
};

/// What the handles, the exchanges and the reader task of one link share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: LinkLimits,
    pub(super) outgoing: Sender<Bytes>,
    /// Protects the requests under way. Held for a look-up or a change, a few times a request.
    pub(super) table: Mutex<Table>,
    pub(super) inbox: Arc<Mailbox>,
    /// Why the link has ended, once it has.
    pub(super) closed: watch::Sender<Option<WireError>>,
    /// Whether anything of the server's was skipped.
    pub(super) skipped: AtomicBool,
    urgent: Mutex<Urgent>,
    runtime: Handle,
}

/// Messages of the link itself that found the wire full.
#[derive(Debug, Default)]
struct Urgent {
    queue: VecDeque<Bytes>,
    /// A task is about to send them.
    flushing: bool,
}

impl Shared {
    pub(super) fn new(outgoing: Sender<Bytes>, limits: LinkLimits) -> Self {
        let room = Room {
            letters: limits.unsolicited,
            bytes: limits.queue_bytes,
            gives_way: Rank::Notification,
        };
        Self {
            limits,
            outgoing,
            table: Mutex::default(),
            inbox: Arc::new(Mailbox::new(room, false)),
            closed: watch::Sender::new(None),
            skipped: AtomicBool::new(false),
            urgent: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    /// Sends a message of the link itself: at once where the wire has room, else as soon as it
    /// has. Never waits, so that destructors and the reader can use it.
    pub(super) fn post(self: &Arc<Self>, message: Bytes) {
        let message = match self.outgoing.try_send(message) {
            Ok(()) | Err(TrySendError::Closed(_)) => return,
            Err(TrySendError::Full(message)) => message,
        };
        let mut urgent = self.urgent.lock();
        // A wire that has been stuck for so long is as good as gone.
        if urgent.queue.len() >= self.limits.exchanges {
            drop(urgent);
            tracing::debug!("the server takes nothing, so a cancellation or refusal is left out");
            return;
        }
        urgent.queue.push_back(message);
        if !std::mem::replace(&mut urgent.flushing, true) {
            drop(urgent);
            self.runtime.spawn(flush(Arc::clone(self)));
        }
    }

    /// Answers a request of the server with an error.
    pub(super) fn refuse(self: &Arc<Self>, letters: impl IntoIterator<Item = Letter>) {
        for letter in letters {
            if letter.rank == Rank::Request
                && let Some(id) = edit::get(&letter.message, &["id"])
            {
                let refusal = ErrorMessage {
                    id: Some(id),
                    code: error::INTERNAL,
                    message: "nobody is there to answer",
                    data: None,
                };
                self.post(refusal.to_bytes());
            }
        }
    }

    /// Takes `entry` off the wire, telling the server unless it has answered or never heard of
    /// it. False if the exchange is over already.
    pub(super) fn cancel(self: &Arc<Self>, entry: &Arc<Entry>, reason: &str) -> bool {
        let cancelled = self.table.lock().cancel(entry, self.limits.exchanges);
        if cancelled == Cancelled::Told {
            let (id, reason) = (&entry.wire_id, edit::string(reason));
            let params = format!(r#"{{"requestId":{id},"reason":{reason}}}"#);
            self.post(error::notification(
                method::NOTIFICATION_CANCELLED,
                Some(&params),
            ));
        }
        cancelled != Cancelled::Over
    }

    /// Ends the link and everything on it.
    pub(super) fn close(&self, reason: WireError) {
        let slots = self.table.lock().close(reason.clone());
        for slot in slots {
            let sent = slot.sent && !reason.refuses(&slot.entry.wire_id);
            let reason = reason.clone();
            let closed = LinkError::Closed { reason, sent };
            slot.entry.mailbox.finish(Some(Err(closed)));
        }
        self.inbox.finish(None);
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(reason);
            first
        });
    }

    /// The error of what cannot be sent any more.
    pub(super) fn unsent(&self) -> LinkError {
        let closed = self.closed.borrow().clone();
        LinkError::Closed {
            reason: closed.unwrap_or_else(|| WireError::new("the wire takes no more messages")),
            sent: false,
        }
    }
}

/// Sends what is urgent, until there is nothing or the link has ended.
async fn flush(shared: Arc<Shared>) {
    let mut closed = shared.closed.subscribe();
    loop {
        let permit = tokio::select! {
            _ = closed.wait_for(Option::is_some) => None,
            permit = shared.outgoing.reserve() => permit.ok(),
        };
        let mut urgent = shared.urgent.lock();
        match (permit, urgent.queue.pop_front()) {
            (Some(permit), Some(message)) => permit.send(message),
            _ => {
                urgent.queue.clear();
                urgent.flushing = false;
                return;
            }
        }
        if urgent.queue.is_empty() {
            urgent.flushing = false;
            return;
        }
    }
}
