use std::sync::Arc;

use bartizan_classify::RequestClass;
use bartizan_clock::Instant;

use crate::{GiveUp, RetryEvent, Verdict};

/// Decides what is sent again, and hears about it.
///
/// A policy is cloned for every call, so it is either a few plain values or one `Arc`. It keeps
/// nothing about a single request; the layer does that.
///
/// Only [`class`](Self::class), [`replay`](Self::replay) and [`verdict`](Self::verdict) must be
/// written. When retrying is off ([`max_attempts`](crate::RetryConfig::max_attempts) is one), the
/// layer calls nothing but [`finish`](Self::finish).
pub trait Policy<Req, Res, E> {
    /// What the request may suffer. Asked once, before the first attempt.
    fn class(&self, request: &Req) -> RequestClass;

    /// A copy of the request to send later, or `None` if there can be none.
    ///
    /// Asked before every attempt that may be followed by another, so it must be cheap: a body
    /// that is counted by reference, not one that is copied.
    fn replay(&self, request: &Req) -> Option<Req>;

    /// Whether an outcome is final for a request of this class.
    fn verdict(&self, class: RequestClass, result: Result<&Res, &E>) -> Verdict;

    /// Whether a copy that [`replay`](Self::replay) made can still be sent, now that the attempt
    /// before has failed. Yes, unless said otherwise; see [`ReplayBody`](crate::ReplayBody).
    fn replayable(&self, _copy: &Req) -> bool {
        true
    }

    /// When the caller stops waiting. An absolute time, read from the copy when a retry comes
    /// into question; no further attempt begins at it or after it. A first attempt that comes too
    /// late is for a layer outside to refuse. None, unless said otherwise.
    fn deadline(&self, _copy: &Req) -> Option<Instant> {
        None
    }

    /// Marks a repeated request with the number of its attempt, which is at least 2.
    fn attempt(&self, _request: &mut Req, _attempt: u32) {}

    /// An attempt after the first is about to be sent, and its delay over. A layer inside may still
    /// [refuse](Self::is_refusal) it; how many attempts were made, [`finish`](Self::finish) tells.
    fn on_retry(&self, _event: &RetryEvent) {}

    /// What to keep of an outcome that called for a retry, now that the retry is sent: what the
    /// caller gets if that is [refused](Self::is_refusal). Nothing, unless said otherwise, as a
    /// response may hold a connection that the retry could use.
    fn keep(&self, _result: Result<Res, E>) -> Option<Result<Res, E>> {
        None
    }

    /// Whether the outcome of a retry says only that it was not sent: a layer inside, such as a
    /// rate limit or a circuit breaker, refused it. The caller learns more from the outcome before,
    /// and what the retry cost goes back to the budget. Never, unless said otherwise.
    fn is_refusal(&self, _result: Result<&Res, &E>) -> bool {
        false
    }

    /// An outcome that called for a retry goes to the caller.
    fn on_give_up(&self, _why: GiveUp) {}

    /// The outcome goes to the caller after so many attempts, one or more.
    ///
    /// Not called when the caller goes away first.
    fn finish(&self, _result: &mut Result<Res, E>, _attempts: u32) {}
}

impl<P, Req, Res, E> Policy<Req, Res, E> for Arc<P>
where
    P: Policy<Req, Res, E> + ?Sized,
{
    fn class(&self, request: &Req) -> RequestClass {
        (**self).class(request)
    }

    fn replay(&self, request: &Req) -> Option<Req> {
        (**self).replay(request)
    }

    fn verdict(&self, class: RequestClass, result: Result<&Res, &E>) -> Verdict {
        (**self).verdict(class, result)
    }

    fn replayable(&self, copy: &Req) -> bool {
        (**self).replayable(copy)
    }

    fn deadline(&self, copy: &Req) -> Option<Instant> {
        (**self).deadline(copy)
    }

    fn attempt(&self, request: &mut Req, attempt: u32) {
        (**self).attempt(request, attempt);
    }

    fn on_retry(&self, event: &RetryEvent) {
        (**self).on_retry(event);
    }

    fn keep(&self, result: Result<Res, E>) -> Option<Result<Res, E>> {
        (**self).keep(result)
    }

    fn is_refusal(&self, result: Result<&Res, &E>) -> bool {
        (**self).is_refusal(result)
    }

    fn on_give_up(&self, why: GiveUp) {
        (**self).on_give_up(why);
    }

    fn finish(&self, result: &mut Result<Res, E>, attempts: u32) {
        (**self).finish(result, attempts);
    }
}
