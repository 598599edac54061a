//! The least that a layer of each kind can cost on this machine: the same readings of the clock
//! and the same atomic operations, written by hand for the path on which nothing goes wrong, and
//! for nothing else.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use bartizan_clock::Clock;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use tower::Service;

/// A token bucket: one reading of the clock, one compare-and-swap.
#[derive(Clone)]
pub(crate) struct Bucket {
    full_at: Arc<AtomicU64>,
    clock: Clock,
}

impl Bucket {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            full_at: Arc::default(),
            clock,
        }
    }

    #[inline]
    pub(crate) fn take(&self) {
        let now = self.clock.now().as_nanos();
        let step = |full_at: u64| Some(full_at.max(now) + 1);
        let taken = self.full_at.fetch_update(Relaxed, Relaxed, step);
        assert!(taken.is_ok());
    }
}

/// A breaker: one reading of the coarse clock, one compare-and-swap. No reference is counted.
pub(crate) struct Breaker {
    state: AtomicU64,
    buckets: [AtomicU64; 16],
    clock: Clock,
}

impl Breaker {
    pub(crate) fn new(clock: Clock) -> &'static Self {
        Box::leak(Box::new(Self {
            state: AtomicU64::new(0),
            buckets: Default::default(),
            clock,
        }))
    }

    #[inline]
    fn admit(&'static self) -> &'static Self {
        assert_eq!(self.state.load(Relaxed), 0);
        self
    }

    #[inline]
    fn succeed(&self) {
        let tick = self.clock.coarse_nanos() >> 32;
        let bucket = &self.buckets[tick as usize % 16];
        let counted = bucket.fetch_update(Relaxed, Relaxed, |calls| Some(calls + 1));
        assert!(counted.is_ok());
    }
}

/// A balancer by turns: a snapshot, a turn, a counted reference to what is busy, and a count of
/// the calls ever made.
pub(crate) struct Fleet {
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Endpoint {
    begun: AtomicU64,
}

impl Fleet {
    pub(crate) fn of_three() -> Arc<Self> {
        let endpoints = (0..3).map(|_| Arc::default()).collect();
        Arc::new(Self {
            endpoints: ArcSwap::from_pointee(endpoints),
            turn: AtomicUsize::new(0),
        })
    }

    #[inline]
    fn pick(&self) -> Arc<Endpoint> {
        let endpoints = self.endpoints.load();
        let turn = self.turn.fetch_add(1, Relaxed) % endpoints.len();
        let endpoint = Arc::clone(&endpoints[turn]);
        endpoint.begun.fetch_add(1, Relaxed);
        endpoint
    }
}

/// One of them around a service, or all.
#[derive(Clone)]
pub(crate) struct Floor<S, K> {
    pub(crate) inner: S,
    pub(crate) kind: K,
}

/// What a call of a [`Floor`] does before and after the service inside.
pub(crate) trait Kind<Req> {
    type Held: Unpin;
    fn before(&mut self, request: &mut Req) -> Self::Held;
    fn after(held: &mut Self::Held);
}

impl<Req> Kind<Req> for Bucket {
    type Held = ();

    #[inline]
    fn before(&mut self, _: &mut Req) {
        self.take();
    }

    #[inline]
    fn after((): &mut ()) {}
}

impl<Req> Kind<Req> for &'static Breaker {
    type Held = Self;

    #[inline]
    fn before(&mut self, _: &mut Req) -> Self {
        self.admit()
    }

    #[inline]
    fn after(breaker: &mut Self) {
        breaker.succeed();
    }
}

/// By its own type, because a reference count is not the shape of what is held.
#[derive(Clone)]
pub(crate) struct Turns(pub(crate) Arc<Fleet>);

pub(crate) struct Busy {
    _endpoint: Arc<Endpoint>,
}

impl<Req> Kind<Req> for Turns {
    type Held = Busy;

    #[inline]
    fn before(&mut self, _: &mut Req) -> Busy {
        Busy {
            _endpoint: self.0.pick(),
        }
    }

    #[inline]
    fn after(_: &mut Busy) {}
}

/// The stack of five in one piece, with the copy of the request that a retry needs.
#[derive(Clone)]
pub(crate) struct Five {
    pub(crate) paid_in: Arc<AtomicU64>,
    pub(crate) bucket: Bucket,
    pub(crate) breaker: &'static Breaker,
    pub(crate) header: HeaderValue,
    pub(crate) fleet: Arc<Fleet>,
}

pub(crate) struct FiveHeld {
    _copy: Request<()>,
    breaker: &'static Breaker,
    _busy: Arc<Endpoint>,
}

impl Kind<Request<()>> for Five {
    type Held = FiveHeld;

    #[inline]
    fn before(&mut self, request: &mut Request<()>) -> FiveHeld {
        assert_eq!(self.paid_in.load(Relaxed), 0);
        let copy = request.clone();
        self.bucket.take();
        let breaker = self.breaker.admit();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.header.clone());
        FiveHeld {
            _copy: copy,
            breaker,
            _busy: self.fleet.pick(),
        }
    }

    #[inline]
    fn after(held: &mut FiveHeld) {
        held.breaker.succeed();
    }
}

impl<S, K, Req> Service<Req> for Floor<S, K>
where
    S: Service<Req, Error = Infallible>,
    S::Future: Unpin,
    K: Kind<Req>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = FloorFuture<S::Future, K, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let held = self.kind.before(&mut request);
        FloorFuture {
            held,
            inner: self.inner.call(request),
        }
    }
}

pub(crate) struct FloorFuture<F, K: Kind<Req>, Req> {
    held: K::Held,
    inner: F,
}

impl<F, K, Req> Future for FloorFuture<F, K, Req>
where
    F: Future + Unpin,
    K: Kind<Req>,
{
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = Pin::new(&mut self.inner).poll(cx);
        if polled.is_ready() {
            K::after(&mut self.held);
        }
        polled
    }
}
