//! Which lane of an endpoint a thread's calls take.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many there are, a power of two.
///
/// Threads that have one in common take its cache line from one another at every call, which
/// costs as much as all the rest of the call. Each costs 128 bytes an endpoint.
pub(crate) const STRIPES: usize = 8;

/// That of this thread. Threads are given theirs in turns, when they first ask, so that as many
/// threads as there are lanes, started together, share none.
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
