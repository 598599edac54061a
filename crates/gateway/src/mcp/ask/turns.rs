use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long a turn lasts while others wait: a question comes soon if it comes.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// The turns of calls that share a session, first come first served.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    line: Arc<Mutex<()>>,
    /// Whose turn it is. Held while it changes hands.
    holder: SyncMutex<Option<Holder>>,
    /// Turns ever given.
    given: AtomicU64,
    /// Questions of the upstream.
    questions: AtomicU64,
}

#[derive(Debug)]
struct Holder {
    _place: OwnedMutexGuard<()>,
    number: u64,
    until: Instant,
}

/// A turn, until this is dropped, or until it has lasted [`TURN`] and another waits for it.
#[derive(Debug)]
pub(super) struct Held {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// Waits for a turn, `patience` at most.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the place in the line.
    pub(super) async fn take(self: &Arc<Self>, clock: Clock, patience: Duration) -> Option<Held> {
        let latest = clock.now() + patience;
        let mut place = pin!(Arc::clone(&self.line).lock_owned());
        let place = loop {
            let holder = self.holder.lock().as_ref().map(|holder| holder.until);
            // Who is about to have it has it for no longer.
            let until = holder.unwrap_or_else(|| clock.now() + TURN);
            tokio::select! {
                biased;
                place = &mut place => break place,
                () = clock.sleep_until(until.min(latest)) => {}
            }
            let now = clock.now();
            if now >= latest {
                return None;
            }
            // The place goes to whoever is first in the line, which need not be us.
            self.holder.lock().take_if(|holder| holder.until <= now);
        };
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        *self.holder.lock() = Some(Holder {
            _place: place,
            number,
            until: clock.now() + TURN,
        });
        let turns = Arc::clone(self);
        Some(Held { turns, number })
    }

    /// Counts a question of the upstream.
    pub(super) fn question(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
    }

    /// How many questions there were.
    pub(super) fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holder = self.turns.holder.lock();
        holder.take_if(|holder| holder.number == self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn turns() -> (Arc<Turns>, Clock) {
        (Arc::default(), Clock::tokio())
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_given_up_is_the_next_ones_at_once() {
        let (turns, clock) = turns();
        let begun = clock.now();
        let first = turns.take(clock, LONG).await.unwrap();
        let mut second = pin!(turns.take(clock, LONG));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await.unwrap();
        assert!(turns.take(clock, LONG).now_or_never().is_none());
        drop(second);
        assert!(turns.take(clock, LONG).now_or_never().flatten().is_some());
        assert_eq!(clock.now(), begun);
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_those_who_wait_has_a_turn_of_its_own_if_none_is_given_up() {
        let (turns, clock) = turns();
        let begun = clock.now();
        let waits = (0..4).map(|_| async {
            let held = turns.take(clock, LONG).await.unwrap();
            (clock.now() - begun, held)
        });
        let all = futures_util::future::join_all(waits).await;
        let waited: Vec<_> = all.iter().map(|(waited, _)| waited.as_secs()).collect();
        assert_eq!(waited, [0, 1, 2, 3]);
        // Those whose turn is over give up nobody else's.
        let last = all.into_iter().next_back();
        assert!(turns.take(clock, LONG).now_or_never().is_none());
        drop(last);
        assert!(turns.take(clock, LONG).now_or_never().flatten().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_patience_left_goes_without_and_who_goes_away_leaves_the_line() {
        let (turns, clock) = turns();
        let _first = turns.take(clock, LONG).await.unwrap();
        let mut gone = Box::pin(turns.take(clock, LONG));
        assert!(gone.as_mut().now_or_never().is_none());
        let begun = clock.now();
        assert!(turns.take(clock, TURN / 2).await.is_none());
        assert_eq!(clock.now() - begun, TURN / 2);
        drop(gone);
        assert!(turns.take(clock, LONG).await.is_some());
        assert_eq!(clock.now() - begun, TURN);
    }
}
