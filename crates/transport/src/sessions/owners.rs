use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use bartizan_clock::Instant;
use parking_lot::{Mutex, MutexGuard};

use super::{SessionId, entry::Entry};

/// The sessions of each owner.
pub(super) struct Owners<T> {
    hasher: RandomState,
    /// Each locked for a moment when a session of one of its owners begins or ends, and not by
    /// requests within a session. The lock of a shard may be taken under it, never the reverse.
    parts: Box<[Mutex<Part<T>>]>,
}

/// The sessions of some owners.
pub(super) struct Part<T>(HashMap<Arc<[u8]>, Vec<Arc<Entry<T>>>>);

const PARTS: usize = 16;

impl<T> Owners<T> {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            parts: (0..PARTS)
                .map(|_| Mutex::new(Part(HashMap::new())))
                .collect(),
        }
    }

    pub(super) fn part(&self, owner: &[u8]) -> MutexGuard<'_, Part<T>> {
        self.parts[self.hasher.hash_one(owner) as usize % PARTS].lock()
    }

    #[cfg(test)]
    pub(super) fn total(&self) -> usize {
        let of = |part: &Mutex<Part<T>>| {
            let part = part.lock();
            assert!(part.0.values().all(|sessions| !sessions.is_empty()));
            part.0.values().map(Vec::len).sum::<usize>()
        };
        self.parts.iter().map(of).sum()
    }
}

impl<T> Part<T> {
    pub(super) fn count(&self, owner: &[u8]) -> usize {
        self.0.get(owner).map_or(0, Vec::len)
    }

    /// The owner's name, as it is shared by all its sessions.
    pub(super) fn name(&self, owner: &[u8]) -> Arc<[u8]> {
        self.0
            .get_key_value(owner)
            .map_or_else(|| owner.into(), |(name, _)| Arc::clone(name))
    }

    pub(super) fn add(&mut self, entry: Arc<Entry<T>>) {
        let owner = Arc::clone(&entry.owner);
        self.0.entry(owner).or_default().push(entry);
    }

    pub(super) fn remove(&mut self, entry: &Arc<Entry<T>>) {
        let Some(sessions) = self.0.get_mut(&entry.owner) else {
            return;
        };
        sessions.retain(|other| !Arc::ptr_eq(other, entry));
        if sessions.is_empty() {
            self.0.remove(&entry.owner);
            if self.0.len() < self.0.capacity() / 4 {
                self.0.shrink_to(self.0.len() * 2);
            }
        }
    }

    /// The session of the owner that was idle for longest, if one is.
    pub(super) fn longest_idle(&self, owner: &[u8]) -> Option<(Instant, SessionId)> {
        let idle = |entry: &Arc<Entry<T>>| Some((entry.idle_since()?, entry.id));
        self.0.get(owner)?.iter().filter_map(idle).min()
    }

    #[cfg(test)]
    pub(super) fn holds(&self, entry: &Arc<Entry<T>>) -> bool {
        let is_it = |sessions: &Vec<_>| sessions.iter().any(|other| Arc::ptr_eq(other, entry));
        self.0.get(&entry.owner).is_some_and(is_it)
    }
}
