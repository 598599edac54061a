use std::sync::atomic::{AtomicUsize, Ordering};

use crate::stripe::{self, STRIPES};

/// Whose turn it is: one order for all threads, or one for each of a few.
///
/// Threads that count the same turns hand the counter to one another at every pick, which among
/// ten thousand endpoints takes five times as long as the rest of the pick. There each thread can
/// as well go around by itself, begun at a place of its own.
#[derive(Default)]
pub(crate) struct Cursor {
    turns: [Turns; STRIPES],
}

/// Turns taken, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
struct Turns(AtomicUsize);

impl Cursor {
    /// The next turn, of `count`; the thread's own unless all are to take one order.
    #[inline]
    pub(crate) fn next(&self, count: usize, in_one_order: bool) -> usize {
        let stripe = if in_one_order { 0 } else { stripe::own() };
        let taken = self.turns[stripe].0.fetch_add(1, Ordering::Relaxed);
        taken.wrapping_add(stripe * count / STRIPES) % count
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, thread};

    use super::*;

    #[test]
    fn one_order_is_one_for_all_threads() {
        let cursor = Cursor::default();
        let turns: Vec<_> = (0..7)
            .map(|_| thread::scope(|scope| scope.spawn(|| cursor.next(3, true)).join().unwrap()))
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_thread_that_goes_around_by_itself_leaves_nobody_out() {
        const COUNT: usize = 100;
        let cursor = Cursor::default();
        let around = || {
            (0..COUNT)
                .map(|_| cursor.next(COUNT, false))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..STRIPES).map(|_| scope.spawn(around)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let mut share = HashMap::new();
        for turn in threads.concat() {
            *share.entry(turn).or_insert(0) += 1;
        }
        assert_eq!(share.len(), COUNT);
        assert!(share.values().all(|turns| *turns == STRIPES), "{share:?}");
    }

    #[test]
    fn turns_go_on_when_the_counter_begins_anew() {
        let cursor = Cursor::default();
        cursor.turns[0].0.store(usize::MAX, Ordering::Relaxed);
        assert!(cursor.next(3, true) < 3);
        assert_eq!(cursor.next(3, true), 0);
    }
}
