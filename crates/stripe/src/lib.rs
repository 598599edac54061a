//! Which part of a divided counter a thread counts in.
//!
//! Threads that count in one word take its cache line from one another at every call, which costs
//! more than everything else that a layer does. Where a count is written often and read seldom,
//! it is divided into [`STRIPES`] parts on cache lines of their own; a thread writes to the part
//! that [`own`] names, and whoever reads adds all of them up.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use bartizan_stripe::{STRIPES, own};
//!
//! let parts: [AtomicU64; STRIPES] = Default::default();
//! parts[own()].fetch_add(1, Ordering::Relaxed);
//! let sum: u64 = parts.iter().map(|part| part.load(Ordering::Relaxed)).sum();
//! assert_eq!(sum, 1);
//! ```
//!
//! # When not to use it
//!
//! For counts that decide something at every call: they would be added up as often as they are
//! written.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many parts there are, a power of two. Each part costs a cache line and its neighbour, 128
/// bytes, and a look at it when the count is read.
pub const STRIPES: usize = 8;

/// The part of this thread, below [`STRIPES`]. Threads are given theirs in turns, when they first
/// ask, so that as many threads as there are parts, started together, share none.
#[inline(always)]
pub fn own() -> usize {
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_thread_keeps_its_part_and_as_many_threads_as_parts_share_none() {
        let parts: HashSet<_> = (0..STRIPES)
            .map(|_| {
                std::thread::spawn(|| {
                    assert_eq!(own(), own());
                    own()
                })
            })
            .map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(parts.len(), STRIPES);
        assert!(parts.iter().all(|part| *part < STRIPES));
    }
}
