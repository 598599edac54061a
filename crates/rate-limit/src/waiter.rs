use std::{
    fmt,
    future::Future,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bartizan_clock::Instant;
use tokio::time::Sleep;

use crate::{
    Allowed, RateLimited,
    limiter::Shared,
    queue::{Place, Standing},
};

/// A place in the queue of a limiter, given up when dropped.
///
/// There is no task behind it: the head sleeps until the next token, takes it and wakes the
/// next, all in the callers' own polls.
pub(crate) struct Waiter {
    shared: Arc<Shared>,
    place: Place,
    /// When the call gives up.
    latest: Instant,
    /// Boxed, because only the few calls that wait need it and every response future would
    /// have to be large enough.
    alarm: Option<Pin<Box<Sleep>>>,
    alarm_at: Instant,
}

impl Waiter {
    pub(crate) fn new(shared: Arc<Shared>, place: Place, latest: Instant) -> Self {
        Self {
            shared,
            place,
            latest,
            alarm: None,
            alarm_at: latest,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Allowed, RateLimited>> {
        loop {
            match self.decide(cx.waker()) {
                ControlFlow::Break(decision) => return Poll::Ready(decision),
                ControlFlow::Continue(wake_at) => ready!(self.alarm(wake_at).poll(cx)),
            }
        }
    }

    /// Ends the wait if it can be, otherwise says when to look again.
    fn decide(&self, waker: &Waker) -> ControlFlow<Result<Allowed, RateLimited>, Instant> {
        let shared = &*self.shared;
        let now = shared.clock().now();
        let mut queue = shared.lock();
        // Whoever is refused may come again, behind those who are here by then.
        let others = queue.ahead_of(self.place.priority);
        let (turn, wake_at) = match queue.standing(self.place) {
            Standing::Head => match shared.take(now) {
                Ok(allowed) => {
                    shared.leave(queue, self.place);
                    return ControlFlow::Break(Ok(allowed));
                }
                Err(next) => (next, next),
            },
            Standing::Behind => (shared.brings(others, now), self.latest),
            Standing::Shed => {
                let turn = shared.brings(others + 1, now);
                return ControlFlow::Break(Err(shared.refusal(turn, now)));
            }
        };
        if wake_at > self.latest || now >= self.latest {
            shared.leave(queue, self.place);
            return ControlFlow::Break(Err(shared.refusal(turn, now)));
        }
        queue.watch(self.place, waker);
        ControlFlow::Continue(wake_at)
    }

    /// The timer, set to `wake_at`.
    fn alarm(&mut self, wake_at: Instant) -> Pin<&mut Sleep> {
        let clock = self.shared.clock();
        let alarm = match self.alarm.take() {
            Some(alarm) if self.alarm_at == wake_at && !alarm.is_elapsed() => alarm,
            Some(mut alarm) => {
                alarm.set(clock.sleep_until(wake_at));
                alarm
            }
            None => Box::pin(clock.sleep_until(wake_at)),
        };
        self.alarm_at = wake_at;
        self.alarm.insert(alarm).as_mut()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Nothing is left to give up if the wait has ended.
        self.shared.leave(self.shared.lock(), self.place);
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("place", &self.place)
            .field("latest", &self.latest)
            .finish_non_exhaustive()
    }
}
