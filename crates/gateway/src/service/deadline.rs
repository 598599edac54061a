use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_clock::Clock;
use pin_project::pin_project;
use thiserror::Error;
use tokio::time::Sleep;
use tower_service::Service;

use super::Outbound;

/// Ends a call at its deadline while it is nowhere yet: waiting for an access token.
///
/// Once an attempt is at an instance, the [`Endpoint`](super::Endpoint) has a timer of its own
/// for the same deadline, whose end the balancer and the breaker hear of. So the usual call
/// pays for one timer, and this layer only looks whether that one is there.
#[derive(Clone, Debug)]
pub(crate) struct Deadline<S> {
    inner: S,
    clock: Clock,
}

impl<S> Deadline<S> {
    pub(crate) fn new(inner: S, clock: Clock) -> Self {
        Self { inner, clock }
    }
}

impl<S: Service<Outbound>> Service<Outbound> for Deadline<S> {
    type Response = S::Response;
    type Error = DeadlineError<S::Error>;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(DeadlineError::Inner)
    }

    fn call(&mut self, outbound: Outbound) -> Self::Future {
        DeadlineFuture {
            inner: self.inner.call(outbound.clone()),
            outbound,
            clock: self.clock,
            sleep: None,
        }
    }
}

#[pin_project]
#[derive(Debug)]
pub(crate) struct DeadlineFuture<F> {
    #[pin]
    inner: F,
    outbound: Outbound,
    clock: Clock,
    // Boxed because almost no call needs it, and it would double the future.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<F, T, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, DeadlineError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(result.map_err(DeadlineError::Inner));
        }
        if this.outbound.is_timed() {
            *this.sleep = None;
            return Poll::Pending;
        }
        let sleep = this
            .sleep
            .get_or_insert_with(|| Box::pin(this.clock.sleep_until(this.outbound.deadline())));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(DeadlineError::Passed))
    }
}

#[derive(Debug, Error)]
pub(crate) enum DeadlineError<E> {
    #[error("no access token in time")]
    Passed,
    #[error(transparent)]
    Inner(E),
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use bartizan_clock::Clock;
    use bartizan_testkit::Probe;
    use tower::ServiceExt;

    use super::*;
    use crate::service::outbound::tests::outbound;

    fn within(seconds: u64) -> Outbound {
        outbound(Clock::tokio().now() + Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_nowhere_ends_at_its_deadline() {
        let clock = Clock::tokio();
        let start = clock.now();
        let nowhere = Probe::new(|_: Outbound| std::future::pending::<Result<(), Infallible>>());
        let state = nowhere.state();
        let result = Deadline::new(nowhere, clock).oneshot(within(3)).await;
        assert!(matches!(result, Err(DeadlineError::Passed)));
        assert_eq!((clock.now() - start).as_secs(), 3);
        assert_eq!(state.cancelled(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_at_an_instance_is_left_to_its_own_timer() {
        let at_an_instance = Probe::new(|outbound: Outbound| async move {
            outbound.set_timed(true);
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok::<_, Infallible>("late")
        });
        let result = Deadline::new(at_an_instance, Clock::tokio())
            .oneshot(within(3))
            .await;
        assert!(matches!(result, Ok("late")));
    }
}
