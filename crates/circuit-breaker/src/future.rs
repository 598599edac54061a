use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_classify::Classify;
use pin_project::pin_project;

use crate::{CircuitOpen, Error, Permit};

/// The response of a [`CircuitBreakerService`](crate::CircuitBreakerService).
///
/// A plain struct, so that the inner future is written where it stays: moving what was just
/// written stalls for about as long as an atomic operation takes.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, C> {
    /// Before the permit, so that it is dropped first. `None` for a call that was rejected.
    #[pin]
    pub(crate) future: Option<F>,
    pub(crate) entry: Entry,
    pub(crate) classifier: C,
}

#[derive(Debug)]
pub(crate) enum Entry {
    Admitted(Permit),
    Rejected(CircuitOpen),
    Settled,
}

impl<F, C, Res, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Res, E>>,
    C: Classify<Res, E>,
{
    type Output = Result<Res, Error<E>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match (this.future.as_pin_mut(), &this.entry) {
            (Some(future), _) => ready!(future.poll(cx)),
            (None, Entry::Rejected(open)) => return Poll::Ready(Err(Error::Open(*open))),
            (None, _) => unreachable!("every call has a future or a rejection"),
        };
        if let Entry::Admitted(permit) = this.entry {
            permit.settle(this.classifier.classify(result.as_ref()));
            *this.entry = Entry::Settled;
        }
        Poll::Ready(result.map_err(Error::Inner))
    }
}
