//! The two words of a retry budget. `tests/loom.rs` includes this file with loom's atomics.
//!
//! Both words stand for themselves: nothing else is read or written on their authority, hence
//! `Relaxed` throughout.

use crate::sync::{AtomicU64, Ordering};

/// What first attempts have paid in and retries have not taken out, in billionths of a retry.
#[derive(Default)]
pub(crate) struct Balance(AtomicU64);

impl Balance {
    /// Adds `amount`, or as much of it as `cap` leaves room for.
    ///
    /// A full balance is only read. An addition without the comparison was measured: it is no faster on two threads, and the
    /// cap would not be exact.
    #[inline]
    pub(crate) fn deposit(&self, amount: u64, cap: u64) {
        let mut current = self.load();
        while current < cap && amount > 0 {
            let next = current.saturating_add(amount).min(cap);
            match exchange(&self.0, current, next) {
                Ok(_) => return,
                Err(seen) => current = seen,
            }
        }
    }

    /// Takes `amount`, all or nothing.
    pub(crate) fn withdraw(&self, amount: u64) -> bool {
        let mut current = self.load();
        while let Some(next) = current.checked_sub(amount) {
            match exchange(&self.0, current, next) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
        false
    }

    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When the reserve will be whole again, in nanoseconds of the clock: the theoretical arrival
/// time of the generic cell rate algorithm (ITU-T I.371), which refills without a timer.
pub(crate) struct Reserve(AtomicU64);

impl Reserve {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes one of the retries that come back every `interval`, of which `window` holds as many
    /// as there are at most.
    pub(crate) fn take(&self, now: u64, interval: u64, window: u64) -> bool {
        let latest = now.saturating_add(window);
        let mut whole = self.0.load(Ordering::Relaxed);
        loop {
            let next = whole.max(now).saturating_add(interval);
            if next > latest {
                return false;
            }
            match exchange(&self.0, whole, next) {
                Ok(_) => return true,
                Err(seen) => whole = seen,
            }
        }
    }
}

#[inline]
fn exchange(word: &AtomicU64, current: u64, next: u64) -> Result<u64, u64> {
    word.compare_exchange_weak(current, next, Ordering::Relaxed, Ordering::Relaxed)
}
