use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use bartizan_clock::Instant;
use tokio::sync::Notify;

use super::single_flight::SingleFlight;

/// Which eras an upstream speaks, as far as anybody asked: it can be one, the other or both.
///
/// Kept for the process. A modern upstream that becomes a legacy one refuses what it does not know,
/// and a legacy one that becomes a modern one says so in words that only those have: whoever is
/// refused so has it asked again.
#[derive(Debug, Default)]
pub(crate) struct Eras {
    modern: Known,
    legacy: Known,
    asking: SingleFlight,
    /// Told when the upstream was found to speak the modern era.
    turned: Notify,
    /// Until when it is not asked for what may be its client's fault, in nanoseconds of the
    /// gateway's clock.
    unquestioned: AtomicU64,
}

/// Nobody asked, no, yes or perhaps no.
#[derive(Debug, Default)]
struct Known {
    answer: AtomicU8,
    /// When a no is to be doubted, in nanoseconds of the gateway's clock.
    doubt: AtomicU64,
}

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;
const GUESS: u8 = 3;

/// How long a no is believed without asking again. Yes is believed until proven wrong.
const BELIEVE_NO: Duration = Duration::from_secs(300);

/// How long what is but a guess is gone by.
const BELIEVE_GUESS: Duration = Duration::from_secs(2);

/// How often at most it is asked for what may be its client's fault: such a client may go on.
const QUESTION: Duration = Duration::from_secs(10);

impl Known {
    fn get(&self, now: Instant) -> Option<bool> {
        match self.answer.load(Ordering::Relaxed) {
            YES => Some(true),
            NO | GUESS if now.as_nanos() < self.doubt.load(Ordering::Relaxed) => Some(false),
            _ => None,
        }
    }

    fn set(&self, answer: u8, until: Instant) {
        let doubt = until.as_nanos();
        self.doubt.store(doubt, Ordering::Relaxed);
        self.answer.store(answer, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.answer.store(UNKNOWN, Ordering::Relaxed);
    }
}

fn said(answer: bool) -> u8 {
    if answer { YES } else { NO }
}

impl Eras {
    /// Whether it speaks the modern era, as was heard last. A no is gone by for as long as nobody
    /// heard otherwise, so that no call waits for it to be asked about again.
    pub(crate) fn modern(&self, now: Instant) -> Option<bool> {
        match self.modern.answer.load(Ordering::Relaxed) {
            NO => Some(false),
            _ => self.modern.get(now),
        }
    }

    /// Whether that it does not is to be asked about again, by whoever hears so: nobody else does.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let Known { answer, doubt } = &self.modern;
        let since = doubt.load(Ordering::Relaxed);
        let next = (now + BELIEVE_NO).as_nanos();
        answer.load(Ordering::Relaxed) == NO
            && since <= now.as_nanos()
            && doubt
                .compare_exchange(since, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(crate) fn legacy(&self, now: Instant) -> Option<bool> {
        self.legacy.get(now)
    }

    pub(crate) fn set_modern(&self, answer: bool, now: Instant) {
        self.modern.set(said(answer), now + BELIEVE_NO);
        if answer {
            self.turned.notify_waiters();
        }
    }

    /// Completes when it is found to speak the modern era.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost by dropping the future.
    pub(crate) async fn until_modern(&self) {
        loop {
            let turned = self.turned.notified();
            if self.modern.answer.load(Ordering::Relaxed) == YES {
                return;
            }
            turned.await;
        }
    }

    /// The upstream said nothing that tells, which those of older revisions may do.
    pub(crate) fn doubt_older(&self, now: Instant) {
        self.modern.set(GUESS, now + BELIEVE_GUESS);
    }

    /// The upstream spoke as if it were of the other era: it is asked again.
    pub(crate) fn doubt(&self) {
        self.modern.forget();
        self.legacy.forget();
    }

    /// Whether it is to be asked by whoever was refused so that it may be of the other era, or the
    /// client at fault: not again for a while.
    pub(crate) fn question(&self, now: Instant) -> bool {
        let next = (now + QUESTION).as_nanos();
        let is_over = |until| (until <= now.as_nanos()).then_some(next);
        let relaxed = Ordering::Relaxed;
        self.unquestioned
            .fetch_update(relaxed, relaxed, is_over)
            .is_ok()
    }

    pub(crate) fn set_legacy(&self, answer: bool, now: Instant) {
        self.legacy.set(said(answer), now + BELIEVE_NO);
    }

    /// For whoever asks which it speaks.
    pub(crate) fn asking(&self) -> &SingleFlight {
        &self.asking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_again_whether_a_server_is_older_still_and_nobody_waits_for_it() {
        let (eras, begun) = (Eras::default(), Instant::from_nanos(1));
        assert_eq!(eras.modern(begun), None);
        eras.set_modern(false, begun);
        assert!(!eras.is_due(begun));
        let later = begun + BELIEVE_NO;
        assert_eq!(eras.modern(later), Some(false));
        assert!(eras.is_due(later));
        assert!(!eras.is_due(later));
        eras.doubt();
        assert_eq!(eras.modern(later), None);
    }

    #[test]
    fn what_may_be_a_clients_fault_is_asked_about_once_in_a_while() {
        let (eras, begun) = (Eras::default(), Instant::from_nanos(1));
        eras.set_modern(true, begun);
        assert!(eras.question(begun));
        assert!(!eras.question(begun));
        assert_eq!(eras.modern(begun), Some(true));
        assert!(eras.question(begun + QUESTION));
    }

    #[test]
    fn a_guess_is_not_gone_by_for_long() {
        let (eras, begun) = (Eras::default(), Instant::from_nanos(1));
        eras.doubt_older(begun);
        assert_eq!(eras.modern(begun), Some(false));
        assert_eq!(eras.modern(begun + BELIEVE_GUESS), None);
    }
}
