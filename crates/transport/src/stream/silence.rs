use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_clock::{Clock, Instant};
use pin_project::pin_project;
use tokio::time::Sleep;

/// Notices that nothing was heard for some time.
///
/// The time counts from the first wait after the last word, so that a reader who does not ask is not
/// taken for a sender who does not answer. Hearing something costs nothing: the timer is left as
/// it is, and when it fires too early it is set again.
#[pin_project]
#[derive(Debug)]
pub(super) struct Silence {
    clock: Clock,
    /// When the wait began, if somebody waits.
    since: Option<Instant>,
    #[pin]
    sleep: Option<Sleep>,
}

impl Silence {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            since: None,
            sleep: None,
        }
    }

    /// Something was heard.
    pub(super) fn broken(self: Pin<&mut Self>) {
        *self.project().since = None;
    }

    /// How long nothing was heard, as far as somebody waits.
    pub(super) fn lasted(self: Pin<&Self>) -> Duration {
        let since = self.since;
        since.map_or(Duration::ZERO, |since| self.clock.now() - since)
    }

    /// Ready when nothing was heard for `limit`; to be asked while there is nothing to be heard.
    ///
    /// A limit must not end before the one that was asked for last did.
    pub(super) fn poll_lasts(
        self: Pin<&mut Self>,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        loop {
            let since = *this.since.get_or_insert_with(|| this.clock.now());
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
                this.sleep.set(None);
            }
            let now = this.clock.now();
            if now - since >= limit {
                return Poll::Ready(());
            }
            // Of the rest and not of the deadline: the clock need not be read once more.
            let sleep = this.clock.sleep(limit - (now - since));
            this.sleep.set(Some(sleep));
        }
    }
}
