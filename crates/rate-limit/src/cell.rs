use std::fmt;

use governor::{nanos::Nanos, state::StateStore};

use crate::sync::{AtomicU64, Ordering};

/// The state of one bucket: the instant at which it will be full, as governor counts it.
///
/// Governor's own store can only take. This one can also look, which governor leaves to the
/// store: its arithmetic runs in either case, and what it wants written is written or not.
pub(crate) struct Cell(AtomicU64);

/// What is asked of a [`Cell`]; governor calls it the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    /// Take what is there.
    Take,
    /// Say what would be taken, and leave it.
    Peek,
}

impl Cell {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(UNTOUCHED))
    }
}

/// No bucket that was taken from becomes full at the moment the limiter was made.
const UNTOUCHED: u64 = 0;

impl StateStore for Cell {
    type Key = Look;

    #[inline]
    fn measure_and_replace<T, F, E>(&self, look: &Look, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // The word stands for itself alone, so nothing has to be ordered around it.
        let mut full_at = self.0.load(Ordering::Relaxed);
        loop {
            let known = (full_at != UNTOUCHED).then(|| Nanos::new(full_at));
            let (outcome, next) = decide(known)?;
            if *look == Look::Peek {
                return Ok(outcome);
            }
            match self.0.compare_exchange_weak(
                full_at,
                next.as_u64(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(outcome),
                Err(changed) => full_at = changed,
            }
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cell")
            .field(&self.0.load(Ordering::Relaxed))
            .finish()
    }
}
