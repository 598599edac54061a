use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;

use super::{LinkError, WireError, late::Late, mailbox::Mailbox};

/// One request under way.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key of the id on the wire.
    pub(super) key: Bytes,
    /// The id on the wire, as JSON.
    pub(super) wire_id: Box<str>,
    /// The key of the id that the caller gave.
    pub(super) caller_key: Bytes,
    /// What is to be mapped back, if the ids were replaced.
    pub(super) replaced: Option<Replaced>,
    /// The key of the progress token on the wire.
    pub(super) token: Option<Bytes>,
    /// `initialize`, which must not be cancelled.
    pub(super) initialize: bool,
    /// `subscriptions/listen`, which gets nothing but what carries its id.
    pub(super) listen: bool,
    /// Whether it gets nothing but its response: a `ping`, whose sender wants to know no more than
    /// whether the server answers, and what is quiet and gives nothing to ask about.
    pub(super) alone: bool,
    pub(super) asks: Asks,
    pub(super) mailbox: Mailbox,
}

/// Whether a server asks its client things in the middle of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asks {
    /// There is nothing to ask about.
    Never,
    /// It is not known to.
    Quiet,
    /// It does, or nobody knows.
    Perhaps,
}

/// The caller's own values, as JSON.
#[derive(Debug)]
pub(super) struct Replaced {
    pub(super) id: Box<str>,
    pub(super) token: Option<Box<str>>,
}

/// The requests under way, and how to find them.
#[derive(Debug, Default)]
pub(super) struct Table {
    exchanges: HashMap<Bytes, Slot>,
    tokens: HashMap<Bytes, Arc<Entry>>,
    by_age: BTreeMap<u64, Arc<Entry>>,
    late: Late,
    last_id: u64,
    last_age: u64,
    closed: Option<WireError>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) entry: Arc<Entry>,
    /// The request has been handed to the wire.
    pub(super) sent: bool,
    age: u64,
    /// The keys of the server's requests that went to this exchange and are not answered.
    asked: Vec<Bytes>,
}

/// What became of a request that was to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// It was over already.
    Over,
    /// It is over, and the server hears nothing: it never got the request, or must not be told.
    Silently,
    /// It is over, and the server is to be told.
    Told,
}

/// The requests that have an id of a caller.
#[derive(Debug)]
pub(super) enum Found {
    None,
    One(Arc<Entry>),
    Several,
}

impl Table {
    /// A number that is in use neither as an id nor as a token, and whose answer is not late.
    pub(super) fn fresh_id(&mut self) -> String {
        loop {
            self.last_id += 1;
            let id = self.last_id.to_string();
            let taken = |key: &[u8]| {
                self.exchanges.contains_key(key)
                    || self.tokens.contains_key(key)
                    || self.late.contains(key)
            };
            if !taken(id.as_bytes()) {
                return id;
            }
        }
    }

    pub(super) fn insert(&mut self, entry: &Arc<Entry>, limit: usize) -> Result<(), LinkError> {
        if let Some(reason) = self.closed.clone() {
            let sent = false;
            return Err(LinkError::Closed { reason, sent });
        }
        if self.exchanges.contains_key(&entry.key) || self.late.contains(&entry.key) {
            return Err(LinkError::Duplicate);
        }
        if self.exchanges.len() >= limit {
            return Err(LinkError::Full { limit });
        }
        let slot = Slot {
            entry: Arc::clone(entry),
            sent: false,
            age: 0,
            asked: Vec::new(),
        };
        self.exchanges.insert(entry.key.clone(), slot);
        if let Some(token) = &entry.token {
            // Of two requests with one token, which must not be, the younger would steal the
            // progress of the older.
            self.tokens
                .entry(token.clone())
                .or_insert_with(|| Arc::clone(entry));
        }
        Ok(())
    }

    /// Runs `send` and notes that the request is on the wire, unless it is over already.
    pub(super) fn send(&mut self, entry: &Arc<Entry>, send: impl FnOnce()) -> bool {
        let Some(slot) = self.exchanges.get_mut(&entry.key) else {
            return false;
        };
        if !Arc::ptr_eq(&slot.entry, entry) {
            return false;
        }
        self.last_age += 1;
        slot.sent = true;
        slot.age = self.last_age;
        if !entry.listen && !entry.alone {
            self.by_age.insert(self.last_age, Arc::clone(entry));
        }
        send();
        true
    }

    /// The request that is on the wire under this key.
    pub(super) fn find(&self, key: &[u8]) -> Option<Arc<Entry>> {
        let slot = self.exchanges.get(key).filter(|slot| slot.sent)?;
        Some(Arc::clone(&slot.entry))
    }

    pub(super) fn find_token(&self, key: &[u8]) -> Option<Arc<Entry>> {
        let entry = self.tokens.get(key)?;
        self.find(&entry.key)
    }

    pub(super) fn find_caller(&self, key: &[u8]) -> Found {
        let mut found = Found::None;
        for slot in self.exchanges.values() {
            if slot.entry.caller_key == key {
                found = match found {
                    Found::None => Found::One(Arc::clone(&slot.entry)),
                    _ => return Found::Several,
                };
            }
        }
        found
    }

    pub(super) fn youngest(&self) -> Option<Arc<Entry>> {
        self.by_age.values().next_back().map(Arc::clone)
    }

    /// Whose a request of the server is that names none. What a client lists meanwhile has
    /// nothing to be asked about, and about what waits for an answer the server asks nothing more
    /// before it has one. Of those that are left it is one that is not quiet, if there is any, and
    /// of several the youngest.
    pub(super) fn asking(&self) -> Option<Arc<Entry>> {
        let asking = self.by_age.values().max_by_key(|entry| {
            let slot = self.exchanges.get(&entry.key);
            let waits = slot.is_some_and(|slot| !slot.asked.is_empty());
            (entry.asks != Asks::Never, !waits, entry.asks)
        });
        asking.map(Arc::clone)
    }

    /// The only request on the wire, if there is just one.
    pub(super) fn only(&self) -> Option<Arc<Entry>> {
        let mut sent = self.exchanges.values().filter(|slot| slot.sent);
        let only = sent.next()?;
        sent.next().is_none().then(|| Arc::clone(&only.entry))
    }

    /// Takes `entry` out, unless it is over already.
    pub(super) fn remove(&mut self, entry: &Arc<Entry>) -> Option<Slot> {
        let slot = self.exchanges.get(&entry.key)?;
        if !Arc::ptr_eq(&slot.entry, entry) {
            return None;
        }
        let slot = self.exchanges.remove(&entry.key)?;
        self.by_age.remove(&slot.age);
        if let Some(token) = &entry.token
            && self
                .tokens
                .get(token)
                .is_some_and(|of| Arc::ptr_eq(of, entry))
        {
            self.tokens.remove(token);
        }
        Some(slot)
    }

    /// Takes `entry` out. If the server is to be told, it may have answered by then: nobody else
    /// gets the id until that answer has come, or `limit` others were cancelled.
    pub(super) fn cancel(&mut self, entry: &Arc<Entry>, limit: usize) -> Cancelled {
        match self.remove(entry) {
            None => Cancelled::Over,
            Some(slot) if slot.sent && !entry.initialize => {
                self.late.expect(&entry.key, limit);
                Cancelled::Told
            }
            Some(_) => Cancelled::Silently,
        }
    }

    /// The request to which an answer with this key belongs.
    pub(super) fn answered(&mut self, key: &[u8]) -> Option<Arc<Entry>> {
        let found = self.find(key);
        if found.is_none() {
            self.late.came(key);
        }
        found
    }

    /// Takes everything out for good.
    pub(super) fn close(&mut self, reason: WireError) -> Vec<Slot> {
        self.closed.get_or_insert(reason);
        self.tokens.clear();
        self.by_age.clear();
        std::mem::take(&mut self.exchanges).into_values().collect()
    }

    /// Notes that a request of the server went to `entry`; false if too many did.
    pub(super) fn ask(&mut self, entry: &Arc<Entry>, key: Bytes, limit: usize) -> bool {
        match self.exchanges.get_mut(&entry.key) {
            Some(slot) if Arc::ptr_eq(&slot.entry, entry) && slot.asked.len() < limit => {
                slot.asked.push(key);
                true
            }
            _ => false,
        }
    }

    /// Notes that a request of the server was answered. With the answer it goes on with what it
    /// asked about, as if that had come just now.
    pub(super) fn answer(&mut self, key: &[u8]) {
        for slot in self.exchanges.values_mut() {
            if let Some(at) = slot.asked.iter().position(|asked| asked == key) {
                slot.asked.swap_remove(at);
                self.last_age += 1;
                if let Some(entry) = self.by_age.remove(&slot.age) {
                    self.by_age.insert(self.last_age, entry);
                    slot.age = self.last_age;
                }
                return;
            }
        }
    }

    /// Who got this request of the server.
    pub(super) fn find_asked(&self, key: &[u8]) -> Option<Arc<Entry>> {
        let asked = |slot: &&Slot| slot.asked.iter().any(|asked| asked == key);
        let slot = self.exchanges.values().find(asked)?;
        Some(Arc::clone(&slot.entry))
    }
}
