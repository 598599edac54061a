use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_classify::Classify;
use tower_service::Service;

use crate::{CircuitBreaker, CircuitOpen, Error, Permit, ResponseFuture, future::Entry};

/// A service whose calls are admitted by a [`CircuitBreaker`].
///
/// # Readiness
///
/// While the breaker would reject a call, `poll_ready` says yes without asking the inner
/// service: a service that is broken is often not ready either, and waiting for it is what a
/// breaker spares its callers. Such a readiness is good for a rejection only. Should the
/// circuit admit calls again between that `poll_ready` and the `call`, the call is turned away
/// with a `retry_after` of zero, because the inner service has not been made ready; the next
/// one will be admitted. What the inner service reserved for a call that is turned away stays
/// with this instance, for its next call.
///
/// A caller that already waits for the inner service when the circuit opens goes on waiting
/// until it is woken.
///
/// # Cancellation
///
/// Dropping the response future counts nothing and gives back the permit of a probe, after the
/// inner future is dropped. A panic of the inner service has the same effect.
#[derive(Debug)]
pub struct CircuitBreakerService<S, C> {
    inner: S,
    breaker: CircuitBreaker,
    classifier: C,
    /// Whether this instance of the inner service has been made ready and not been called since.
    inner_is_ready: bool,
}

impl<S, C> CircuitBreakerService<S, C> {
    /// `inner`, with its calls admitted by `breaker` and their results counted as `classifier`
    /// says.
    pub fn new(inner: S, breaker: CircuitBreaker, classifier: C) -> Self {
        Self {
            inner,
            breaker,
            classifier,
            inner_is_ready: false,
        }
    }

    /// The breaker, to watch or to force.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }
}

impl<S: Clone, C: Clone> Clone for CircuitBreakerService<S, C> {
    fn clone(&self) -> Self {
        // Readiness belongs to an instance; a clone has to earn its own.
        Self::new(
            self.inner.clone(),
            self.breaker.clone(),
            self.classifier.clone(),
        )
    }
}

impl<S, C, Request> Service<Request> for CircuitBreakerService<S, C>
where
    S: Service<Request>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Future, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.breaker.retry_after().is_some() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.inner.poll_ready(cx).map_err(Error::Inner);
        self.inner_is_ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    // Always inlined, as a layer's call has one caller, the layer outside: what is handed over
    // through memory is copied at every layer.
    #[inline(always)]
    fn call(&mut self, request: Request) -> Self::Future {
        let entry = match self.breaker.admit_if_plain() {
            Some(admission) if mem::take(&mut self.inner_is_ready) => {
                Entry::Admitted(self.breaker.plain_permit(admission))
            }
            _ => match self.admit_by_state() {
                Ok(permit) => Entry::Admitted(permit),
                Err(open) => Entry::Rejected(open),
            },
        };
        let classifier = self.classifier.clone();
        let future = match &entry {
            Entry::Admitted(_) => Some(self.inner.call(request)),
            Entry::Rejected(_) | Entry::Settled => None,
        };
        ResponseFuture {
            future,
            entry,
            classifier,
        }
    }
}

impl<S, C> CircuitBreakerService<S, C> {
    /// Admits a call that is not simply admitted by a closed circuit.
    #[cold]
    fn admit_by_state(&mut self) -> Result<Permit, CircuitOpen> {
        let permit = self.breaker.try_acquire()?;
        if mem::take(&mut self.inner_is_ready) {
            return Ok(permit);
        }
        // The permit goes back at once.
        Err(CircuitOpen {
            retry_after: Duration::ZERO,
        })
    }
}
