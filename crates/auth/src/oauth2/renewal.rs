use crate::sync::atomic::{AtomicU64, Ordering};

/// When a token is to be renewed, and the right to do so, which one caller gets.
///
/// Times are nanoseconds on the clock of the cache. While somebody has the right, nothing is
/// due, so that callers with a token that is still valid do not queue for a lock.
#[derive(Debug)]
pub(crate) struct Renewal(AtomicU64);

/// Later than every time: somebody has claimed the renewal.
const CLAIMED: u64 = u64::MAX;

impl Renewal {
    pub(crate) fn new(at: u64) -> Self {
        Self(AtomicU64::new(at))
    }

    /// Whether the time has come and nobody is at it.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.0.load(Ordering::Relaxed)
    }

    /// Takes the right to renew, if the time has come and nobody has it.
    pub(crate) fn claim(&self, now: u64) -> bool {
        // The word guards nothing but itself: whoever claims goes on to take the cache's lock.
        let due = self.0.load(Ordering::Relaxed);
        now >= due
            && due != CLAIMED
            && self
                .0
                .compare_exchange(due, CLAIMED, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Gives the right back, to be claimed from `at` on.
    pub(crate) fn rearm(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }
}
