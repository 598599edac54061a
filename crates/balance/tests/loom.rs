//! Every interleaving of the words that picks and outcomes share.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[allow(dead_code)]
#[path = "../src/decaying.rs"]
mod decaying;
#[allow(dead_code)]
#[path = "../src/streak.rs"]
mod streak;

use loom::{sync::Arc, thread};

use crate::{decaying::Decaying, streak::Streak};

#[test]
fn no_failure_is_lost_within_a_generation() {
    loom::model(|| {
        let streak = Arc::new(Streak::new());
        let generation = streak.generation();
        let failing: Vec<_> = (0..2)
            .map(|_| {
                let streak = Arc::clone(&streak);
                thread::spawn(move || streak.failure(generation))
            })
            .collect();
        let mut lengths: Vec<_> = failing
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap())
            .collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [1, 2]);
    });
}

#[test]
fn what_failed_before_a_new_generation_does_not_count_in_it() {
    loom::model(|| {
        let streak = Arc::new(Streak::new());
        let generation = streak.generation();
        let failing = {
            let streak = Arc::clone(&streak);
            thread::spawn(move || streak.failure(generation))
        };
        streak.advance();
        failing.join().unwrap();
        assert_eq!(streak.failure(generation), None);
        assert_eq!(streak.failure(streak.generation()), Some(1));
    });
}

#[test]
fn a_success_and_a_failure_leave_at_most_one_failure() {
    loom::model(|| {
        let streak = Arc::new(Streak::new());
        let generation = streak.generation();
        streak.failure(generation);
        let failing = {
            let streak = Arc::clone(&streak);
            thread::spawn(move || streak.failure(generation))
        };
        streak.success(generation);
        failing.join().unwrap();
        let next = streak.failure(generation).unwrap();
        assert!((1..=2).contains(&next));
    });
}

#[test]
fn a_peak_is_not_overwritten_by_a_smaller_sample() {
    loom::model(|| {
        let word = Arc::new(Decaying::new(1.0, 10));
        let peak = |value: f32| move |current: f32, _| current.max(value);
        let other = {
            let word = Arc::clone(&word);
            thread::spawn(move || word.update(12, peak(9.0)))
        };
        word.update(11, peak(5.0));
        other.join().unwrap();
        assert_eq!(word.at(12), (9.0, 0));
    });
}
