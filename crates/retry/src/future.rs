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
    spare::Spare,
    waiting::{Waiting, WaitingProjection},
};

/// The response of a [`Retry`](crate::Retry) service.
///
/// The first attempt runs in place. When an outcome calls for a retry, its attempt's future is
/// dropped, and so gives back what it held, before the delay begins; the outcome itself is kept
/// until the next attempt is sent, because it is what the caller gets if none can be, and what
/// the policy [keeps](Policy::keep) of it until the outcome of that, for it may be refused inside.
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
/// from the budget and not sent goes back there; one in flight counts as sent.
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
    /// The attempt in flight.
    #[pin]
    pub(crate) attempt: Option<S::Future>,
    /// What to send next; `None` on the last attempt, or when the policy made no further copy.
    pub(crate) copy: Option<Req>,
    pub(crate) spare: Spare<S>,
    pub(crate) plan: Plan,
    pub(crate) policy: P,
    pub(crate) attempts: u32,
    /// The retry that will follow.
    pub(crate) waiting: Option<BoxedWaiting<S::Response, S::Error>>,
}

/// Boxed because only a retry needs it, and it is larger than most first attempts.
type BoxedWaiting<Res, E> = Pin<Box<Waiting<Res, E>>>;

impl<P, S, Req> Future for ResponseFuture<P, S, Req>
where
    P: Policy<Req, S::Response, S::Error>,
    S: Service<Req> + Clone,
{
    type Output = Result<S::Response, S::Error>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(attempt) = this.attempt.as_mut().as_pin_mut() {
                let result = ready!(attempt.poll(cx));
                let mut sent = *this.attempts;
                if sent > 1 && this.policy.is_refusal(result.as_ref()) {
                    sent -= 1;
                    this.plan.refund();
                    let kept = this.waiting.as_mut();
                    if let Some(before) = kept.and_then(|it| it.as_mut().project().result.take()) {
                        this.policy.on_give_up(GiveUp::Refused);
                        return finish(this.policy, before, sent);
                    }
                }
                let Some(class) = this.plan.class else {
                    return finish(this.policy, result, sent);
                };
                let verdict = this.policy.verdict(class, result.as_ref());
                let Verdict::Retry { after, reason } = verdict else {
                    return finish(this.policy, result, sent);
                };
                let copy = this.copy.as_ref();
                match this.plan.prepare(this.policy, copy, *this.attempts, after) {
                    Ok((clock, delay, withdrawal)) => {
                        this.attempt.set(None);
                        *this.waiting = Some(Box::pin(Waiting {
                            sleep: clock.sleep(delay),
                            result: Some(result),
                            withdrawal,
                            delay,
                            reason,
                            unready: false,
                        }));
                    }
                    Err(why) => {
                        this.policy.on_give_up(why);
                        return finish(this.policy, result, sent);
                    }
                }
            }
            let waiting = this.waiting.as_mut().expect("polled after completion");
            let mut waiting = waiting.as_mut().project();
            ready!(waiting.sleep.as_mut().poll(cx));
            let next = Next {
                policy: this.policy,
                plan: this.plan,
                copy: this.copy,
                spare: this.spare,
                attempt: *this.attempts + 1,
            };
            match ready!(next.poll_send(&mut waiting, cx)) {
                Ok(attempt) => {
                    *this.attempts += 1;
                    if waiting.result.is_none() {
                        *this.waiting = None;
                    }
                    this.attempt.set(Some(attempt));
                }
                Err(why) => {
                    let result = waiting.result.take().expect("polled after completion");
                    // The withdrawal goes back and the service's clone goes away now, not when
                    // the caller gets round to dropping this future.
                    *this.waiting = None;
                    *this.copy = None;
                    *this.spare = Spare::None;
                    this.policy.on_give_up(why);
                    return finish(this.policy, result, *this.attempts);
                }
            }
        }
    }
}

#[inline(always)]
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

/// What the next attempt is made from.
struct Next<'a, P, S, Req> {
    policy: &'a P,
    plan: &'a Plan,
    copy: &'a mut Option<Req>,
    spare: &'a mut Spare<S>,
    attempt: u32,
}

impl<P, S, Req> Next<'_, P, S, Req>
where
    P: Policy<Req, S::Response, S::Error>,
    S: Service<Req> + Clone,
{
    /// Sends the attempt if the service is ready for it and there is time left.
    fn poll_send(
        self,
        waiting: &mut WaitingProjection<'_, S::Response, S::Error>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Future, GiveUp>> {
        let Some(service) = self.spare.service() else {
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
        let request = match self.plan.request(self.policy, self.copy, self.attempt) {
            Ok(request) => request,
            Err(why) => return Poll::Ready(Err(why)),
        };
        self.policy.on_retry(&RetryEvent {
            attempt: self.attempt,
            delay: *waiting.delay,
            reason: *waiting.reason,
        });
        waiting.withdrawal.spend();
        // Before the call, so that a connection held by the old response can serve the new
        // request.
        let before = waiting.result.take();
        *waiting.result = before.and_then(|before| self.policy.keep(before));
        Poll::Ready(Ok(service.call(request)))
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
