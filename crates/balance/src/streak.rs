use crate::sync::{AtomicU64, Ordering};

/// Failures in a row, within a generation, in one word.
///
/// A generation ends when the endpoint is ejected and when it returns. Outcomes of calls that
/// began in an earlier one are ignored: what failed before the ejection must not count against
/// the endpoint after its return.
#[derive(Debug)]
pub(crate) struct Streak {
    /// The generation in the upper half, failures in the lower.
    word: AtomicU64,
}

impl Streak {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    /// The current generation, to be kept with a call.
    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        split(self.word.load(Ordering::Relaxed)).0
    }

    /// A call of `generation` succeeded: the streak is over.
    #[inline]
    pub(crate) fn success(&self, generation: u32) {
        let word = self.word.load(Ordering::Relaxed);
        if split(word).1 != 0 {
            self.change(generation, |_| 0);
        }
    }

    /// A call of `generation` failed; how long the streak is now, if it still counts.
    pub(crate) fn failure(&self, generation: u32) -> Option<u32> {
        self.change(generation, |failures| failures.saturating_add(1))
    }

    /// Begins a new generation without failures.
    pub(crate) fn advance(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = join(split(word).0.wrapping_add(1), 0);
            match self.exchange(word, next) {
                Ok(_) => return,
                Err(actual) => word = actual,
            }
        }
    }

    fn change(&self, generation: u32, to: impl Fn(u32) -> u32) -> Option<u32> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let (current, failures) = split(word);
            if current != generation {
                return None;
            }
            let failures = to(failures);
            match self.exchange(word, join(current, failures)) {
                Ok(_) => return Some(failures),
                Err(actual) => word = actual,
            }
        }
    }

    fn exchange(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.word
            .compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }
}

#[inline]
fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[inline]
fn join(generation: u32, failures: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(failures)
}
