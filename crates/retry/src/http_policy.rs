#[cfg(test)]
mod tests;

use std::fmt;

use bartizan_classify::{Fault, FaultKind, RequestClass};
use bartizan_clock::{Clock, Instant};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use crate::{Attempt, Deadline, Policy, Reason, ReplayBody, Verdict, http_verdict};

/// The request header that tells the service which attempt it sees, counted from one.
///
/// Only repeated requests bear it, so its smallest value is 2.
pub const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("x-retry-attempt");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What may be repeated over HTTP.
///
/// | outcome | safe or idempotent request | unsafe request |
/// |---|---|---|
/// | error, nothing [sent](bartizan_classify::FaultKind::NotSent) | retry | retry |
/// | error, timed out or interrupted | retry | – |
/// | error, rejected by an own layer or the caller's fault | – | – |
/// | 429 or 503 with `Retry-After` | retry | retry |
/// | 429 or 503 without | retry | – |
/// | 502, 504 | retry | – |
/// | 500 | only with [`retry_internal_errors`](Self::retry_internal_errors) | – |
/// | everything else | – | – |
///
/// A service that answers 429 or 503 and says when to come back has not done the work, which is
/// why even an unsafe request is repeated then. A 500 mostly is a fault that the same request
/// meets again. Rejections of our own layers are not retried because they would fail at once
/// and cost the budget that real failures need.
///
/// Repeated requests bear their [`Attempt`] as an extension and in the [`RETRY_ATTEMPT`]
/// header, and everything else of the original, an `Idempotency-Key` included. A response that
/// took more than one attempt bears the [`Attempt`] that brought it.
///
/// The body of the request must be cheap to clone: [`bytes::Bytes`] or `Full<Bytes>` for one
/// that is in memory, [`ReplayBody`] for one that streams.
pub struct HttpPolicy<B> {
    class: fn(&Request<B>) -> RequestClass,
    deadline: fn(&Request<B>) -> Option<Instant>,
    replayable: fn(&B) -> bool,
    retry_internal_errors: bool,
    clock: Clock,
}

/// What it is told to go by are functions without captures, because a policy is copied for every
/// call. For more, write a [`Policy`](crate::Policy).
impl<B> HttpPolicy<B> {
    /// A policy for bodies that can always be sent again. Dates in `Retry-After` are compared
    /// with the wall time of `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            class: class_by_method,
            deadline: |request| request.extensions().get().map(|Deadline(at)| *at),
            replayable: |_| true,
            retry_internal_errors: false,
            clock,
        }
    }

    /// How the class of a request is found. Default: [`class_by_method`].
    #[must_use]
    pub fn class_by(mut self, class: fn(&Request<B>) -> RequestClass) -> Self {
        self.class = class;
        self
    }

    /// How the deadline of a request is found. Default: its [`Deadline`] extension.
    #[must_use]
    pub fn deadline_by(mut self, deadline: fn(&Request<B>) -> Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// How a body tells whether it can still be sent again. Default: it always can.
    #[must_use]
    pub fn replayable_by(mut self, replayable: fn(&B) -> bool) -> Self {
        self.replayable = replayable;
        self
    }

    /// Whether a safe or idempotent request that met a 500 is repeated. Default: no.
    #[must_use]
    pub fn retry_internal_errors(mut self, retry: bool) -> Self {
        self.retry_internal_errors = retry;
        self
    }
}

impl<B> HttpPolicy<ReplayBody<B>> {
    /// A policy for bodies that stream, and can be sent again as long as what was read of them fits
    /// their buffer.
    #[must_use]
    pub fn streaming(clock: Clock) -> Self {
        Self::new(clock).replayable_by(ReplayBody::is_replayable)
    }
}

/// The class of a request by its method; an `Idempotency-Key` makes any request idempotent.
///
/// The header is that of [draft-ietf-httpapi-idempotency-key-header][draft]. Whether the service
/// honours it, nobody can see from here; who sends it promises that. An empty key promises
/// nothing.
///
/// [draft]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
pub fn class_by_method<B>(request: &Request<B>) -> RequestClass {
    let class = RequestClass::from(request.method());
    let key = || request.headers().get(IDEMPOTENCY_KEY);
    if !class.may_repeat() && key().is_some_and(|key| !key.is_empty()) {
        RequestClass::Idempotent
    } else {
        class
    }
}

impl<B, ResB, E> Policy<Request<B>, Response<ResB>, E> for HttpPolicy<B>
where
    B: Clone,
    E: Fault,
{
    #[inline]
    fn class(&self, request: &Request<B>) -> RequestClass {
        (self.class)(request)
    }

    #[inline]
    fn replay(&self, request: &Request<B>) -> Option<Request<B>> {
        (self.replayable)(request.body()).then(|| request.clone())
    }

    #[inline]
    fn verdict(&self, class: RequestClass, result: Result<&Response<ResB>, &E>) -> Verdict {
        let internal_error =
            |response: &&Response<ResB>| response.status() == StatusCode::INTERNAL_SERVER_ERROR;
        if self.retry_internal_errors
            && class.may_repeat()
            && result.as_ref().is_ok_and(internal_error)
        {
            return Verdict::Retry {
                after: None,
                reason: Reason::InternalError,
            };
        }
        http_verdict(class, result, || self.clock.wall())
    }

    fn replayable(&self, copy: &Request<B>) -> bool {
        (self.replayable)(copy.body())
    }

    fn deadline(&self, copy: &Request<B>) -> Option<Instant> {
        (self.deadline)(copy)
    }

    fn attempt(&self, request: &mut Request<B>, attempt: u32) {
        request.extensions_mut().insert(Attempt(attempt));
        request
            .headers_mut()
            .insert(RETRY_ATTEMPT, HeaderValue::from(attempt));
    }

    fn keep(&self, result: Result<Response<ResB>, E>) -> Option<Result<Response<ResB>, E>> {
        // An error holds no connection.
        result.is_err().then_some(result)
    }

    fn is_refusal(&self, result: Result<&Response<ResB>, &E>) -> bool {
        result.is_err_and(|error| matches!(error.fault(), FaultKind::Rejected { .. }))
    }

    #[inline]
    fn finish(&self, result: &mut Result<Response<ResB>, E>, attempts: u32) {
        if attempts > 1
            && let Ok(response) = result
        {
            response.extensions_mut().insert(Attempt(attempts));
        }
    }
}

// By hand because the derives would ask the same of the body.
impl<B> Clone for HttpPolicy<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for HttpPolicy<B> {}

impl<B> fmt::Debug for HttpPolicy<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPolicy")
            .field("retry_internal_errors", &self.retry_internal_errors)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
