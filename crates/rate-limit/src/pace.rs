use std::time::Duration;

use bartizan_clock::Instant;

use crate::sync::{AtomicU64, Ordering};

/// Spreads a round of small steps over time, done by whoever comes by.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Up to when the steps are done, in nanoseconds of the clock.
    done_to: AtomicU64,
    pause: Duration,
    round: Duration,
}

impl Pace {
    /// `steps` steps, evenly, in each `round`.
    pub(crate) fn new(round: Duration, steps: u32, now: Instant) -> Self {
        Self {
            done_to: AtomicU64::new(now.as_nanos()),
            pause: round / steps,
            round,
        }
    }

    /// Whether the caller is to do the next step now.
    ///
    /// After a quiet time several are due, at most a whole round; as many callers do one each.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let done_to = Instant::from_nanos(self.done_to.load(Ordering::Relaxed));
        now >= done_to + self.pause && self.claim(done_to, now)
    }

    #[cold]
    fn claim(&self, done_to: Instant, now: Instant) -> bool {
        let next = (done_to + self.pause).max(now - self.round);
        self.done_to
            .compare_exchange(
                done_to.as_nanos(),
                next.as_nanos(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_spread_and_a_backlog_is_at_most_a_round() {
        let second = Duration::from_secs(1);
        let start = Instant::from_nanos(0) + second * 100;
        let pace = Pace::new(second * 10, 10, start);
        assert!(!pace.is_due(start));
        assert!(pace.is_due(start + second));
        assert!(!pace.is_due(start + second));
        let later = start + second * 1_000;
        let due = (0..100).filter(|_| pace.is_due(later)).count();
        // The step that finds out how late it is, and the round that is due since.
        assert_eq!(due, 11);
        assert!(!pace.is_due(later + second / 2));
        assert!(pace.is_due(later + second));
    }
}
