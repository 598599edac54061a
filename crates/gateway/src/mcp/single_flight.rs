//! One asks, the others wait for what it hears.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// A question that many have at a time and one asks.
///
/// What was heard is kept elsewhere, for whoever has the question next.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight {
    turn: Arc<Mutex<()>>,
    /// How often it was asked in vain.
    failures: Arc<AtomicU64>,
}

/// What comes of waiting for the turn to ask.
#[derive(Debug)]
pub(crate) enum Turn<T> {
    /// It has been heard.
    Heard(T),
    /// Somebody else asked in vain meanwhile: one after the other, those who wait would wait for as
    /// many times as they are.
    InVain,
    /// It is to be asked now.
    Ask(Flight),
}

/// The turn to ask. The others wait for as long as it is there: it goes where the question goes.
#[derive(Debug)]
pub(crate) struct Flight {
    _turn: OwnedMutexGuard<()>,
    failures: Arc<AtomicU64>,
}

impl SingleFlight {
    /// Waits for the turn to ask what may be `heard` by then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the turn to the next.
    pub(crate) async fn turn<T>(&self, heard: impl FnOnce() -> Option<T>) -> Turn<T> {
        let failures = self.failures.load(Ordering::Relaxed);
        let flight = self.next().await;
        match heard() {
            Some(heard) => Turn::Heard(heard),
            None if self.failures.load(Ordering::Relaxed) != failures => Turn::InVain,
            None => Turn::Ask(flight),
        }
    }

    /// Waits for the turn, whatever came of those before.
    ///
    /// # Cancellation
    ///
    /// As that of [`turn`](Self::turn).
    pub(crate) async fn next(&self) -> Flight {
        Flight {
            _turn: Arc::clone(&self.turn).lock_owned().await,
            failures: Arc::clone(&self.failures),
        }
    }
}

impl Flight {
    /// Notes that nothing was heard.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_hears_what_the_first_heard() {
        let (question, heard) = (SingleFlight::default(), Cell::new(None));
        let Turn::Ask(flight) = question.turn(|| heard.get()).await else {
            panic!("nobody else asks");
        };
        let mut second = Box::pin(question.turn(|| heard.get()));
        assert!((&mut second).now_or_never().is_none());
        heard.set(Some("the answer"));
        drop(flight);
        assert!(matches!(second.await, Turn::Heard("the answer")));
    }

    #[tokio::test]
    async fn those_who_waited_do_not_ask_again_what_was_asked_in_vain() {
        let question = SingleFlight::default();
        let turn = || question.turn(|| None::<()>);
        let Turn::Ask(flight) = turn().await else {
            panic!("nobody else asks");
        };
        let (mut second, mut third) = (Box::pin(turn()), Box::pin(turn()));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        flight.failed();
        drop(flight);
        assert!(matches!(second.await, Turn::InVain));
        assert!(matches!(third.await, Turn::InVain));
        // Who comes later does.
        assert!(matches!(turn().await, Turn::Ask(_)));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_turn_to_the_next() {
        let question = SingleFlight::default();
        let flight = question.next().await;
        let mut given_up = Box::pin(question.turn(|| None::<()>));
        let mut next = Box::pin(question.turn(|| None::<()>));
        assert!((&mut given_up).now_or_never().is_none());
        assert!((&mut next).now_or_never().is_none());
        drop(given_up);
        drop(flight);
        assert!(matches!(next.await, Turn::Ask(_)));
    }
}
