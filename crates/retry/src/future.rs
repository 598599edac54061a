use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower_service::Service;

use crate::{
    GiveUp, Policy, RetryEvent, Verdict,
    plan::Plan,
    waiting::{Waiting, WaitingProjection},
};

/// The response of a [`Retry`](crate::Retry) service.
///
/// The first attempt runs in place. When an outcome calls for a retry, its attempt's future is
/// dropped, and so gives back what it held, before the delay begins; the outcome itself is kept
/// until the next attempt is sent, because it is what the caller gets if none can be.
///
/// # Readiness
///
/// Each attempt after the first needs the readiness of a clone of the inner service. A service
/// that is not ready when the delay is over has more work than it wants, and a retry is the
/// least of it: the retry is given up ([`GiveUp::NotReady`]), as linkerd does. As some
/// clones must be polled once before they can tell, the service is asked a second time after
/// the task has yielded, and only then counts as not ready. A readiness *error* gives up as well;
/// the caller gets the outcome of the last attempt that was made.
///
/// # Cancellation
///
/// Dropping the future drops the attempt in flight or ends the wait. A retry that was withdrawn
/// from the budget and not sent goes back there.
///
/// # Panics
///
/// When polled after it has completed.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<P, S, Req>
where
    S: Service<Req>,
{
    pub(crate) policy: P,
    pub(crate) plan: Plan<S, Req>,
    pub(crate) attempts: u32,
    #[pin]
    pub(crate) state: State<S::Future, S::Response, S::Error>,
}

#[pin_project(project = StateProjection)]
pub(crate) enum State<F, Res, E> {
    Called(#[pin] F),
    // Boxed because only a retry needs it, and it is larger than most first attempts.
    Waiting(Pin<Box<Waiting<Res, E>>>),
}

impl<P, S, Req> Future for ResponseFuture<P, S, Req>
where
    P: Policy<Req, S::Response, S::Error>,
    S: Service<Req> + Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Called(future) => {
                    let result = ready!(future.poll(cx));
                    let Some(class) = this.plan.class else {
                        return finish(this.policy, result, *this.attempts);
                    };
                    let verdict = this.policy.verdict(class, result.as_ref());
                    let Verdict::Retry { after, reason } = verdict else {
                        return finish(this.policy, result, *this.attempts);
                    };
                    match this.plan.prepare(this.policy, *this.attempts, after) {
                        Ok((clock, delay, withdrawal)) => State::Waiting(Box::pin(Waiting {
                            sleep: clock.sleep(delay),
                            result: Some(result),
                            withdrawal,
                            delay,
                            reason,
                            unready: false,
                        })),
                        Err(why) => {
                            this.policy.on_give_up(why);
                            return finish(this.policy, result, *this.attempts);
                        }
                    }
                }
                StateProjection::Waiting(waiting) => {
                    let mut waiting = waiting.as_mut().project();
                    ready!(waiting.sleep.as_mut().poll(cx));
                    match ready!(attempt(
                        this.policy,
                        this.plan,
                        *this.attempts,
                        &mut waiting,
                        cx
                    )) {
                        Ok(future) => {
                            *this.attempts += 1;
                            State::Called(future)
                        }
                        Err(why) => {
                            let result = waiting.result.take().expect("polled after completion");
                            // The withdrawal goes back and the service's clone goes away now,
                            // not when the caller gets round to dropping this future.
                            waiting.withdrawal.refund();
                            this.plan.abandon();
                            this.policy.on_give_up(why);
                            return finish(this.policy, result, *this.attempts);
                        }
                    }
                }
            };
            this.state.set(next);
        }
    }
}

#[inline]
fn finish<P, Req, Res, E>(
    policy: &P,
    mut result: Result<Res, E>,
    attempts: u32,
) -> Poll<Result<Res, E>>
where
    P: Policy<Req, Res, E>,
{
    policy.finish(&mut result, attempts);
    Poll::Ready(result)
}

/// Sends the next attempt if the service is ready for it and there is time left.
fn attempt<P, S, Req>(
    policy: &P,
    plan: &mut Plan<S, Req>,
    attempts: u32,
    waiting: &mut WaitingProjection<'_, S::Response, S::Error>,
    cx: &mut Context<'_>,
) -> Poll<Result<S::Future, GiveUp>>
where
    P: Policy<Req, S::Response, S::Error>,
    S: Service<Req> + Clone,
{
    let Some(service) = plan.spare.service() else {
        // Already given up; whoever polls again is told so by the missing result.
        return Poll::Ready(Err(GiveUp::NotReplayable));
    };
    match service.poll_ready(cx) {
        Poll::Pending if !*waiting.unready => {
            *waiting.unready = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Pending | Poll::Ready(Err(_)) => return Poll::Ready(Err(GiveUp::NotReady)),
        Poll::Ready(Ok(())) => {}
    }
    let attempt = attempts + 1;
    let request = match plan.request(policy, attempt) {
        Ok(request) => request,
        Err(why) => return Poll::Ready(Err(why)),
    };
    policy.on_retry(&RetryEvent {
        attempt,
        delay: *waiting.delay,
        reason: *waiting.reason,
    });
    waiting.withdrawal.spend();
    // Before the call, so that a connection held by the old response can serve the new request.
    drop(waiting.result.take());
    match plan.spare.service() {
        Some(service) => Poll::Ready(Ok(service.call(request))),
        None => Poll::Ready(Err(GiveUp::NotReplayable)),
    }
}

impl<P, S, Req> fmt::Debug for ResponseFuture<P, S, Req>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
