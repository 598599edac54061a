use crate::sync::{AtomicU64, Ordering};

/// A number and the millisecond to which it belongs, in one word.
///
/// Times are counts of milliseconds that wrap around after 49 days; what matters is their
/// difference, and one of up to a minute in the future (another thread's clock was read later)
/// counts as none.
#[derive(Debug)]
pub(crate) struct Decaying {
    /// The bits of an `f32` in the upper half, milliseconds in the lower.
    word: AtomicU64,
}

impl Decaying {
    pub(crate) fn new(value: f32, millis: u32) -> Self {
        Self {
            word: AtomicU64::new(join(value, millis)),
        }
    }

    /// The number and how many milliseconds have passed since it was stored.
    #[inline]
    pub(crate) fn at(&self, millis: u32) -> (f32, u32) {
        let (value, stored) = split(self.word.load(Ordering::Relaxed));
        (value, since(stored, millis))
    }

    /// The number as stored, and its millisecond.
    #[inline]
    pub(crate) fn dated(&self) -> (f32, u32) {
        split(self.word.load(Ordering::Relaxed))
    }

    /// The number as stored.
    #[inline]
    pub(crate) fn stored(&self) -> f32 {
        split(self.word.load(Ordering::Relaxed)).0
    }

    /// Stores what `change` makes of the number and its age.
    #[inline]
    pub(crate) fn update(&self, millis: u32, change: impl Fn(f32, u32) -> f32) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let (value, stored) = split(word);
            let age = since(stored, millis);
            let next = join(change(value, age), stored.wrapping_add(age));
            if next == word {
                return;
            }
            match self
                .word
                .compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(actual) => word = actual,
            }
        }
    }
}

/// From here on a difference is one of a clock that was read later, by up to a minute.
const FUTURE: u32 = u32::MAX - 60_000;

#[inline]
fn since(stored: u32, now: u32) -> u32 {
    let difference = now.wrapping_sub(stored);
    if difference < FUTURE { difference } else { 0 }
}

#[inline]
fn split(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[inline]
fn join(value: f32, millis: u32) -> u64 {
    u64::from(value.to_bits()) << 32 | u64::from(millis)
}
