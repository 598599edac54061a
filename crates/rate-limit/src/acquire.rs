use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{Allowed, RateLimited, waiter::Waiter};

/// A token, a refusal, or a place in the queue.
///
/// The future of [`RateLimiter::acquire`](crate::RateLimiter::acquire); see there what dropping
/// it does. It allocates only when it waits.
#[derive(Debug)]
#[must_use = "dropping it gives up the place in the queue"]
pub struct Acquire(pub(crate) State);

#[derive(Debug)]
pub(crate) enum State {
    Decided(Result<Allowed, RateLimited>),
    Queued(Waiter),
    Done,
}

impl Acquire {
    /// A decision that is there already, for a [`Limit`](crate::Limit) of one's own.
    #[inline]
    pub const fn decided(decision: Result<Allowed, RateLimited>) -> Self {
        Self(State::Decided(decision))
    }

    #[inline]
    pub(crate) const fn queued(waiter: Waiter) -> Self {
        Self(State::Queued(waiter))
    }

    /// The decision, if there is one already.
    #[inline]
    #[must_use]
    pub const fn decision(&self) -> Option<&Result<Allowed, RateLimited>> {
        match &self.0 {
            State::Decided(decision) => Some(decision),
            State::Queued(_) | State::Done => None,
        }
    }
}

impl Future for Acquire {
    type Output = Result<Allowed, RateLimited>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let decision = match &mut self.0 {
            State::Decided(decision) => *decision,
            State::Queued(waiter) => std::task::ready!(waiter.poll(cx)),
            State::Done => panic!("polled after it completed"),
        };
        self.0 = State::Done;
        Poll::Ready(decision)
    }
}
