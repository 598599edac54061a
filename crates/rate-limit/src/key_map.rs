use std::{
    borrow::Borrow,
    hash::Hash,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use ahash::RandomState;
use bartizan_clock::Instant;
use parking_lot::{MappedMutexGuard, MutexGuard};

use crate::{DEFAULT_MAX_KEYS, pace::Pace, shard::Shard, slot::Slot};

/// The buckets of all keys, up to a cap; idle ones are evicted little by little.
pub(crate) struct KeyMap<K> {
    shards: Box<[Shard<K>]>,
    /// Seeded by chance, as keys are mostly chosen by callers: aHash, which is made to withstand
    /// chosen keys as the standard library's SipHash is, at a quarter of its cost.
    hasher: RandomState,
    /// How many keys all shards hold; changed only when a key comes or goes.
    len: AtomicUsize,
    max_keys: usize,
    /// When shards are swept.
    sweeps: Pace,
    /// When they are besides, as new keys find no room.
    pressed_sweeps: Pace,
    /// How many are then.
    pressed_shards: usize,
    /// Which shard is swept next, counted up for ever.
    sweep_next: AtomicUsize,
}

/// Enough that threads rarely meet, and that a shard of a full map is swept in microseconds.
const SHARDS: usize = 64;

/// How many keys are looked at for a new key that finds no room: as many as a shard has of a map
/// with the default cap. Where there can be no more, that is all of them.
const PRESSED_KEYS: usize = DEFAULT_MAX_KEYS / SHARDS;

/// The time in which every shard is swept once.
const SWEEP: Duration = Duration::from_secs(30);

/// The same when new keys find no room. Not shorter, or a flood of keys would make each of its
/// calls as dear as a sweep.
const PRESSED_SWEEP: Duration = Duration::from_secs(1);

impl<K> KeyMap<K> {
    pub(crate) fn new(max_keys: usize, now: Instant) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::new()).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            max_keys,
            sweeps: Pace::new(SWEEP, SHARDS as u32, now),
            pressed_sweeps: Pace::new(PRESSED_SWEEP, SHARDS as u32, now),
            pressed_shards: (SHARDS * PRESSED_KEYS / max_keys.max(1)).clamp(1, SHARDS),
            sweep_next: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn max_keys(&self) -> usize {
        self.max_keys
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Shard<K> {
        // The table of a shard tells keys apart by the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

impl<K: Eq + Hash> KeyMap<K> {
    /// Asks the slot of a key, which is made if the key is new; `None` if there is no room.
    #[inline(always)]
    pub(crate) fn ask<Q, T>(
        &self,
        key: &Q,
        now: Instant,
        ask: impl FnOnce(&mut Slot) -> T,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut keys = self.shard(hash).lock();
        let Some(slot) = keys.find_mut(hash, key) else {
            drop(keys);
            return self.enter(hash, key, now).map(|mut slot| ask(&mut slot));
        };
        let answer = ask(slot);
        drop(keys);
        if self.sweeps.is_due(now) {
            self.sweep(now);
        }
        Some(answer)
    }

    /// Changes the slot of a key, which is made if the key is new; `None` if there is no room.
    pub(crate) fn change<Q, T>(
        &self,
        key: &Q,
        now: Instant,
        change: impl FnOnce(&mut Slot) -> T,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        self.enter(hash, key, now).map(|mut slot| change(&mut slot))
    }

    /// Looks at the slot of a key, if it has one.
    pub(crate) fn look<Q, T>(&self, key: &Q, look: impl FnOnce(&Slot) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).lock().find(hash, key).map(look)
    }

    #[cold]
    fn enter<Q>(&self, hash: u64, key: &Q, now: Instant) -> Option<MappedMutexGuard<'_, Slot>>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let full = self.len() >= self.max_keys;
        if full && self.pressed_sweeps.is_due(now) {
            for _ in 0..self.pressed_shards {
                self.sweep(now);
            }
        } else if self.sweeps.is_due(now) {
            self.sweep(now);
        }
        MutexGuard::try_map(self.shard(hash).lock(), |keys| {
            if keys.find(hash, key).is_none() {
                self.reserve()?;
                keys.insert(hash, key.to_owned(), &self.hasher);
            }
            keys.find_mut(hash, key)
        })
        .ok()
    }

    /// Makes room for one more key.
    fn reserve(&self) -> Option<usize> {
        let more = |len| (len < self.max_keys).then_some(len + 1);
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
    }

    /// Evicts idle keys from the next shard.
    #[cold]
    fn sweep(&self, now: Instant) {
        let next = self.sweep_next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let evicted = self.shards[next].evict_idle(now, &self.hasher);
        self.len.fetch_sub(evicted, Ordering::Relaxed);
    }
}
