//! Circuits that follow one another in the same place, and permits that outlive theirs.
//!
//! A file of its own, and a lock, so that nobody else takes the place that a circuit leaves.

use std::{sync::Barrier, thread, time::Duration};

use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, State};
use bartizan_classify::Outcome;
use bartizan_clock::Clock;
use tokio::sync::Mutex;

const LIMITED: Outcome = Outcome::Limited { retry_after: None };
const OUTCOMES: [Outcome; 4] = [
    Outcome::Success,
    Outcome::FAILURE,
    LIMITED,
    Outcome::Ignored,
];

static ALONE: Mutex<()> = Mutex::const_new(());

/// Opens after one failure, and after one call of which a half failed.
fn touchy() -> CircuitBreaker {
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(Some(1))
        .minimum_calls(1)
        .recovery_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    CircuitBreaker::new(config, Clock::tokio())
}

fn assert_untouched(breaker: &CircuitBreaker) {
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state, State::Closed);
    assert_eq!(snapshot.generation, 0);
    assert_eq!((snapshot.calls, snapshot.failures), (0, 0));
    assert_eq!(snapshot.consecutive_failures, 0);
    assert_eq!(snapshot.last_failure, None);
    assert_eq!(snapshot.open_count, 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_does_nothing_to_the_next_circuit() {
    let _alone = ALONE.lock().await;
    for outcome in OUTCOMES {
        let first = touchy();
        let permit = first.try_acquire().unwrap();
        drop(first);
        let second = touchy();
        permit.record(outcome);
        assert_untouched(&second);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_circuit_has_counted_goes_with_it() {
    let _alone = ALONE.lock().await;
    for outcome in OUTCOMES {
        let first = touchy();
        first.try_acquire().unwrap().record(Outcome::Success);
        first.try_acquire().unwrap().record(outcome);
        drop(first);
        // More than the window's words can tell apart.
        for _ in 0..40 {
            assert_untouched(&touchy());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_nothing_to_the_next_circuit() {
    let _alone = ALONE.lock().await;
    for outcome in OUTCOMES {
        let first = touchy();
        first.try_acquire().unwrap().record(Outcome::FAILURE);
        tokio::time::advance(Duration::from_secs(2)).await;
        let probe = first.try_acquire().unwrap();
        assert!(probe.is_probe());
        drop(first);
        let second = touchy();
        probe.record(outcome);
        assert_untouched(&second);
        assert_untouched(&touchy());
    }
}

#[test]
fn outcomes_do_nothing_to_a_circuit_that_begins_meanwhile() {
    let _alone = ALONE.blocking_lock();
    for _ in 0..500 {
        let first = touchy();
        let permits = OUTCOMES.map(|outcome| (first.try_acquire().unwrap(), outcome));
        let start = &Barrier::new(permits.len() + 1);
        let second = thread::scope(|scope| {
            for (permit, outcome) in permits {
                scope.spawn(move || {
                    start.wait();
                    permit.record(outcome);
                });
            }
            start.wait();
            drop(first);
            touchy()
        });
        assert_untouched(&second);
    }
}
