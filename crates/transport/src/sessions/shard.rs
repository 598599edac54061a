use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use bartizan_clock::Instant;
use parking_lot::RwLock;

use super::{SessionId, entry::Entry};

/// A part of the sessions, under a lock of its own.
///
/// As wide as two cache lines, so that the locks of two shards never share one.
#[repr(align(128))]
pub(super) struct Shard<T> {
    /// Read for one lookup by each request; written when a session begins or ends.
    sessions: RwLock<HashMap<SessionId, Arc<Entry<T>>>>,
}

impl<T> Shard<T> {
    pub(super) fn new() -> Self {
        Self {
            sessions: RwLock::new(HashMap::new()),
        }
    }

    /// Looks at a session, which cannot end meanwhile.
    pub(super) fn look<R>(
        &self,
        id: &SessionId,
        look: impl FnOnce(&Arc<Entry<T>>) -> R,
    ) -> Option<R> {
        self.sessions.read().get(id).map(look)
    }

    /// Adds an entry unless there is one with its id, at which `look` may look instead.
    pub(super) fn add<R>(
        &self,
        entry: &Arc<Entry<T>>,
        look: impl FnOnce(&Arc<Entry<T>>) -> R,
    ) -> Result<(), R> {
        match self.sessions.write().entry(entry.id) {
            hash_map::Entry::Occupied(present) => Err(look(present.get())),
            hash_map::Entry::Vacant(place) => {
                place.insert(Arc::clone(entry));
                Ok(())
            }
        }
    }

    /// Takes out a session if it is to be ended, which nobody can change meanwhile.
    pub(super) fn take(
        &self,
        id: &SessionId,
        end: impl FnOnce(&Arc<Entry<T>>) -> bool,
    ) -> Option<Arc<Entry<T>>> {
        let mut sessions = self.sessions.write();
        match sessions.get(id) {
            Some(entry) if end(entry) => sessions.remove(id),
            _ => None,
        }
    }

    /// Takes out all sessions that are to be ended, which nobody can change meanwhile.
    pub(super) fn take_all(&self, end: impl Fn(&Entry<T>) -> bool) -> Vec<Arc<Entry<T>>> {
        let mut sessions = self.sessions.write();
        let ended = sessions.extract_if(|_, entry| end(entry));
        let ended = ended.map(|(_, entry)| entry).collect();
        // What a flood of sessions left behind is given back; a quarter keeps ordinary changes of
        // their number from reallocating.
        if sessions.len() < sessions.capacity() / 4 {
            let len = sessions.len();
            sessions.shrink_to(len * 2);
        }
        ended
    }

    /// Calls back with each session that nobody uses, and since when.
    pub(super) fn each_idle(&self, mut each: impl FnMut(Instant, SessionId)) {
        for entry in self.sessions.read().values() {
            if let Some(since) = entry.idle_since() {
                each(since, entry.id);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn each(&self, each: impl FnMut(&Arc<Entry<T>>)) {
        self.sessions.read().values().for_each(each);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.sessions.read().capacity()
    }
}
