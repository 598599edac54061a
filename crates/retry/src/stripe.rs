//! Which part of a budget a thread pays into.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many parts there are, a power of two.
///
/// Threads that have one in common take its cache line from one another at every call, which
/// costs more than all the rest of the call. Each part costs 128 bytes a budget, and a look
/// at it when a call is retried.
pub(crate) const STRIPES: usize = 8;

/// The part of this thread. Threads are given theirs in turns, when they first ask, so that as
/// many threads as there are parts, started together, share none.
#[inline(always)]
pub(crate) fn own() -> usize {
    thread_local! {
        /// Above zero once there is one; the remainder is what counts.
        static OWN: Cell<usize> = const { Cell::new(0) };
    }
    match OWN.get() {
        0 => {
            let own = next();
            OWN.set(own);
            own % STRIPES
        }
        own => own % STRIPES,
    }
}

#[cold]
fn next() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES + STRIPES
}
