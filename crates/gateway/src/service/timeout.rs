use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_clock::Clock;
use pin_project::pin_project;
use thiserror::Error;
use tokio::time::Sleep;
use tower_service::Service;

use super::Outbound;

/// Ends one attempt when its own time, or what is left of the whole call's, has passed.
///
/// The retry layer, the wait for a token of the rate limiter and every attempt are bounded by
/// the same deadline of [`Outbound`], so one timer per attempt bounds the whole call.
#[derive(Clone, Debug)]
pub(crate) struct AttemptTimeout<S> {
    inner: S,
    limit: Option<Duration>,
    clock: Clock,
}

impl<S> AttemptTimeout<S> {
    pub(crate) fn new(inner: S, limit: Option<Duration>, clock: Clock) -> Self {
        Self {
            inner,
            limit,
            clock,
        }
    }
}

impl<S: Service<Outbound>> Service<Outbound> for AttemptTimeout<S> {
    type Response = S::Response;
    type Error = TimeoutError<S::Error>;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(TimeoutError::Inner)
    }

    fn call(&mut self, request: Outbound) -> Self::Future {
        let left = request.deadline() - self.clock.now();
        let limit = self.limit.filter(|limit| *limit < left);
        TimeoutFuture {
            inner: self.inner.call(request),
            sleep: self.clock.sleep(limit.unwrap_or(left)),
            limit,
        }
    }
}

#[pin_project]
#[derive(Debug)]
pub(crate) struct TimeoutFuture<F> {
    #[pin]
    inner: F,
    #[pin]
    sleep: Sleep,
    limit: Option<Duration>,
}

impl<F, T, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, TimeoutError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(result.map_err(TimeoutError::Inner));
        }
        ready!(this.sleep.poll(cx));
        Poll::Ready(Err(TimeoutError::Elapsed(*this.limit)))
    }
}

#[derive(Debug, Error)]
pub(crate) enum TimeoutError<E> {
    /// The attempt's own limit, if that is what ended it and not the call's deadline.
    #[error("no answer in time")]
    Elapsed(Option<Duration>),
    #[error(transparent)]
    Inner(E),
}

impl<E: Fault> Fault for TimeoutError<E> {
    fn fault(&self) -> FaultKind {
        match self {
            Self::Elapsed(_) => FaultKind::TimedOut,
            Self::Inner(error) => error.fault(),
        }
    }
}
