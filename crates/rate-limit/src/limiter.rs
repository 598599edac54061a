use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_clock::{Clock, Instant};
use parking_lot::{Mutex, MutexGuard};

use crate::{
    Acquire, Allowed, Patience, Priority, Quota, RateLimited, Snapshot, Waiting,
    bucket::Bucket,
    queue::{Place, Queue},
    waiter::Waiter,
};

/// A token bucket, and the calls that wait for it.
///
/// Clones share both.
///
/// ```
/// use bartizan_clock::Clock;
/// use bartizan_rate_limit::{Quota, RateLimiter};
///
/// let quota = Quota::per_minute(100).burst(2).build()?;
/// let limiter = RateLimiter::new(quota, Clock::default());
/// assert_eq!(limiter.check()?.remaining, 1);
/// assert_eq!(limiter.check()?.remaining, 0);
/// let refused = limiter.check().unwrap_err();
/// assert_eq!(refused.to_string(), "rate limited, retry in 1 s");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    quota: Quota,
    clock: Clock,
    bucket: Bucket,
    /// How many calls are in the queue; written under its lock. Zero lets a call go straight
    /// to the bucket.
    waiting: AtomicUsize,
    /// Locked only when the bucket is empty or somebody waits, for a few map operations.
    queue: Mutex<Queue>,
}

/// Why a call did not get a token at once.
#[derive(Clone, Copy)]
pub(crate) enum Missed {
    /// The bucket is empty until then, and nobody waits.
    Empty(Instant),
    /// Somebody waits.
    Crowded,
}

impl RateLimiter {
    /// A limiter with a full bucket.
    #[must_use]
    pub fn new(quota: Quota, clock: Clock) -> Self {
        Self::with(Bucket::full(), quota, clock)
    }

    pub(crate) fn with(bucket: Bucket, quota: Quota, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                quota,
                clock,
                bucket,
                waiting: AtomicUsize::new(0),
                queue: Mutex::default(),
            }),
        }
    }

    /// Takes a token now or not at all.
    ///
    /// Counts as a call of normal priority: it does not take the tokens that calls of normal or
    /// high priority wait for.
    ///
    /// # Errors
    ///
    /// When there is no token, or only such as others wait for.
    #[inline]
    pub fn check(&self) -> Result<Allowed, RateLimited> {
        let now = self.shared.clock.now();
        match self.quick(now) {
            Ok(allowed) => Ok(allowed),
            Err(missed) => self.decide(missed, Priority::Normal, now),
        }
    }

    /// Takes a token now, or a place in the queue until there is one.
    ///
    /// Both happen in this call, not when the future is first polled: calls get their tokens
    /// in the order in which they asked. A call that could not get its token within
    /// [`max_wait`](Waiting::max_wait) or before its deadline, by its place in the queue and the
    /// rate, is refused at once and told how long it would have taken. One that calls of higher
    /// priority push back is refused when its time is up, or as soon as it is at the head and
    /// sees that it will be. When the queue is full, a call sheds the newest one of the lowest
    /// priority if that is below its own, and is refused otherwise.
    ///
    /// # Errors
    ///
    /// The future ends with [`RateLimited`] when the call was refused or shed.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the place, and the next in the queue takes over. (A token
    /// that it got at once, without waiting, is spent.) A future that is kept but not polled
    /// holds up those behind it, as with any fair queue, until their own time is up.
    ///
    /// # Panics
    ///
    /// The future panics when it has to wait outside a tokio runtime with its timer enabled,
    /// and when it is polled after it has completed.
    #[inline]
    pub fn acquire(
        &self,
        waiting: &Waiting,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Acquire {
        self.acquire_with(|| Patience {
            waiting: Some(*waiting),
            priority,
            deadline,
        })
    }

    /// Like [`RateLimiter::acquire`], with a patience that is asked for only when no token is
    /// there.
    #[inline(always)]
    pub fn acquire_with(&self, patience: impl FnOnce() -> Patience) -> Acquire {
        let now = self.shared.clock.now();
        match self.quick(now) {
            Ok(allowed) => Acquire::decided(Ok(allowed)),
            Err(missed) => self.settle(missed, &patience(), now),
        }
    }

    /// The quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.shared.quota
    }

    /// What the limiter looks like now. Takes nothing.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let shared = &*self.shared;
        Snapshot {
            waiting: shared.waiting.load(Ordering::Relaxed),
            ..shared.bucket.snapshot(shared.quota, shared.clock.now())
        }
    }

    /// A token, if there is one and nobody waits. Takes no lock.
    #[inline(always)]
    pub(crate) fn quick(&self, now: Instant) -> Result<Allowed, Missed> {
        let shared = &*self.shared;
        if shared.waiting.load(Ordering::Relaxed) > 0 {
            return Err(Missed::Crowded);
        }
        shared.bucket.take(shared.quota, now).map_err(Missed::Empty)
    }

    /// Lets a call that missed still through, or refuses it.
    #[cold]
    pub(crate) fn decide(
        &self,
        missed: Missed,
        priority: Priority,
        now: Instant,
    ) -> Result<Allowed, RateLimited> {
        let turn = match missed {
            Missed::Empty(next) => Err(next),
            Missed::Crowded => self.shared.turn(&self.shared.lock(), priority, now),
        };
        turn.map_err(|turn| self.shared.refusal(turn, now))
    }

    /// Lets a call that missed still through, refuses it, or gives it a place in the queue.
    #[cold]
    pub(crate) fn settle(&self, missed: Missed, patience: &Patience, now: Instant) -> Acquire {
        match &patience.waiting {
            None => Acquire::decided(self.decide(missed, patience.priority, now)),
            Some(waiting) => self.line_up(waiting, patience, now),
        }
    }

    pub(crate) fn line_up(&self, waiting: &Waiting, patience: &Patience, now: Instant) -> Acquire {
        let shared = &self.shared;
        let mut queue = shared.lock();
        let turn = match shared.turn(&queue, patience.priority, now) {
            Ok(allowed) => return Acquire::decided(Ok(allowed)),
            Err(turn) => turn,
        };
        let refused = || Acquire::decided(Err(shared.refusal(turn, now)));
        let latest = now + waiting.max_wait;
        let latest = patience.deadline.map_or(latest, |due| due.min(latest));
        if turn > latest || latest <= now || waiting.max_waiting == 0 {
            return refused();
        }
        let mut shed = None;
        if queue.len() >= waiting.max_waiting {
            match queue.shed_below(patience.priority) {
                Some(waker) => shed = waker,
                None => return refused(),
            }
        }
        let place = queue.join(patience.priority);
        shared.publish(queue);
        if let Some(waker) = shed {
            waker.wake();
        }
        Acquire::queued(Waiter::new(Arc::clone(shared), place, latest))
    }

    /// Whether a new limiter would do as well: the bucket is full, and nobody but the caller
    /// holds on to it.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        Arc::strong_count(&self.shared) == 1 && self.shared.bucket.is_full(now)
    }
}

impl Shared {
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Takes a token, or says when there will be one. Only for the head of the queue.
    pub(crate) fn take(&self, now: Instant) -> Result<Allowed, Instant> {
        self.bucket.take(self.quota, now)
    }

    /// When the last of so many calls gets its token.
    pub(crate) fn brings(&self, calls: usize, now: Instant) -> Instant {
        self.bucket.brings(calls, self.quota, now)
    }

    /// Takes a token for a newcomer, or says when it would get one.
    fn turn(&self, queue: &Queue, priority: Priority, now: Instant) -> Result<Allowed, Instant> {
        let ahead = queue.ahead_of(priority);
        if ahead == 0
            && let Ok(allowed) = self.take(now)
        {
            return Ok(allowed);
        }
        Err(self.brings(ahead + 1, now))
    }

    /// Gives up a place and wakes the next head if there is a new one.
    pub(crate) fn leave(&self, mut queue: MutexGuard<'_, Queue>, place: Place) {
        let next = queue.leave(place);
        self.publish(queue);
        if let Some(waker) = next {
            waker.wake();
        }
    }

    /// Refuses a call whose turn would come at `turn`.
    pub(crate) fn refusal(&self, turn: Instant, now: Instant) -> RateLimited {
        RateLimited::until(turn, self.quota, now)
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "the lock is released here, before anybody is woken"
    )]
    fn publish(&self, queue: MutexGuard<'_, Queue>) {
        self.waiting.store(queue.len(), Ordering::Relaxed);
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("quota", &self.quota())
            .field("snapshot", &self.snapshot())
            .finish()
    }
}
