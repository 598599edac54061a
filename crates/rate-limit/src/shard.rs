use std::{borrow::Borrow, hash::Hash};

use ahash::RandomState;
use bartizan_clock::Instant;
use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};

use crate::slot::Slot;

/// A part of the keys, under a lock of its own.
///
/// As wide as two cache lines, so that the locks of two shards never share one; processors
/// fetch lines in pairs.
#[repr(align(128))]
pub(crate) struct Shard<K> {
    /// Held by every check for the time of one lookup and one token. Two threads seldom want the
    /// same of many, unless all calls have one key. Not shared by readers: to count them takes as
    /// many atomic operations, and the token one more (117 ns for 72, two threads at one key).
    keys: Mutex<Keys<K>>,
}

pub(crate) struct Keys<K>(HashTable<(K, Slot)>);

impl<K> Shard<K> {
    pub(crate) fn new() -> Self {
        Self {
            keys: Mutex::new(Keys(HashTable::new())),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Keys<K>> {
        self.keys.lock()
    }

    /// Evicts the keys whose buckets are full and for which nobody waits, and returns their
    /// number.
    ///
    /// Such a key loses nothing: when it comes again it gets a full bucket.
    pub(crate) fn evict_idle(&self, now: Instant, hasher: &RandomState) -> usize
    where
        K: Hash,
    {
        let mut keys = self.keys.lock();
        let table = &mut keys.0;
        let before = table.len();
        table.retain(|(_, slot)| !slot.is_idle(now));
        let after = table.len();
        // What a flood of keys left behind is given back; a quarter keeps ordinary changes of
        // the number of keys from reallocating.
        if after < table.capacity() / 4 {
            table.shrink_to(after * 2, |(known, _)| hasher.hash_one(known));
        }
        before - after
    }
}

impl<K> Keys<K> {
    #[inline]
    pub(crate) fn find<Q>(&self, hash: u64, key: &Q) -> Option<&Slot>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.0
            .find(hash, |(known, _)| known.borrow() == key)
            .map(|(_, slot)| slot)
    }

    #[inline]
    pub(crate) fn find_mut<Q>(&mut self, hash: u64, key: &Q) -> Option<&mut Slot>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.0
            .find_mut(hash, |(known, _)| known.borrow() == key)
            .map(|(_, slot)| slot)
    }

    /// Adds a key, which must not be there yet.
    pub(crate) fn insert(&mut self, hash: u64, key: K, hasher: &RandomState)
    where
        K: Hash,
    {
        let rehash = |(known, _): &(K, Slot)| hasher.hash_one(known);
        self.0.insert_unique(hash, (key, Slot::new()), rehash);
    }
}
