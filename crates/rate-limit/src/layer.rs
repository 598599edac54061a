use std::{borrow::Borrow, hash::Hash};

use tower_layer::Layer;

use crate::{
    Acquire, ByKey, ByKeyRef, DeadlineOf, KeyedRateLimiter, Limit, NoDeadline, Patience,
    PriorityOf, RateLimit, RateLimiter, SamePriority, Waiting,
};

/// Puts a limiter in front of services.
///
/// The limiter belongs to the layer: its clones and all services it makes share it. Unless
/// [`wait`](RateLimitLayer::wait) is set, a call that finds no token is refused.
///
/// ```
/// use bartizan_clock::Clock;
/// use bartizan_rate_limit::{Priority, Quota, RateLimitLayer, RateLimiter, Waiting};
/// use std::time::Duration;
///
/// struct Request { interactive: bool }
///
/// let quota = Quota::per_minute(100).burst(20).build()?;
/// let layer = RateLimitLayer::new(RateLimiter::new(quota, Clock::default()))
///     .wait(Waiting { max_wait: Duration::from_secs(5), max_waiting: 100 })
///     .priority(|request: &Request| match request.interactive {
///         true => Priority::High,
///         false => Priority::Normal,
///     });
/// # let _ = layer;
/// # Ok::<(), bartizan_rate_limit::InvalidQuota>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RateLimitLayer<L = RateLimiter, P = SamePriority, D = NoDeadline> {
    limit: L,
    waiting: Option<Waiting>,
    priority: P,
    deadline: D,
}

impl RateLimitLayer<RateLimiter> {
    /// One bucket for all calls.
    #[must_use]
    pub const fn new(limiter: RateLimiter) -> Self {
        Self::with(limiter)
    }
}

impl<K, F> RateLimitLayer<ByKey<K, F>> {
    /// A bucket for each key that `key` makes of a request.
    ///
    /// `key` is called for every request, so the key should be cheap to make: a number, an
    /// `Arc`. For strings see [`keyed_by_ref`](RateLimitLayer::keyed_by_ref).
    ///
    /// ```
    /// # use bartizan_clock::Clock;
    /// # use bartizan_rate_limit::{KeyedRateLimiter, Quota, RateLimitLayer};
    /// struct Request { tenant: u64 }
    ///
    /// let limiter = KeyedRateLimiter::new(Quota::default(), 1_000, Clock::default());
    /// let layer = RateLimitLayer::keyed(limiter, |request: &Request| request.tenant);
    /// # let _ = layer;
    /// ```
    pub const fn keyed<Req>(limiter: KeyedRateLimiter<K>, key: F) -> Self
    where
        F: Fn(&Req) -> K,
        K: Clone + Eq + Hash,
    {
        Self::with(ByKey::new(limiter, key))
    }
}

impl<K, Q: ?Sized, F> RateLimitLayer<ByKeyRef<K, Q, F>> {
    /// A bucket for each key to which `key` points in a request; a known key is not copied.
    ///
    /// ```
    /// # use bartizan_clock::Clock;
    /// # use bartizan_rate_limit::{KeyedRateLimiter, Quota, RateLimitLayer};
    /// struct Request { caller: String }
    ///
    /// let limiter = KeyedRateLimiter::<String>::new(Quota::default(), 1_000, Clock::default());
    /// let layer = RateLimitLayer::keyed_by_ref(limiter, |request: &Request| &*request.caller);
    /// # let _ = layer;
    /// ```
    pub const fn keyed_by_ref<Req>(limiter: KeyedRateLimiter<K>, key: F) -> Self
    where
        F: Fn(&Req) -> &Q,
        K: Borrow<Q> + Eq + Hash,
        Q: Eq + Hash + ToOwned<Owned = K>,
    {
        Self::with(ByKeyRef::new(limiter, key))
    }
}

impl<L> RateLimitLayer<L> {
    /// Any [`Limit`].
    #[must_use]
    pub const fn with(limit: L) -> Self {
        Self {
            limit,
            waiting: None,
            priority: SamePriority,
            deadline: NoDeadline,
        }
    }
}

impl<L, P, D> RateLimitLayer<L, P, D> {
    /// What grants calls, such as the limiter.
    pub const fn limit(&self) -> &L {
        &self.limit
    }

    /// Has calls that find no token wait for one, within these bounds. Default: they are
    /// refused.
    #[must_use]
    pub fn wait(mut self, waiting: Waiting) -> Self {
        self.waiting = Some(waiting);
        self
    }

    /// Tells who goes first when calls wait: a [`PriorityOf`], such as a closure from `&Req` to
    /// [`Priority`](crate::Priority). Default: all the same.
    pub fn priority<P2>(self, priority: P2) -> RateLimitLayer<L, P2, D> {
        RateLimitLayer {
            limit: self.limit,
            waiting: self.waiting,
            priority,
            deadline: self.deadline,
        }
    }

    /// Tells until when a call may wait, besides [`Waiting::max_wait`]: a [`DeadlineOf`], such as a
    /// closure from `&Req` to `Option<Instant>`. Default: no deadline.
    pub fn deadline<D2>(self, deadline: D2) -> RateLimitLayer<L, P, D2> {
        RateLimitLayer {
            limit: self.limit,
            waiting: self.waiting,
            priority: self.priority,
            deadline,
        }
    }

    /// Takes a token for `request`, as the layer was told to.
    #[inline(always)]
    pub(crate) fn acquire<Req>(&self, request: &Req) -> Acquire
    where
        L: Limit<Req>,
        P: PriorityOf<Req>,
        D: DeadlineOf<Req>,
    {
        self.limit.acquire(request, || Patience {
            waiting: self.waiting,
            priority: self.priority.priority_of(request),
            deadline: self.deadline.deadline_of(request),
        })
    }
}

impl<S, L, P, D> Layer<S> for RateLimitLayer<L, P, D>
where
    L: Clone,
    P: Clone,
    D: Clone,
{
    type Service = RateLimit<S, L, P, D>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.clone())
    }
}
