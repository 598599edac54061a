use std::sync::Arc;

use bartizan_protocol::{Edit, Envelope, Kind, method};
use bytes::Bytes;
use tokio::{sync::mpsc::error::TrySendError, task::AbortHandle};

use super::{
    Exchange, Ids, LinkError, LinkLimits, Unsolicited, Wire, WireError,
    ids::{id_key, key},
    mailbox::{Mailbox, Rank, Room},
    route,
    shared::Shared,
    table::{Asks, Cancelled, Entry, Found, Replaced},
};

const NOT_A_MESSAGE: LinkError = LinkError::Invalid("it is not a JSON-RPC message");

/// One connection that many requests share.
///
/// Clones are handles to the same link. The link ends, and the wire with it, when the last of its
/// clones and exchanges is dropped.
#[derive(Clone, Debug)]
pub struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    reader: AbortHandle,
}

impl Link {
    /// A link over `wire`, read by a task of its own.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    #[must_use]
    pub fn new(wire: Wire, limits: LinkLimits) -> Self {
        let shared = Arc::new(Shared::new(wire.outgoing, limits));
        let reader = tokio::spawn(route::read(Arc::clone(&shared), wire.incoming));
        let reader = reader.abort_handle();
        Self(Arc::new(Inner { shared, reader }))
    }

    /// Sends a request.
    ///
    /// Waits while the wire is full; bound the wait. That ends early if the request is cancelled
    /// or the wire ends.
    ///
    /// # Errors
    ///
    /// [`LinkError::Invalid`] if the message is no request, [`LinkError::Duplicate`] and
    /// [`LinkError::Full`] as they say, [`LinkError::Closed`] with `sent` false if the wire takes
    /// no more.
    ///
    /// # Cancellation
    ///
    /// Dropping the future while it waits leaves no trace: the request was not sent, and its id
    /// is free.
    pub async fn request(&self, message: Bytes, ids: Ids) -> Result<Exchange, LinkError> {
        self.send_request(message, ids, Asks::Perhaps).await
    }

    /// Sends a request in the middle of which the server is not expected to ask anything: what it
    /// asks while others are under way belongs to them. Unless it is one about which servers ask,
    /// it gets nothing but its response.
    ///
    /// # Errors
    ///
    /// As for [`Link::request`].
    ///
    /// # Cancellation
    ///
    /// As for [`Link::request`].
    pub async fn quiet_request(&self, message: Bytes, ids: Ids) -> Result<Exchange, LinkError> {
        self.send_request(message, ids, Asks::Quiet).await
    }

    async fn send_request(
        &self,
        message: Bytes,
        ids: Ids,
        asks: Asks,
    ) -> Result<Exchange, LinkError> {
        let (mut exchange, message) = self.register(message, ids, asks)?;
        let shared = self.shared();
        let permit = match shared.outgoing.try_reserve() {
            Ok(permit) => permit,
            Err(TrySendError::Closed(())) => return Err(shared.unsent()),
            Err(TrySendError::Full(())) => tokio::select! {
                biased;
                end = exchange.next() => return Err(unsent_end(end)),
                permit = shared.outgoing.reserve() => permit.map_err(|_| shared.unsent())?,
            },
        };
        let entry = Arc::clone(exchange.entry());
        // Under the lock of the table, so that whoever ends the exchange knows whether it was sent.
        if shared.table.lock().send(&entry, || permit.send(message)) {
            Ok(exchange)
        } else {
            Err(unsent_end(exchange.next().await))
        }
    }

    /// Enters a request into the table; what to send may differ from `message` in its ids.
    fn register(
        &self,
        message: Bytes,
        ids: Ids,
        asks: Asks,
    ) -> Result<(Exchange, Bytes), LinkError> {
        let envelope = Envelope::read(&message).map_err(|_| NOT_A_MESSAGE)?;
        let (Kind::Request, Some(id)) = (envelope.kind(), envelope.id()) else {
            return Err(LinkError::Invalid("it is not a request"));
        };
        let shared = self.shared();
        let limits = &shared.limits;
        let room = Room {
            letters: limits.queue,
            bytes: limits.queue_bytes,
            gives_way: Rank::Passing,
        };
        let caller_key = id_key(id);
        let token = envelope.progress_token();
        let may_ask = envelope.method().is_some_and(method::may_require_input);
        let is_ping = envelope.method() == Some(method::PING);
        let entry = |wire_id: &str, token, replaced| Entry {
            key: key(wire_id),
            wire_id: wire_id.into(),
            caller_key: caller_key.clone(),
            replaced,
            token,
            initialize: envelope.method() == Some(method::INITIALIZE),
            listen: envelope.method() == Some(method::SUBSCRIPTIONS_LISTEN),
            alone: is_ping || asks == Asks::Quiet && !may_ask,
            asks: if may_ask { asks } else { Asks::Never },
            mailbox: Mailbox::new(room, true),
        };
        let entry = {
            let mut table = shared.table.lock();
            let entry = Arc::new(match ids {
                Ids::Keep => entry(id.as_raw(), token.map(key), None),
                Ids::Remap => {
                    let fresh = table.fresh_id();
                    let replaced = Replaced {
                        id: id.as_raw().into(),
                        token: token.map(Into::into),
                    };
                    entry(&fresh, token.map(|_| key(&fresh)), Some(replaced))
                }
            });
            table.insert(&entry, limits.exchanges)?;
            entry
        };
        let exchange = Exchange::new(self.clone(), Arc::clone(&entry));
        if entry.replaced.is_none() {
            return Ok((exchange, message));
        }
        let mut edit = Edit::new(&message);
        edit.set(&["id"], &entry.wire_id);
        if token.is_some() {
            edit.set(&["params", "_meta", "progressToken"], &entry.wire_id);
        }
        let message = edit.finish().map_err(|_| NOT_A_MESSAGE)?;
        Ok((exchange, message))
    }

    /// Sends a notification, or the answer to a request of the server.
    ///
    /// `notifications/cancelled` names the request by the id that its caller gave; it goes out
    /// with the id on the wire, ahead of everything that waits for the wire, and the exchange
    /// ends with [`LinkError::Cancelled`]. For a request that is over it does nothing. On a link
    /// with several users use [`Exchange::canceller`], since their ids may be equal.
    ///
    /// Other messages wait while the wire is full; bound the wait.
    ///
    /// # Errors
    ///
    /// [`LinkError::Invalid`] if the message is a request, or cancels one of several requests with
    /// the same id; [`LinkError::Closed`] with `sent` false if the wire takes no more.
    ///
    /// # Cancellation
    ///
    /// Dropping the future while it waits leaves no trace: the message was not sent.
    pub async fn send(&self, message: Bytes) -> Result<(), LinkError> {
        let shared = self.shared();
        let envelope = Envelope::read(&message).map_err(|_| NOT_A_MESSAGE)?;
        match envelope.kind() {
            Kind::Request => return Err(LinkError::Invalid("it is a request")),
            Kind::Response | Kind::Error => {
                if let Some(id) = envelope.id() {
                    shared.table.lock().answer(&id_key(id));
                }
            }
            Kind::Notification => {
                if envelope.method() == Some(method::NOTIFICATION_CANCELLED) {
                    return self.cancel(&message, &envelope);
                }
            }
        }
        let sent = shared.outgoing.send(message).await;
        sent.map_err(|_| shared.unsent())
    }

    fn cancel(&self, message: &Bytes, envelope: &Envelope<'_>) -> Result<(), LinkError> {
        let Some(id) = envelope.request_id() else {
            return Err(LinkError::Invalid(
                "it does not say which request to cancel",
            ));
        };
        let shared = self.shared();
        let (entry, told) = {
            let mut table = shared.table.lock();
            let entry = match table.find_caller(&id_key(id)) {
                Found::One(entry) => entry,
                Found::None => return Ok(()),
                Found::Several => {
                    return Err(LinkError::Invalid("several requests have the id to cancel"));
                }
            };
            let told = table.cancel(&entry, shared.limits.exchanges) == Cancelled::Told;
            (entry, told)
        };
        if told {
            let message = if entry.replaced.is_some() {
                let mut edit = Edit::new(message);
                edit.set(&["params", "requestId"], &entry.wire_id);
                edit.finish().map_err(|_| NOT_A_MESSAGE)?
            } else {
                message.clone()
            };
            shared.post(message);
        }
        entry.mailbox.finish(Some(Err(LinkError::Cancelled)));
        Ok(())
    }

    /// What the server says that belongs to no request; `None` while somebody else reads it.
    #[must_use]
    pub fn unsolicited(&self) -> Option<Unsolicited> {
        Unsolicited::new(self.shared())
    }

    /// Whether no more can be sent.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let shared = self.shared();
        shared.outgoing.is_closed() || shared.closed.borrow().is_some()
    }

    /// Waits for the end of the wire, and says why it came: always [`LinkError::Closed`].
    pub async fn closed(&self) -> LinkError {
        let shared = self.shared();
        let mut closed = shared.closed.subscribe();
        // Cannot fail: the sender is in `shared`.
        let _ = closed.wait_for(Option::is_some).await;
        shared.unsent()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reader.abort();
        self.shared.close(WireError::new("the link was dropped"));
    }
}

/// How a request ended that was never sent.
fn unsent_end(end: Option<Result<Bytes, LinkError>>) -> LinkError {
    match end {
        Some(Err(error)) => error,
        _ => LinkError::Cancelled,
    }
}
