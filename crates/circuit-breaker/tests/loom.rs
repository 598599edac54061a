//! Every interleaving of two or three threads over the state word, over one bucket, and over
//! buckets of which each thread has its own.
//!
//! The files under test are compiled a second time, with loom's atomics in place of the
//! standard library's.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "the files under test are part of the crate"
)]

#[path = "../src/padded.rs"]
mod padded;
#[path = "../src/stripes.rs"]
mod stripes;
#[path = "../src/window.rs"]
mod window;
#[path = "../src/word.rs"]
mod word;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

/// Two parts, and a thread has the one that its test says.
mod stripe {
    use std::cell::Cell;

    pub(crate) const STRIPES: usize = 2;

    loom::thread_local! {
        pub(crate) static OWN: Cell<usize> = Cell::new(0);
    }

    pub(crate) fn own() -> usize {
        OWN.with(Cell::get)
    }
}

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use stripes::Stripes;
use window::{Stamp, Totals, Window};
use word::{Phase, StateWord};

/// A word that is half-open in generation 2, with one probe under way.
fn half_open() -> Arc<StateWord> {
    let word = StateWord::new();
    word.advance(0, Phase::Open).unwrap();
    word.advance(1, Phase::HalfOpen).unwrap();
    assert!(word.take_probe(2, 1));
    Arc::new(word)
}

#[test]
fn half_open_never_admits_more_than_its_probes() {
    model(|| {
        let word = half_open();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let word = Arc::clone(&word);
                thread::spawn(move || word.take_probe(2, 2))
            })
            .collect();
        let taken = threads
            .into_iter()
            .map(|t| t.join().unwrap())
            .filter(|taken| *taken)
            .count();
        assert_eq!(taken, 1);
        assert_eq!(word.load().in_flight(), 2);
    });
}

#[test]
fn a_permit_given_back_can_be_taken_again() {
    model(|| {
        let word = half_open();
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || other.give_back_probe(2));
        let taken = word.take_probe(2, 1);
        thread.join().unwrap();
        assert_eq!(word.load().in_flight(), u32::from(taken));
        assert!(taken || word.take_probe(2, 1));
    });
}

#[test]
fn one_of_two_deciding_probes_wins_and_the_other_is_late() {
    model(|| {
        let word = half_open();
        assert!(word.take_probe(2, 2));
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || other.advance(2, Phase::Open).is_some());
        let successes = word.probe_succeeded(2);
        let reopened = thread.join().unwrap();
        assert!(reopened);
        let now = word.load();
        assert_eq!((now.phase(), now.generation()), (Phase::Open, 3));
        assert_eq!((now.in_flight(), now.successes()), (0, 0));
        assert!(matches!(successes, None | Some(1)));
    });
}

#[test]
fn the_last_two_successes_are_seen_by_exactly_one() {
    model(|| {
        let word = half_open();
        assert!(word.take_probe(2, 2));
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || other.probe_succeeded(2));
        let mut seen = [word.probe_succeeded(2), thread.join().unwrap()];
        seen.sort();
        assert_eq!(seen, [Some(1), Some(2)]);
    });
}

#[test]
fn consecutive_failures_are_not_lost_and_only_one_thread_opens() {
    model(|| {
        let word = Arc::new(StateWord::new());
        let fail = |word: &StateWord| {
            word.failed(0).is_some_and(|n| n >= 2) && word.advance(0, Phase::Open).is_some()
        };
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || fail(&other));
        let here = fail(&word);
        let there = thread.join().unwrap();
        assert!(here ^ there);
        assert_eq!(word.load().phase(), Phase::Open);
    });
}

#[test]
fn an_outcome_of_a_past_generation_changes_nothing() {
    model(|| {
        let word = Arc::new(StateWord::new());
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || {
            other.failed(0);
            other.failed(0);
        });
        // A reset: the same phase, so only the generation tells the two apart.
        word.advance(0, Phase::Closed).unwrap();
        assert_eq!(word.failed(1), Some(1));
        word.succeeded(0);
        thread.join().unwrap();
        let now = word.load();
        assert_eq!((now.generation(), now.consecutive_failures()), (1, 1));
    });
}

const OLD: Stamp = Stamp {
    tick: 2,
    generation: 0,
};
const NEW: Stamp = Stamp {
    tick: 12,
    generation: 0,
};

#[test]
fn two_threads_that_share_a_bucket_lose_nothing() {
    model(|| {
        let window = Arc::new(Window::default());
        window.record(NEW, true, || Some(NEW));
        let other = Arc::clone(&window);
        let thread = thread::spawn(move || other.record(NEW, true, || Some(NEW)));
        window.record(NEW, false, || Some(NEW));
        thread.join().unwrap();
        assert_eq!(
            window.totals(NEW),
            Totals {
                calls: 3,
                marked: 2
            }
        );
    });
}

#[test]
fn two_threads_that_advance_one_bucket_lose_nothing() {
    model(|| {
        let window = Arc::new(Window::default());
        window.record(OLD, true, || Some(OLD));
        let other = Arc::clone(&window);
        let thread = thread::spawn(move || other.record(NEW, true, || Some(NEW)));
        window.record(NEW, false, || Some(NEW));
        thread.join().unwrap();
        assert_eq!(
            window.totals(NEW),
            Totals {
                calls: 2,
                marked: 1
            }
        );
    });
}

#[test]
fn a_thread_with_an_old_reading_of_the_clock_erases_nothing() {
    model(|| {
        let window = Arc::new(Window::default());
        let clock = Arc::new(AtomicU64::new(OLD.tick));
        let now = |clock: &AtomicU64| Stamp {
            tick: clock.load(Ordering::Acquire),
            generation: 0,
        };
        let (other, their_clock) = (Arc::clone(&window), Arc::clone(&clock));
        let thread = thread::spawn(move || {
            let read = now(&their_clock);
            other.record(read, true, || Some(now(&their_clock)));
        });
        clock.store(NEW.tick, Ordering::Release);
        window.record(NEW, false, || Some(now(&clock)));
        thread.join().unwrap();
        // The old reading counts in the old tick or in the new one, but the new call stays.
        let totals = window.totals(NEW);
        assert_eq!(totals.calls - totals.marked, 1);
    });
}

#[test]
fn an_outcome_of_a_past_generation_erases_nothing() {
    model(|| {
        let window = Arc::new(Window::default());
        let word = Arc::new(StateWord::new());
        let stamp = |generation| Stamp {
            tick: 2,
            generation,
        };
        let fresh = move |word: &StateWord, generation| {
            (word.load().generation() == generation).then(|| stamp(generation))
        };
        let (other, their_word) = (Arc::clone(&window), Arc::clone(&word));
        let thread = thread::spawn(move || {
            other.record(stamp(0), true, || fresh(&their_word, 0));
        });
        word.advance(0, Phase::Closed).unwrap();
        window.forget_others(1);
        window.record(stamp(1), false, || fresh(&word, 1));
        thread.join().unwrap();
        assert_eq!(
            window.totals(stamp(1)),
            Totals {
                calls: 1,
                marked: 0
            }
        );
    });
}

/// Early enough that the window has no other bucket.
const FIRST: Stamp = Stamp {
    tick: 0,
    generation: 0,
};

fn fail_in(stripe: usize, stripes: &Stripes) -> u32 {
    stripe::OWN.with(|own| own.set(stripe));
    stripes.record(FIRST, true, || Some(FIRST));
    stripes.totals(FIRST).marked
}

#[test]
fn of_two_failures_in_two_stripes_one_sees_both() {
    model(|| {
        let stripes = Arc::new(Stripes::default());
        let other = Arc::clone(&stripes);
        let thread = thread::spawn(move || fail_in(1, &other));
        let here = fail_in(0, &stripes);
        let there = thread.join().unwrap();
        assert_eq!(here.max(there), 2);
    });
}

#[test]
fn a_call_that_has_been_counted_is_in_the_totals() {
    model(|| {
        let stripes = Arc::new(Stripes::default());
        let told = Arc::new(AtomicU64::new(0));
        let (other, tell) = (Arc::clone(&stripes), Arc::clone(&told));
        let thread = thread::spawn(move || {
            stripe::OWN.with(|own| own.set(1));
            other.record(FIRST, false, || Some(FIRST));
            tell.store(1, Ordering::Release);
        });
        let told = told.load(Ordering::Acquire) as u32;
        let calls = stripes.totals(FIRST).calls;
        assert!(told <= calls && calls <= 1);
        thread.join().unwrap();
        assert_eq!(stripes.totals(FIRST).calls, 1);
    });
}
