//! The window by itself, over atomics that count how often they are touched.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "the file under test is part of the crate"
)]

#[path = "../src/window.rs"]
mod window;

use std::{cell::Cell, collections::VecDeque};

use proptest::prelude::*;
use window::{BUCKETS, Stamp, Totals, Window};

mod sync {
    use std::{cell::Cell, sync::atomic};

    pub(crate) use std::sync::atomic::Ordering;

    thread_local! {
        pub(crate) static TOUCHES: Cell<u32> = const { Cell::new(0) };
    }

    fn touch() {
        TOUCHES.with(|touches| touches.set(touches.get() + 1));
    }

    #[derive(Debug, Default)]
    pub(crate) struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            touch();
            self.0.load(ordering)
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            touch();
            self.0.compare_exchange(current, new, success, failure)
        }

        /// Never fails without a reason, so that touches can be counted.
        pub(crate) fn compare_exchange_weak(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.compare_exchange(current, new, success, failure)
        }
    }
}

fn at(tick: u64) -> Stamp {
    Stamp {
        tick,
        generation: 0,
    }
}

fn record(window: &Window, stamp: Stamp, marked: bool) {
    window.record(stamp, marked, || Some(stamp));
}

fn touches<R>(work: impl FnOnce() -> R) -> (u32, R) {
    sync::TOUCHES.set(0);
    let result = work();
    (sync::TOUCHES.get(), result)
}

#[test]
fn the_cost_does_not_depend_on_what_the_window_contains() {
    let window = Window::default();
    let mut costs = Vec::new();
    for calls in [1, 100, 10_000, 1_000_000] {
        for n in 0..calls {
            let (touches, ()) = touches(|| record(&window, at(n % 7), n % 2 == 0));
            // One look and one swap; a second look where the bucket is new or full.
            assert!(touches <= 3);
        }
        costs.push(touches(|| window.totals(at(9))).0);
    }
    assert_eq!(costs, [10, 10, 10, 10]);
    assert_eq!(size_of::<Window>(), 10 * size_of::<u64>());
}

#[test]
fn a_full_bucket_is_halved_and_keeps_its_ratio() {
    const FULL: u32 = (1 << 20) - 1;
    let window = Window::default();
    for n in 0..FULL {
        record(&window, at(5), n % 4 == 0);
    }
    let full = Totals {
        calls: FULL,
        marked: 1 << 18,
    };
    assert_eq!(window.totals(at(5)), full);
    record(&window, at(5), true);
    let halved = Totals {
        calls: FULL / 2 + 1,
        marked: (1 << 17) + 1,
    };
    assert_eq!(window.totals(at(5)), halved);
}

#[test]
fn a_stale_outcome_replaces_nothing() {
    let window = Window::default();
    let later = Stamp {
        tick: 3,
        generation: 2,
    };
    record(&window, later, true);
    window.record(at(3), true, || None);
    assert_eq!(
        window.totals(later),
        Totals {
            calls: 1,
            marked: 1
        }
    );
    assert_eq!(window.totals(at(3)), Totals::default());
}

#[test]
fn a_sleeper_counts_in_the_present() {
    // It read the time in tick 2, slept, and finds tick 12 in the bucket.
    let window = Window::default();
    record(&window, at(12), false);
    let asked = Cell::new(0);
    window.record(at(2), true, || {
        asked.set(asked.get() + 1);
        Some(at(13))
    });
    assert!(asked.get() >= 1);
    assert_eq!(
        window.totals(at(13)),
        Totals {
            calls: 2,
            marked: 1
        }
    );
}

#[test]
fn forgetting_others_keeps_the_new_generation() {
    let window = Window::default();
    for tick in 0..BUCKETS {
        record(&window, at(tick), true);
    }
    let new = Stamp {
        tick: 9,
        generation: 1,
    };
    record(&window, new, false);
    window.forget_others(1);
    assert_eq!(
        window.totals(new),
        Totals {
            calls: 1,
            marked: 0
        }
    );
    assert_eq!(window.totals(at(9)), Totals::default());
}

#[test]
fn ratios_need_their_minimum_of_calls() {
    let totals = Totals {
        calls: 19,
        marked: 19,
    };
    assert!(!totals.reach(0.5, 20));
    assert!(totals.reach(1.0, 19));
    assert!(!Totals::default().reach(0.5, 0));
}

proptest! {
    /// Against a list of all calls, over any sequence of ticks.
    #[test]
    fn counts_are_exact(
        start in any::<u32>(),
        steps in proptest::collection::vec((0_u64..14, any::<bool>()), 1..200),
    ) {
        let window = Window::default();
        let mut calls = VecDeque::new();
        let mut tick = u64::from(start);
        for (step, marked) in steps {
            tick += step;
            record(&window, at(tick), marked);
            calls.push_back((tick, marked));
            let inside = |at: &&(u64, bool)| at.0 + BUCKETS > tick;
            let expected = Totals {
                calls: calls.iter().filter(inside).count() as u32,
                marked: calls.iter().filter(inside).filter(|c| c.1).count() as u32,
            };
            prop_assert_eq!(window.totals(at(tick)), expected);
        }
    }
}
