use std::{
    mem,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    DeadlineOf, Error, Limit, NoDeadline, PriorityOf, RateLimitLayer, RateLimiter, ResponseFuture,
    SamePriority, acquire::State, future,
};

/// A service behind a limiter, made by a [`RateLimitLayer`].
///
/// It is ready when the inner service is: limiting happens in `call`. A call that waits keeps
/// the instance of the inner service that was made ready for it, and whatever that instance
/// has reserved; the inner service is cloned only then. After a refusal this instance keeps what
/// was reserved, for its next call.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit<S, L = RateLimiter, P = SamePriority, D = NoDeadline> {
    inner: S,
    layer: RateLimitLayer<L, P, D>,
}

impl<S, L, P, D> RateLimit<S, L, P, D> {
    pub(crate) const fn new(inner: S, layer: RateLimitLayer<L, P, D>) -> Self {
        Self { inner, layer }
    }

    /// The inner service.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// What grants calls, such as the limiter.
    pub const fn limit(&self) -> &L {
        self.layer.limit()
    }
}

impl<S, L, P, D, Req> Service<Req> for RateLimit<S, L, P, D>
where
    S: Service<Req> + Clone,
    L: Limit<Req>,
    P: PriorityOf<Req>,
    D: DeadlineOf<Req>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    // Always inlined, as a layer's call has one caller, the layer outside: what is handed over
    // through memory is copied at every layer.
    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let acquire = self.layer.acquire(&request);
        match acquire.0 {
            State::Decided(Ok(_)) => {
                #[expect(
                    clippy::mem_forget,
                    reason = "a decision has nothing to drop, which the compiler finds out too \
                              late: dropped after the call, it costs a copy of the future"
                )]
                mem::forget(acquire);
                ResponseFuture {
                    response: Some(self.inner.call(request)),
                    state: future::State::Calling,
                }
            }
            State::Decided(Err(limited)) => ResponseFuture {
                response: None,
                state: future::State::Refused { limited },
            },
            State::Queued(_) | State::Done => {
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let call = future::WaitingCall::boxed(acquire, ready, request);
                ResponseFuture {
                    response: None,
                    state: future::State::Waiting { call },
                }
            }
        }
    }
}
