//! What the layers are put around, and what they are told.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    num::NonZeroU32,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_balance::{Balancer, Strategy};
use bartizan_classify::RequestClass;
use bartizan_clock::Clock;
use bartizan_discovery::Instance;
use bartizan_rate_limit::Quota;
use bartizan_retry::{Reason, RetryBudget, Verdict};
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use tower::{
    Service,
    retry::{Policy, budget::Budget},
};

/// As many keys as a busy gateway has callers. They do not fit into the first-level cache.
pub(crate) const KEYS: usize = 10_000;

/// Room for all of them.
pub(crate) const MAX_KEYS: usize = 65_536;

/// The service that does nothing.
#[derive(Clone, Copy)]
pub(crate) struct Echo;

impl<Req> Service<Req> for Echo {
    type Response = Req;
    type Error = Infallible;
    type Future = Ready<Result<Req, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ready(Ok(request))
    }
}

/// The HTTP service that drops its request and says 200.
#[derive(Clone, Copy)]
pub(crate) struct Origin;

impl Service<Request<()>> for Origin {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        drop(request);
        ready(Ok(Response::new(())))
    }
}

/// The floor of all that injects a header: the insertion and nothing else.
#[derive(Clone)]
pub(crate) struct Insert<S> {
    pub(crate) inner: S,
    pub(crate) value: HeaderValue,
}

impl<S: Service<Request<()>>> Service<Request<()>> for Insert<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<()>) -> S::Future {
        request
            .headers_mut()
            .insert(AUTHORIZATION, self.value.clone());
        self.inner.call(request)
    }
}

/// Retries errors, of which there are none: what everybody's retry layer is given.
#[derive(Clone)]
pub(crate) struct OnError<B>(pub(crate) B);

impl<Req: Clone, Res, E, B: Budget> Policy<Req, Res, E> for OnError<Option<std::sync::Arc<B>>> {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        match (result, &self.0) {
            (Ok(_), Some(budget)) => {
                budget.deposit();
                None
            }
            (Ok(_), None) => None,
            (Err(_), budget) => budget
                .as_ref()
                .is_none_or(|budget| budget.withdraw())
                .then(|| ready(())),
        }
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

impl<Req: Clone, Res, E> bartizan_retry::Policy<Req, Res, E> for OnError<()> {
    fn class(&self, _: &Req) -> RequestClass {
        RequestClass::Idempotent
    }

    fn replay(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    fn verdict(&self, _: RequestClass, result: Result<&Res, &E>) -> Verdict {
        match result {
            Ok(_) => Verdict::Done,
            Err(_) => Verdict::Retry {
                after: None,
                reason: Reason::Other,
            },
        }
    }
}

/// A bucket that no run of the benches empties.
pub(crate) fn quota() -> Quota {
    Quota::per_second(1_000_000)
        .burst(u32::MAX)
        .build()
        .expect("a valid quota")
}

/// The same for governor.
pub(crate) fn governor_quota() -> governor::Quota {
    governor::Quota::per_second(NonZeroU32::new(1_000_000).expect("not zero"))
        .allow_burst(NonZeroU32::MAX)
}

/// A budget as it is in a service that is well: full, and only read.
pub(crate) fn full_budget(clock: Clock) -> RetryBudget {
    let budget = RetryBudget::with_defaults(clock);
    while budget.balance() < f64::from(RetryBudget::DEFAULT_CAP) {
        budget.deposit();
    }
    budget
}

/// A budget that is never full, as in the first 500 calls of a service or after failures: every
/// call pays in.
pub(crate) fn filling_budget(clock: Clock) -> RetryBudget {
    RetryBudget::new(0.2, 10, u32::MAX, clock).expect("a valid budget")
}

/// A balancer over `count` instances, all of them the same service.
pub(crate) fn balancer<T>(strategy: Strategy, count: usize, service: T) -> Balancer<T>
where
    T: Clone + Send + Sync + 'static,
{
    let instances: Vec<_> = (0..count)
        .map(|n| Instance::new(format!("http://10.0.{}.{}", n / 256, n % 256)).expect("a URI"))
        .collect();
    Balancer::builder(strategy, Clock::default())
        .build(&instances, move |_| service.clone())
        .expect("a valid balancer")
}

/// Names of callers.
pub(crate) fn names() -> &'static [String] {
    Vec::leak((0..KEYS).map(|n| format!("caller-{n:05}")).collect())
}

/// One of [`KEYS`] keys, in an order that no cache foresees.
#[inline]
pub(crate) fn scattered(n: usize) -> usize {
    ((n.wrapping_mul(0x9e37_79b9) & 0xffff_ffff) * KEYS) >> 32
}

/// Long enough to outlive every run.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);
