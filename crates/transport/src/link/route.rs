use std::sync::{Arc, atomic::Ordering::Relaxed};

use bartizan_protocol::{
    Batch, Edit, Envelope, Id, Kind, edit,
    error::{self, ErrorMessage},
    is_batch, method,
};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    LinkError, WireError,
    ids::{id_key, key},
    mailbox::{Letter, Push, Rank},
    shared::Shared,
    table::Entry,
};

/// Where a subscription id stands in a notification, and in the response that ends the stream.
const IN_PARAMS: &[&str] = &["params", "_meta", SUBSCRIPTION_ID];
const IN_RESULT: &[&str] = &["result", "_meta", SUBSCRIPTION_ID];
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// Gives everything that arrives to whom it belongs, until the wire ends.
pub(super) async fn read(
    shared: Arc<Shared>,
    mut incoming: mpsc::Receiver<Result<Bytes, WireError>>,
) {
    let reason = loop {
        match incoming.recv().await {
            Some(Ok(message)) => shared.arrived(&message),
            Some(Err(reason)) => break reason,
            None => break WireError::new("the connection was closed"),
        }
    };
    shared.close(reason);
}

impl Shared {
    fn arrived(self: &Arc<Self>, message: &Bytes) {
        if !is_batch(message) {
            return self.route(message);
        }
        match Batch::read(message) {
            Ok(batch) => {
                for part in &batch {
                    self.route(&message.slice_ref(part));
                }
            }
            Err(error) => {
                tracing::debug!(reason = %error.reason(), "skipped a batch of the server");
            }
        }
    }

    fn route(self: &Arc<Self>, message: &Bytes) {
        let envelope = match Envelope::read(message) {
            Ok(envelope) => envelope,
            Err(invalid) => {
                // The ids of the server's own requests are another matter.
                let id = invalid.id().filter(|_| !invalid.has_method());
                let entry = id.and_then(|id| self.table.lock().find(&key(id)));
                match entry {
                    Some(entry) => {
                        let own = entry.replaced.as_ref().map(|replaced| &*replaced.id);
                        let failure = ErrorMessage {
                            id: Some(own.unwrap_or(&entry.wire_id)),
                            code: error::BAD_ANSWER,
                            message: &format!("answer cannot be read: {}", invalid.reason()),
                            data: None,
                        };
                        self.end(&entry, Ok(failure.to_bytes()));
                    }
                    // Somebody may wait for it, so once is said where all can see it.
                    None if self.skipped.swap(true, Relaxed) => {
                        tracing::debug!(reason = %invalid.reason(), "skipped a message of the server");
                    }
                    None => {
                        tracing::warn!(reason = %invalid.reason(), "skipped a message of the server");
                    }
                }
                return;
            }
        };
        match envelope.kind() {
            Kind::Response | Kind::Error => self.response(message, &envelope),
            Kind::Request => self.request(message, &envelope),
            Kind::Notification => self.notification(message, &envelope),
        }
    }

    fn response(self: &Arc<Self>, message: &Bytes, envelope: &Envelope<'_>) {
        let found = match envelope.id() {
            Some(id) => self.table.lock().answered(&id_key(id)),
            // The server could not read a request, not even its id, or its answer is too large to
            // find one. With one under way there is no doubt which. Any other error may be about a
            // notification, which some servers answer: that it has no id is one, too, to those that
            // do not know any.
            None => match envelope.error_code() {
                Some(error::PARSE_ERROR | error::TOO_LARGE) => self.table.lock().only(),
                _ => None,
            },
        };
        let Some(entry) = found else {
            tracing::debug!("the server answered what nobody waits for");
            return;
        };
        let mut edit = Edit::new(message);
        let id = entry.replaced.as_ref().map(|replaced| &*replaced.id);
        match (id, envelope.id()) {
            (Some(id), _) => {
                edit.set(&["id"], id);
                if entry.listen && edit::get(message, IN_RESULT).is_some() {
                    edit.set(IN_RESULT, id);
                }
            }
            (None, Some(_)) => return self.end(&entry, Ok(message.clone())),
            (None, None) => {
                edit.set(&["id"], &entry.wire_id);
            }
        }
        let response = edit.finish();
        self.end(
            &entry,
            response.map_err(|_| LinkError::Invalid("id in the answer")),
        );
    }

    fn request(self: &Arc<Self>, message: &Bytes, envelope: &Envelope<'_>) {
        let Some(id) = envelope.id() else { return };
        if self.limits.answer_ping && envelope.method() == Some(method::PING) {
            return self.post(error::response(id.as_raw(), "{}"));
        }
        let letter = Letter {
            message: message.clone(),
            rank: Rank::Request,
        };
        let entry = {
            let mut table = self.table.lock();
            let asking = table.asking();
            match asking {
                Some(entry) if table.ask(&entry, id_key(id), self.limits.queue) => Some(entry),
                Some(_) => {
                    drop(table);
                    return self.refuse([letter]);
                }
                None => None,
            }
        };
        match entry {
            Some(entry) => self.deliver(&entry, letter),
            None => self.unsolicited(letter),
        }
    }

    fn notification(self: &Arc<Self>, message: &Bytes, envelope: &Envelope<'_>) {
        let letter = |message, rank| Letter { message, rank };
        if let Some(entry) = self.ended_subscription(envelope) {
            return self.end(&entry, Err(LinkError::Cancelled));
        }
        if let Some(id) = envelope.subscription_id() {
            let found = self.table.lock().find(&key(id));
            if let Some(entry) = found {
                let id = entry.replaced.as_ref().map(|replaced| &*replaced.id);
                if let Some(message) = mapped(message, IN_PARAMS, id) {
                    self.deliver(&entry, letter(message, Rank::Notification));
                }
            }
            return;
        }
        match envelope.method() {
            Some(method::NOTIFICATION_PROGRESS) => {
                let token = envelope.progress_token().map(key);
                let found = token.and_then(|token: Bytes| self.table.lock().find_token(&token));
                if let Some(entry) = found {
                    let token = entry
                        .replaced
                        .as_ref()
                        .and_then(|replaced| replaced.token.as_deref());
                    if let Some(message) = mapped(message, &["params", "progressToken"], token) {
                        self.deliver(&entry, letter(message, Rank::Passing));
                    }
                }
            }
            Some(method::NOTIFICATION_MESSAGE) => {
                let youngest = self.table.lock().youngest();
                let letter = letter(message.clone(), Rank::Passing);
                match youngest {
                    Some(entry) => self.deliver(&entry, letter),
                    None => self.unsolicited(letter),
                }
            }
            Some(method::NOTIFICATION_CANCELLED) => {
                let asked = envelope.request_id().and_then(|id| self.asked(id));
                let letter = letter(message.clone(), Rank::Notification);
                match asked {
                    Some(entry) => self.deliver(&entry, letter),
                    None => self.unsolicited(letter),
                }
            }
            _ => self.unsolicited(letter(message.clone(), Rank::Notification)),
        }
    }

    /// The subscription that the server ends: over one two-way connection, which it cannot hang
    /// up on for that, a server of 2026-07-28 cancels the request that began it.
    fn ended_subscription(&self, envelope: &Envelope<'_>) -> Option<Arc<Entry>> {
        if envelope.method() != Some(method::NOTIFICATION_CANCELLED) {
            return None;
        }
        let entry = self.table.lock().find(&id_key(envelope.request_id()?))?;
        entry.listen.then_some(entry)
    }

    /// Who got the request of the server that it now takes back.
    fn asked(&self, id: Id<'_>) -> Option<Arc<Entry>> {
        let key = id_key(id);
        let mut table = self.table.lock();
        let entry = table.find_asked(&key)?;
        table.answer(&key);
        Some(entry)
    }

    /// The last item of an exchange.
    fn end(&self, entry: &Arc<Entry>, last: Result<Bytes, LinkError>) {
        // Whoever takes the entry out decides how the exchange ends.
        if self.table.lock().remove(entry).is_some() {
            entry.mailbox.finish(Some(last));
        }
    }

    fn deliver(self: &Arc<Self>, entry: &Arc<Entry>, letter: Letter) {
        match entry.mailbox.push(letter) {
            Push::Taken => {}
            Push::NobodyReads(letter) => self.refuse([letter]),
            Push::Full(letter) => {
                if self.cancel(entry, "the client reads too slowly") {
                    self.refuse(entry.mailbox.abandon(Some(LinkError::Slow)));
                }
                self.refuse([letter]);
            }
        }
    }

    fn unsolicited(self: &Arc<Self>, letter: Letter) {
        if let Push::NobodyReads(letter) | Push::Full(letter) = self.inbox.push(letter) {
            self.refuse([letter]);
        }
    }
}

/// `message` with the caller's own value at `path`, if there is one to put back.
fn mapped(message: &Bytes, path: &[&str], raw: Option<&str>) -> Option<Bytes> {
    let Some(raw) = raw else {
        return Some(message.clone());
    };
    let mut edit = Edit::new(message);
    edit.set(path, raw);
    edit.finish().ok()
}
