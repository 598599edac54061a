use std::{borrow::Borrow, fmt, hash::Hash, sync::Arc};

use bartizan_clock::{Clock, Instant};

use crate::{
    Acquire, Allowed, Patience, Priority, Quota, RateLimited, RateLimiter, Snapshot, Waiting,
    key_map::KeyMap,
    limiter,
    slot::{Missed, Slot},
};

/// As many keys as a large installation has callers times tools; some 5 MB when the keys are
/// short.
pub const DEFAULT_MAX_KEYS: usize = 65_536;

/// A bucket, and a queue, for each key: for each caller, tool, tenant.
///
/// Clones share all of them.
///
/// Keys do not stay for ever. A key whose bucket is full and for which nobody waits is as good
/// as one that was never seen, and is evicted within half a minute of steady calls, two a second
/// or more: each may have to sweep one sixty-fourth of the keys, or a thousand where a new one
/// finds no room, never more. There are never more keys than the cap; keys beyond it share one
/// overflow bucket of the same quota, so that a flood of made-up keys gets neither memory nor one
/// burst for each. Keys that were known before the flood keep theirs.
///
/// ```
/// use bartizan_clock::Clock;
/// use bartizan_rate_limit::{DEFAULT_MAX_KEYS, KeyedRateLimiter, Quota};
///
/// let quota = Quota::per_minute(100).burst(1).build()?;
/// let limiter = KeyedRateLimiter::<String>::new(quota, DEFAULT_MAX_KEYS, Clock::default());
/// assert!(limiter.check("alice").is_ok());
/// assert!(limiter.check("alice").is_err());
/// assert!(limiter.check("bob").is_ok());
/// # Ok::<(), bartizan_rate_limit::InvalidQuota>(())
/// ```
pub struct KeyedRateLimiter<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    quota: Quota,
    clock: Clock,
    keys: KeyMap<K>,
    /// What the keys beyond the cap have in common.
    overflow: RateLimiter,
}

impl<K> KeyedRateLimiter<K> {
    /// A limiter with a full bucket for each key, for up to `max_keys` keys at a time.
    ///
    /// With a cap of zero all keys share the overflow bucket. See [`DEFAULT_MAX_KEYS`].
    #[must_use]
    pub fn new(quota: Quota, max_keys: usize, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                quota,
                clock,
                keys: KeyMap::new(max_keys, clock.now()),
                overflow: RateLimiter::new(quota, clock),
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
        self.shared.keys.max_keys()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.keys.len()
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
        let now = self.shared.clock.now();
        let missed = match self.shared.quick(key, now) {
            Ok(allowed) => return Ok(allowed),
            Err(missed) => missed,
        };
        self.shared.decide(&missed, Priority::Normal, now)
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
    #[inline(always)]
    pub fn acquire_with<Q>(&self, key: &Q, patience: impl FnOnce() -> Patience) -> Acquire
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let now = self.shared.clock.now();
        match self.shared.quick(key, now) {
            Ok(allowed) => Acquire::decided(Ok(allowed)),
            Err(missed) => self.shared.settle(key, &missed, &patience(), now),
        }
    }

    /// What the limiter of this key looks like now; `None` if it has none: then it gets a full one,
    /// or shares [`overflow`](Self::overflow) where there is no room.
    #[must_use]
    pub fn snapshot<Q>(&self, key: &Q) -> Option<Snapshot>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (quota, now) = (self.shared.quota, self.shared.clock.now());
        let look = |slot: &Slot| slot.snapshot(quota, now);
        self.shared.keys.look(key, look)
    }
}

impl<K: Eq + Hash> Shared<K> {
    /// A token of this key, if there is one and nobody waits.
    #[inline(always)]
    fn quick<Q>(&self, key: &Q, now: Instant) -> Result<Allowed, Missed>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.keys
            .ask(key, now, |slot| slot.quick(self.quota, now))
            .unwrap_or_else(|| Missed::or_allowed(&self.overflow, now))
    }

    /// Lets a call that missed still through, or refuses it.
    #[cold]
    fn decide(
        &self,
        missed: &Missed,
        priority: Priority,
        now: Instant,
    ) -> Result<Allowed, RateLimited> {
        match missed {
            Missed::Empty(next) => Err(RateLimited::until(*next, self.quota, now)),
            Missed::Crowded(limiter) => limiter.decide(limiter::Missed::Crowded, priority, now),
        }
    }

    /// Lets a call that missed still through, refuses it, or gives it a place in the queue.
    #[cold]
    fn settle<Q>(&self, key: &Q, missed: &Missed, patience: &Patience, now: Instant) -> Acquire
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let Some(waiting) = &patience.waiting else {
            return Acquire::decided(self.decide(missed, patience.priority, now));
        };
        if let Missed::Crowded(limiter) = missed {
            return limiter.line_up(waiting, patience, now);
        }
        self.keys
            .change(key, now, |slot| slot.limiter(self.quota, self.clock))
            .as_ref()
            .unwrap_or(&self.overflow)
            .line_up(waiting, patience, now)
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
            .field("max_keys", &self.max_keys())
            .field("keys", &self.len())
            .field("overflow", &self.overflow())
            .finish_non_exhaustive()
    }
}
