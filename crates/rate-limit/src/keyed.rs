use std::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_clock::{Clock, Instant};

use crate::{
    Acquire, Allowed, Patience, Priority, Quota, RateLimited, RateLimiter, Snapshot, Waiting,
    limiter::Missed, pace::Pace, shard::Shard,
};

/// A bucket, and a queue, for each key: for each caller, tool, tenant.
///
/// Clones share all of them.
///
/// Keys do not stay for ever. A key whose bucket is full and for which nobody waits is as good
/// as one that was never seen, and is evicted within half a minute: each call may have to sweep
/// one sixty-fourth of the keys, never more. There are never more keys than the cap; keys
/// beyond it share one overflow bucket of the same quota, so that a flood of made-up keys gets
/// neither memory nor one burst for each. Keys that were known before the flood keep theirs.
///
/// ```
/// use bartizan_clock::Clock;
/// use bartizan_rate_limit::{KeyedRateLimiter, Quota};
///
/// let quota = Quota::per_minute(100).burst(1).build()?;
/// let limiter = KeyedRateLimiter::<String>::new(
///     quota,
///     KeyedRateLimiter::<String>::DEFAULT_MAX_KEYS,
///     Clock::default(),
/// );
/// assert!(limiter.check("alice").is_ok());
/// assert!(limiter.check("alice").is_err());
/// assert!(limiter.check("bob").is_ok());
/// # Ok::<(), bartizan_rate_limit::InvalidQuota>(())
/// ```
pub struct KeyedRateLimiter<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    shards: Box<[Shard<K>]>,
    /// Keyed by chance, as keys are mostly chosen by callers.
    hasher: RandomState,
    quota: Quota,
    clock: Clock,
    max_keys: usize,
    overflow: RateLimiter,
    /// How many keys all shards hold; changed only when a key comes or goes.
    keys: AtomicUsize,
    /// When shards are swept.
    sweeps: Pace,
    /// When they are besides, as new keys find no room.
    pressed_sweeps: Pace,
    /// Which shard is swept next, counted up for ever.
    sweep_next: AtomicUsize,
}

/// Enough that threads rarely meet, and that a shard of a full map is swept in microseconds.
const SHARDS: u32 = 64;

/// The time in which every shard is swept once.
const SWEEP: Duration = Duration::from_secs(30);

/// The same when new keys find no room. Not shorter, or a flood of keys would make each of its
/// calls as dear as a sweep.
const PRESSED_SWEEP: Duration = Duration::from_secs(1);

impl<K> KeyedRateLimiter<K> {
    /// A cap that costs some 20 MB when it is reached.
    pub const DEFAULT_MAX_KEYS: usize = 65_536;

    /// A limiter with a full bucket for each key, for up to `max_keys` keys at a time.
    ///
    /// With a cap of zero all keys share the overflow bucket.
    #[must_use]
    pub fn new(quota: Quota, max_keys: usize, clock: Clock) -> Self {
        let now = clock.now();
        Self {
            shared: Arc::new(Shared {
                shards: (0..SHARDS).map(|_| Shard::new()).collect(),
                hasher: RandomState::new(),
                quota,
                clock,
                max_keys,
                overflow: RateLimiter::new(quota, clock),
                keys: AtomicUsize::new(0),
                sweeps: Pace::new(SWEEP, SHARDS, now),
                pressed_sweeps: Pace::new(PRESSED_SWEEP, SHARDS, now),
                sweep_next: AtomicUsize::new(0),
            }),
        }
    }

    /// The quota of each key.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.shared.quota
    }

    /// How many keys there may be at a time.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.shared.max_keys
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.keys.load(Ordering::Relaxed)
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the bucket of the keys beyond the cap looks like.
    #[must_use]
    pub fn overflow(&self) -> Snapshot {
        self.shared.overflow.snapshot()
    }
}

impl<K: Eq + Hash> KeyedRateLimiter<K> {
    /// Takes a token of this key now or not at all, like [`RateLimiter::check`].
    ///
    /// Allocates only when the key is new.
    ///
    /// # Errors
    ///
    /// When there is no token, or only such as others wait for.
    #[inline]
    pub fn check<Q>(&self, key: &Q) -> Result<Allowed, RateLimited>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        match self.quick(key) {
            Ok(allowed) => Ok(allowed),
            Err((limiter, missed)) => limiter.decide(missed, Priority::Normal),
        }
    }

    /// Takes a token of this key now, or a place in its queue, like [`RateLimiter::acquire`].
    ///
    /// Each key has a queue of its own, with the bounds that `waiting` sets.
    ///
    /// # Errors
    ///
    /// The future ends with [`RateLimited`] when the call was refused or shed.
    ///
    /// # Cancellation
    ///
    /// As with [`RateLimiter::acquire`].
    #[inline]
    pub fn acquire<Q>(
        &self,
        key: &Q,
        waiting: &Waiting,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Acquire
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.acquire_with(key, || Patience {
            waiting: Some(*waiting),
            priority,
            deadline,
        })
    }

    /// Like [`KeyedRateLimiter::acquire`], with a patience that is asked for only when no token
    /// is there.
    #[inline]
    pub fn acquire_with<Q>(&self, key: &Q, patience: impl FnOnce() -> Patience) -> Acquire
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        match self.quick(key) {
            Ok(allowed) => Acquire::decided(Ok(allowed)),
            Err((limiter, missed)) => limiter.settle(missed, &patience()),
        }
    }

    /// A token of this key, if there is one and nobody waits; otherwise the limiter that knows
    /// more.
    #[inline]
    fn quick<Q>(&self, key: &Q) -> Result<Allowed, (RateLimiter, Missed)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let shared = &*self.shared;
        let hash = shared.hasher.hash_one(key);
        let keys = shared.shard(hash).read();
        let Some(limiter) = keys.find(hash, key) else {
            drop(keys);
            let limiter = shared.admit(hash, key);
            let quick = limiter.quick();
            return quick.map_err(|missed| (limiter, missed));
        };
        let quick = limiter.quick();
        let now = limiter.last_asked();
        // Holding on to the limiter keeps it from being evicted when the lock is released.
        let quick = quick.map_err(|missed| (limiter.clone(), missed));
        drop(keys);
        if shared.sweeps.is_due(now) {
            shared.sweep();
        }
        quick
    }

    /// What the limiter of this key looks like now; `None` if it has none, which is as good as
    /// full.
    #[must_use]
    pub fn snapshot<Q>(&self, key: &Q) -> Option<Snapshot>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.shared.hasher.hash_one(key);
        let keys = self.shared.shard(hash).read();
        keys.find(hash, key).map(RateLimiter::snapshot)
    }
}

impl<K> Shared<K> {
    #[inline]
    fn shard(&self, hash: u64) -> &Shard<K> {
        // The table of a shard tells keys apart by the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }
}

impl<K: Eq + Hash> Shared<K> {
    /// The limiter of a new key, or the one for overflow.
    #[cold]
    fn admit<Q>(&self, hash: u64, key: &Q) -> RateLimiter
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let now = self.clock.now();
        let full = self.keys.load(Ordering::Relaxed) >= self.max_keys;
        if self.sweeps.is_due(now) || (full && self.pressed_sweeps.is_due(now)) {
            self.sweep();
        }
        let mut keys = self.shard(hash).write();
        if let Some(limiter) = keys.find(hash, key) {
            return limiter.clone();
        }
        let more = |keys| (keys < self.max_keys).then_some(keys + 1);
        let reserved = self
            .keys
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if reserved.is_err() {
            return self.overflow.clone();
        }
        let limiter = RateLimiter::new(self.quota, self.clock);
        keys.insert(hash, key.to_owned(), limiter.clone(), &self.hasher);
        limiter
    }

    /// Evicts idle keys from the next shard.
    #[cold]
    fn sweep(&self) {
        let next = self.sweep_next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let evicted = self.shards[next].evict_idle(&self.hasher);
        self.keys.fetch_sub(evicted, Ordering::Relaxed);
    }
}

impl<K> Clone for KeyedRateLimiter<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K> fmt::Debug for KeyedRateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimiter")
            .field("quota", &self.shared.quota)
            .field("max_keys", &self.shared.max_keys)
            .field("keys", &self.len())
            .field("overflow", &self.overflow())
            .finish_non_exhaustive()
    }
}
