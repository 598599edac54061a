use std::{collections::HashMap, sync::Arc};

use bartizan_clock::Instant;

use super::connection::{Connection, Role};

/// The connections of one host, by what finds them.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Nothing more is opened.
    pub(super) closed: bool,
    sessions: HashMap<Arc<str>, Arc<Connection>>,
    shared: HashMap<u64, Slot>,
    owners: HashMap<u64, usize>,
    /// Whether the server ever had a result for a message without a session.
    pub(super) is_modern: bool,
}

/// The shared connection of one owner.
#[derive(Debug, Default)]
struct Slot {
    live: Option<Arc<Connection>>,
    /// Held by who opens it, so that those who come at the same time open one.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Table {
    /// The session of this name, if it is the owner's.
    pub(super) fn session(&self, name: &str, owner: u64) -> Option<&Arc<Connection>> {
        let session = self.sessions.get(name);
        session.filter(|session| session.owner == owner && !session.link.is_closed())
    }

    /// The shared connection of `owner`.
    pub(super) fn shared(&self, owner: u64) -> Option<&Arc<Connection>> {
        let live = self.shared.get(&owner)?.live.as_ref();
        live.filter(|connection| !connection.link.is_closed())
    }

    /// Any connection that is open and found.
    pub(super) fn any(&self) -> Option<Arc<Connection>> {
        let shared = self.shared.values().filter_map(|slot| slot.live.as_ref());
        let mut all = shared.chain(self.sessions.values());
        all.find(|connection| !connection.link.is_closed())
            .map(Arc::clone)
    }

    /// Of the connections that are found and that nobody uses, or of those of `owner`, the one that
    /// nobody has used for longest, and since when.
    pub(super) fn longest_idle(&self, owner: Option<u64>) -> Option<(Instant, Arc<Connection>)> {
        let shared = self.shared.values().filter_map(|slot| slot.live.as_ref());
        let all = shared.chain(self.sessions.values());
        let eligible = all.filter(|it| owner.is_none_or(|owner| it.owner == owner));
        let idle = eligible.filter_map(|connection| Some((connection.idle_since()?, connection)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.map(|(since, connection)| (since, Arc::clone(connection)))
    }

    /// Whether `connection` can be found.
    pub(super) fn finds(&self, connection: &Arc<Connection>) -> bool {
        let found = match &connection.role {
            Role::Session(name) => self.sessions.get(name),
            Role::Shared => self
                .shared
                .get(&connection.owner)
                .and_then(|it| it.live.as_ref()),
        };
        found.is_some_and(|found| Arc::ptr_eq(found, connection))
    }

    /// What whoever opens the shared connection of `owner` locks first.
    pub(super) fn turn(&mut self, owner: u64) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.shared.entry(owner).or_default().turn)
    }

    /// Lets `connection` be found: a shared one from the beginning.
    pub(super) fn opened(&mut self, connection: &Arc<Connection>) {
        if connection.role == Role::Shared {
            let slot = self.shared.entry(connection.owner).or_default();
            slot.live = Some(Arc::clone(connection));
        }
    }

    /// Lets `connection` be found: a session once it has begun.
    pub(super) fn proven(&mut self, connection: &Arc<Connection>) {
        match &connection.role {
            Role::Shared => self.is_modern = true,
            Role::Session(name) => {
                self.sessions
                    .insert(Arc::clone(name), Arc::clone(connection));
            }
        }
    }

    /// Lets `connection` not be found any more; whether it could be.
    pub(super) fn remove(&mut self, connection: &Arc<Connection>) -> bool {
        match &connection.role {
            Role::Session(name) => self.sessions.remove(name).is_some(),
            Role::Shared => {
                let Some(slot) = self.shared.get_mut(&connection.owner) else {
                    return false;
                };
                let is_it = |live: &mut Arc<Connection>| Arc::ptr_eq(live, connection);
                let removed = slot.live.take_if(is_it).is_some();
                self.forget(connection.owner);
                removed
            }
        }
    }

    /// [Removes](Table::remove) `connection` and has its keeper end it.
    pub(super) fn end(&mut self, connection: &Arc<Connection>) {
        self.remove(connection);
        connection.retire();
        connection.changed.notify_one();
    }

    /// Leaves out the slot of an owner who has no shared connection, unless somebody is about to
    /// open it.
    pub(super) fn forget(&mut self, owner: u64) {
        let unused = |slot: &Slot| slot.live.is_none() && Arc::strong_count(&slot.turn) == 1;
        if self.shared.get(&owner).is_some_and(unused) {
            self.shared.remove(&owner);
        }
    }

    /// Counts one more connection of `owner`, unless there are `limit`.
    pub(super) fn admit(&mut self, owner: u64, limit: usize) -> bool {
        let count = self.owners.entry(owner).or_default();
        let admitted = *count < limit;
        if admitted {
            *count += 1;
        } else if *count == 0 {
            self.owners.remove(&owner);
        }
        admitted
    }

    /// Counts one less.
    pub(super) fn leave(&mut self, owner: u64) {
        if let Some(count) = self.owners.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&owner);
            }
        }
    }

    /// How many connections there are, those included that are being opened or are ending.
    pub(super) fn connections(&self) -> usize {
        self.owners.values().sum()
    }
}
