use crate::sync::{AtomicU64, Ordering};

/// The state of one bucket in one word: when it will be full, in nanoseconds of the clock.
///
/// Zero, and any instant that has passed, stand for a full bucket.
#[derive(Debug)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn new(full_at: u64) -> Self {
        Self(AtomicU64::new(full_at))
    }

    #[inline]
    pub(crate) fn full_at(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces the state by the one that `decide` makes of it, unless that refuses.
    ///
    /// `decide` is asked again when another thread comes in between.
    #[inline]
    pub(crate) fn update<T, E>(&self, decide: impl Fn(u64) -> Result<(T, u64), E>) -> Result<T, E> {
        // The word stands for itself alone, so nothing has to be ordered around it.
        let mut full_at = self.full_at();
        loop {
            let (outcome, next) = decide(full_at)?;
            match self
                .0
                .compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(outcome),
                Err(changed) => full_at = changed,
            }
        }
    }
}
