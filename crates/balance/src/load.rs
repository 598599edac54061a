use crate::sync::{AtomicU64, Ordering};

/// Calls of one endpoint: how many began, and how many of them have ended.
///
/// Two counters that only grow give the number in flight and the number of calls ever made for
/// the price of one.
#[derive(Debug)]
pub(crate) struct Load {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// To be called once for each call of [`Load::begin`], after it.
    #[inline]
    pub(crate) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// Calls that have begun and not ended.
    #[inline]
    pub(crate) fn in_flight(&self) -> u64 {
        // In this order: whoever sees the end of a call sees its beginning too, so that the
        // difference is never negative.
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// Calls that have ever begun.
    pub(crate) fn total(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}
