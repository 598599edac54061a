use std::sync::Mutex;

use bartizan_classify::Outcome;
use tokio::time::advance;

use super::*;
use crate::{CircuitBreakerConfigBuilder, Reason, SlowCall, Transition};

const SECOND: Duration = Duration::from_secs(1);
const RECOVERY: Duration = Duration::from_secs(30);
const LIMITED: Outcome = Outcome::Limited { retry_after: None };

/// The defaults without jitter, so that times are exact.
fn exact() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder().recovery_jitter(0.0)
}

fn breaker(config: CircuitBreakerConfigBuilder) -> CircuitBreaker {
    CircuitBreaker::new(config.build().unwrap(), Clock::tokio())
}

fn record(breaker: &CircuitBreaker, times: usize, outcome: Outcome) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().record(outcome);
    }
}

fn failing_for(retry_after: Duration) -> Outcome {
    Outcome::Failure {
        retry_after: Some(retry_after),
    }
}

fn retry_after(breaker: &CircuitBreaker) -> Duration {
    breaker.try_acquire().unwrap_err().retry_after
}

/// Opens a breaker of five consecutive failures and lets the recovery time pass.
async fn recovering(config: CircuitBreakerConfigBuilder) -> CircuitBreaker {
    let breaker = breaker(config);
    record(&breaker, 5, Outcome::FAILURE);
    advance(RECOVERY).await;
    breaker
}

/// A breaker that has counted something and was then forced so often, open first.
fn forced(times: usize) -> CircuitBreaker {
    let breaker = breaker(exact());
    record(&breaker, 3, Outcome::FAILURE);
    for time in 0..times {
        match time % 2 {
            0 => breaker.force_open(),
            _ => breaker.force_close(),
        }
    }
    breaker
}

// --- opening

#[tokio::test(start_paused = true)]
async fn consecutive_failures_open_the_circuit() {
    let breaker = breaker(exact());
    record(&breaker, 4, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Closed);
    record(&breaker, 1, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(retry_after(&breaker), RECOVERY);
    assert_eq!(breaker.retry_after(), Some(RECOVERY));
}

#[tokio::test(start_paused = true)]
async fn a_success_interrupts_the_row_of_failures() {
    let breaker = breaker(exact().failure_ratio(None));
    for _ in 0..10 {
        record(&breaker, 4, Outcome::FAILURE);
        record(&breaker, 1, Outcome::Success);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn ignored_outcomes_and_cancelled_calls_leave_no_trace() {
    let breaker = breaker(exact());
    record(&breaker, 4, Outcome::FAILURE);
    record(&breaker, 100, Outcome::Ignored);
    for _ in 0..100 {
        drop(breaker.try_acquire().unwrap());
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.calls, snapshot.consecutive_failures), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn half_of_twenty_calls_open_the_circuit_and_of_nineteen_do_not() {
    let breaker = breaker(exact().failure_threshold(None));
    record(&breaker, 9, Outcome::Success);
    record(&breaker, 10, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Closed);
    record(&breaker, 1, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_ratio_is_reached_exactly() {
    // 0.28 × 25 is a little more than 7 in binary floating point.
    let breaker = breaker(
        exact()
            .failure_threshold(None)
            .failure_ratio(Some(0.28))
            .minimum_calls(25),
    );
    record(&breaker, 18, Outcome::Success);
    record(&breaker, 6, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Closed);
    record(&breaker, 1, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn limited_calls_count_towards_the_ratio_but_not_as_consecutive() {
    let limited = breaker(exact());
    record(&limited, 19, LIMITED);
    assert_eq!(limited.state(), State::Closed);
    assert_eq!(limited.snapshot().consecutive_failures, 0);
    assert_eq!(limited.snapshot().failures, 19);
    assert_eq!(limited.snapshot().last_failure, None);
    record(&limited, 1, LIMITED);
    assert_eq!(limited.state(), State::Open);

    // Nor do they interrupt a row.
    let mixed = breaker(exact());
    record(&mixed, 4, Outcome::FAILURE);
    record(&mixed, 1, LIMITED);
    record(&mixed, 1, Outcome::FAILURE);
    assert_eq!(mixed.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn without_conditions_only_hands_open_it() {
    let breaker = breaker(exact().failure_threshold(None).failure_ratio(None));
    record(&breaker, 10_000, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Closed);
    breaker.force_open();
    assert_eq!(breaker.state(), State::Open);
}

// --- the window

#[tokio::test(start_paused = true)]
async fn successes_older_than_the_window_weigh_nothing() {
    let breaker = breaker(exact().failure_threshold(None));
    record(&breaker, 10_000, Outcome::Success);
    advance(RECOVERY).await;
    record(&breaker, 19, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Closed);
    record(&breaker, 1, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn successes_within_the_window_weigh_exactly() {
    let breaker = breaker(exact().failure_threshold(None));
    record(&breaker, 10_000, Outcome::Success);
    advance(Duration::from_millis(29_999)).await;
    record(&breaker, 9_999, Outcome::FAILURE);
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.calls, snapshot.failures, snapshot.state),
        (19_999, 9_999, State::Closed)
    );
    record(&breaker, 1, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_call_longer_than_the_window_counts_when_it_ends() {
    let breaker = breaker(exact().failure_threshold(None));
    let permits: Vec<_> = (0..20).map(|_| breaker.try_acquire().unwrap()).collect();
    advance(SECOND * 45).await;
    for (n, permit) in permits.into_iter().enumerate() {
        permit.record(if n < 11 {
            Outcome::Success
        } else {
            Outcome::FAILURE
        });
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.calls, snapshot.failures), (20, 9));
    assert_eq!(snapshot.state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_new_closed_stay_begins_with_an_empty_window() {
    let breaker = recovering(exact()).await;
    record(&breaker, 3, Outcome::Success);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state, State::Closed);
    assert_eq!(
        (
            snapshot.calls,
            snapshot.failures,
            snapshot.consecutive_failures
        ),
        (0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn many_resets_within_a_tick_do_not_revive_old_counts() {
    let breaker = breaker(exact().failure_threshold(None));
    record(&breaker, 19, Outcome::FAILURE);
    for _ in 0..64 {
        breaker.reset();
        assert_eq!(breaker.snapshot().calls, 0);
    }
    record(&breaker, 1, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn however_often_it_is_forced_old_counts_stay_forgotten() {
    for times in 0..40 {
        let breaker = forced(times);
        breaker.reset();
        assert_eq!(breaker.snapshot().calls, 0, "{times}");
    }
}

#[tokio::test(start_paused = true)]
async fn counts_of_a_breaker_that_is_gone_are_no_others() {
    // Breakers that are gone leave their place, and their ticks begin anew with the next.
    for times in 0..40 {
        drop(forced(times));
        assert_eq!(breaker(exact()).snapshot().calls, 0, "{times}");
    }
}

// --- recovery

#[tokio::test(start_paused = true)]
async fn the_first_call_after_the_recovery_time_is_a_probe() {
    let breaker = breaker(exact());
    record(&breaker, 5, Outcome::FAILURE);
    advance(RECOVERY - Duration::from_millis(1)).await;
    assert_eq!(retry_after(&breaker), Duration::from_millis(1));
    advance(Duration::from_millis(1)).await;
    assert_eq!(breaker.retry_after(), None);
    assert_eq!(breaker.state(), State::Open);
    let probe = breaker.try_acquire().unwrap();
    assert!(probe.is_probe());
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().half_open_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn all_probes_must_succeed() {
    let breaker = recovering(exact()).await;
    record(&breaker, 2, Outcome::Success);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().half_open_successes, 2);
    record(&breaker, 1, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn one_failed_probe_opens_the_circuit_again() {
    for failed in [Outcome::FAILURE, LIMITED] {
        let breaker = recovering(exact()).await;
        record(&breaker, 2, Outcome::Success);
        record(&breaker, 1, failed);
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(retry_after(&breaker), RECOVERY * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn half_open_never_admits_more_than_its_probes() {
    let breaker = recovering(exact()).await;
    let clones: Vec<_> = (0..10).map(|_| breaker.clone()).collect();
    let permits: Vec<_> = clones
        .iter()
        .filter_map(|clone| clone.try_acquire().ok())
        .collect();
    assert_eq!(permits.len(), 3);
    assert_eq!(retry_after(&breaker), SECOND);
    // A success does not make room either: three are enough to decide.
    let mut permits = permits.into_iter();
    permits.next().unwrap().record(Outcome::Success);
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.retry_after(), Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn dropped_and_ignored_probes_make_room() {
    let breaker = recovering(exact()).await;
    for _ in 0..1_000 {
        drop(breaker.try_acquire().unwrap());
        breaker.try_acquire().unwrap().record(Outcome::Ignored);
    }
    let full: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    assert!(breaker.try_acquire().is_err());
    drop(full);
    record(&breaker, 3, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_time_open_doubles_up_to_its_maximum_and_starts_over_after_a_success() {
    let breaker = recovering(exact()).await;
    for open in [60, 120, 240, 300, 300] {
        record(&breaker, 1, Outcome::FAILURE);
        assert_eq!(retry_after(&breaker), SECOND * open);
        advance(SECOND * open).await;
    }
    assert_eq!(breaker.snapshot().failed_recoveries, 5);
    record(&breaker, 3, Outcome::Success);
    assert_eq!(breaker.snapshot().failed_recoveries, 0);
    record(&breaker, 5, Outcome::FAILURE);
    assert_eq!(retry_after(&breaker), RECOVERY);
    assert_eq!(breaker.snapshot().open_count, 7);
}

#[tokio::test(start_paused = true)]
async fn the_time_open_is_jittered_upwards() {
    let breaker = breaker(CircuitBreakerConfig::builder().failure_threshold(Some(1)));
    let mut times = Vec::new();
    for _ in 0..200 {
        record(&breaker, 1, Outcome::FAILURE);
        times.push(retry_after(&breaker));
        breaker.reset();
    }
    assert!(times.iter().all(|t| (RECOVERY..=SECOND * 36).contains(t)));
    times.sort();
    times.dedup();
    assert!(times.len() > 100, "{} different times", times.len());
}

#[tokio::test(start_paused = true)]
async fn retry_after_raises_the_time_open_and_is_capped() {
    let raised = breaker(exact().failure_threshold(Some(1)));
    record(&raised, 1, failing_for(SECOND * 100));
    assert_eq!(retry_after(&raised), SECOND * 100);

    let shorter = breaker(exact().failure_threshold(Some(1)));
    record(&shorter, 1, failing_for(SECOND));
    assert_eq!(retry_after(&shorter), RECOVERY);

    let absurd = breaker(exact().failure_threshold(Some(1)));
    record(&absurd, 1, failing_for(Duration::MAX));
    assert_eq!(retry_after(&absurd), SECOND * 300);

    let probe = recovering(exact()).await;
    let retry_after_of_probe = Some(SECOND * 200);
    record(
        &probe,
        1,
        Outcome::Limited {
            retry_after: retry_after_of_probe,
        },
    );
    assert_eq!(probe.retry_after(), retry_after_of_probe);
}

// --- outcomes that come late

#[tokio::test(start_paused = true)]
async fn stragglers_from_the_closed_stay_do_not_move_a_half_open_circuit() {
    let breaker = breaker(exact());
    let stragglers: Vec<_> = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
    record(&breaker, 5, Outcome::FAILURE);
    advance(RECOVERY).await;
    let probe = breaker.try_acquire().unwrap();
    let before = breaker.snapshot();
    for (n, straggler) in stragglers.into_iter().enumerate() {
        match n % 3 {
            0 => straggler.record(Outcome::FAILURE),
            1 => straggler.record(Outcome::Success),
            _ => drop(straggler),
        }
    }
    assert_eq!(breaker.snapshot(), before);
    probe.record(Outcome::Success);
    record(&breaker, 2, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn stragglers_do_not_count_in_a_later_closed_stay() {
    let breaker = breaker(exact());
    let straggler = breaker.try_acquire().unwrap();
    record(&breaker, 5, Outcome::FAILURE);
    advance(RECOVERY).await;
    record(&breaker, 3, Outcome::Success);
    record(&breaker, 4, Outcome::FAILURE);
    straggler.record(Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().calls, 4);
}

#[tokio::test(start_paused = true)]
async fn probes_of_an_earlier_cycle_do_not_decide_a_later_one() {
    let breaker = recovering(exact()).await;
    let (late_success, late_failure) = (
        breaker.try_acquire().unwrap(),
        breaker.try_acquire().unwrap(),
    );
    record(&breaker, 1, Outcome::FAILURE);
    advance(RECOVERY * 2).await;
    record(&breaker, 2, Outcome::Success);
    late_success.record(Outcome::Success);
    assert_eq!(breaker.snapshot().half_open_successes, 2);
    let before = breaker.snapshot();
    late_failure.record(Outcome::FAILURE);
    assert_eq!(breaker.snapshot(), before);
    assert_eq!(before.state, State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn late_failures_do_not_prolong_the_time_open() {
    let breaker = breaker(exact());
    let stragglers: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    record(&breaker, 5, Outcome::FAILURE);
    let opened = breaker.snapshot();
    advance(SECOND * 20).await;
    for straggler in stragglers {
        straggler.record(failing_for(SECOND * 250));
    }
    let later = breaker.snapshot();
    assert_eq!(later.opened_at, opened.opened_at);
    assert_eq!(later.last_failure, opened.last_failure);
    assert_eq!(later.open_count, 1);
    assert_eq!(retry_after(&breaker), SECOND * 10);
}

// --- hanging probes

#[tokio::test(start_paused = true)]
async fn a_half_open_cycle_whose_probes_hang_is_given_up() {
    let breaker = recovering(exact()).await;
    let hanging: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    advance(SECOND * 60 - Duration::from_millis(10)).await;
    assert_eq!(retry_after(&breaker), Duration::from_millis(10));
    assert_eq!(breaker.state(), State::HalfOpen);
    advance(Duration::from_millis(10)).await;
    assert_eq!(retry_after(&breaker), RECOVERY * 2);
    assert_eq!(breaker.state(), State::Open);

    // The permits of the dead cycle are worth nothing in the next.
    advance(RECOVERY * 2).await;
    let probe = breaker.try_acquire().unwrap();
    for permit in hanging {
        permit.record(Outcome::FAILURE);
    }
    assert_eq!(breaker.snapshot().half_open_in_flight, 1);
    probe.record(Outcome::Success);
    record(&breaker, 2, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_half_open_circuit_is_not_a_stuck_one() {
    let breaker = recovering(exact()).await;
    record(&breaker, 2, Outcome::Success);
    advance(SECOND * 3_600).await;
    let probe = breaker.try_acquire().unwrap();
    // The last permit was taken just now, so its probe is waited for.
    assert_eq!(retry_after(&breaker), SECOND);
    probe.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

// --- slow calls

fn slow_calls() -> CircuitBreakerConfigBuilder {
    exact().slow_call(Some(SlowCall {
        threshold: SECOND,
        ratio: 0.5,
    }))
}

#[tokio::test(start_paused = true)]
async fn slow_successes_open_the_circuit() {
    let breaker = breaker(slow_calls());
    record(&breaker, 10, Outcome::Success);
    let permits: Vec<_> = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
    advance(SECOND).await;
    for (n, permit) in permits.into_iter().enumerate() {
        assert_eq!(breaker.snapshot().slow_calls, u32::try_from(n).unwrap());
        permit.record(Outcome::Success);
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn calls_below_the_threshold_are_not_slow() {
    let breaker = breaker(slow_calls());
    let permits: Vec<_> = (0..40).map(|_| breaker.try_acquire().unwrap()).collect();
    advance(SECOND - Duration::from_millis(1)).await;
    for permit in permits {
        permit.record(Outcome::Success);
    }
    assert_eq!(breaker.snapshot().slow_calls, 0);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_has_failed() {
    let breaker = recovering(slow_calls()).await;
    let probe = breaker.try_acquire().unwrap();
    advance(SECOND).await;
    probe.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().failed_recoveries, 1);
}

// --- by hand

#[tokio::test(start_paused = true)]
async fn forced_open_stays_open_until_told_otherwise() {
    let breaker = breaker(exact());
    breaker.force_open();
    advance(SECOND * 86_400).await;
    assert_eq!(retry_after(&breaker), RECOVERY);
    assert!(breaker.snapshot().forced);
    assert_eq!(breaker.snapshot().retry_after, Some(RECOVERY));

    breaker.reset();
    assert!(!breaker.snapshot().forced);
    record(&breaker, 1, Outcome::Success);

    breaker.force_open();
    breaker.force_close();
    record(&breaker, 1, Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn forced_closed_ignores_failures_until_reset() {
    let breaker = breaker(exact());
    record(&breaker, 5, Outcome::FAILURE);
    breaker.force_close();
    record(&breaker, 1_000, Outcome::FAILURE);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.forced), (State::Closed, true));
    assert_eq!(snapshot.retry_after, None);

    let from_before = breaker.try_acquire().unwrap();
    breaker.reset();
    from_before.record(Outcome::FAILURE);
    assert_eq!(breaker.snapshot().consecutive_failures, 0);
    record(&breaker, 5, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn reset_forgets_everything_but_the_count_of_openings() {
    let breaker = recovering(exact()).await;
    record(&breaker, 1, Outcome::FAILURE);
    breaker.reset();
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state, State::Closed);
    assert_eq!((snapshot.opened_at, snapshot.last_failure), (None, None));
    assert_eq!((snapshot.failed_recoveries, snapshot.open_count), (0, 2));
    record(&breaker, 5, Outcome::FAILURE);
    assert_eq!(retry_after(&breaker), RECOVERY);
}

// --- the listener

#[tokio::test(start_paused = true)]
async fn the_listener_hears_every_transition_once() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let breaker = CircuitBreaker::with_listener(
        exact().build().unwrap(),
        Clock::tokio(),
        move |t: &Transition| log.lock().unwrap().push(*t),
    );
    let start = Clock::tokio().now();
    record(&breaker, 5, Outcome::FAILURE);
    advance(RECOVERY).await;
    record(&breaker, 1, Outcome::FAILURE);
    advance(RECOVERY * 2).await;
    record(&breaker, 3, Outcome::Success);
    breaker.force_open();
    breaker.force_open();
    breaker.force_close();
    breaker.force_close();
    breaker.reset();

    let heard = heard.lock().unwrap();
    let told: Vec<_> = heard.iter().map(|t| (t.from, t.to, t.reason)).collect();
    use State::{Closed, HalfOpen, Open};
    assert_eq!(
        told,
        [
            (Closed, Open, Reason::ConsecutiveFailures),
            (Open, HalfOpen, Reason::RecoveryElapsed),
            (HalfOpen, Open, Reason::ProbeFailed),
            (Open, HalfOpen, Reason::RecoveryElapsed),
            (HalfOpen, Closed, Reason::ProbesSucceeded),
            (Closed, Open, Reason::ForcedOpen),
            (Open, Closed, Reason::ForcedClosed),
            (Closed, Closed, Reason::Reset),
        ]
    );
    let generations: Vec<_> = heard.iter().map(|t| t.generation).collect();
    assert_eq!(generations, (1..=8).collect::<Vec<_>>());
    assert_eq!(heard[1].at, start + RECOVERY);
}

#[tokio::test(start_paused = true)]
async fn the_listener_may_use_the_breaker() {
    let slot = Arc::new(Mutex::new(None::<CircuitBreaker>));
    let inner = Arc::clone(&slot);
    let breaker = CircuitBreaker::with_listener(
        exact().build().unwrap(),
        Clock::tokio(),
        move |transition: &Transition| {
            let breaker = inner.lock().unwrap().clone().unwrap();
            assert_eq!(breaker.state(), transition.to);
            if transition.to == State::Open {
                assert_eq!(breaker.snapshot().open_count, 1);
            }
        },
    );
    *slot.lock().unwrap() = Some(breaker.clone());
    record(&breaker, 5, Outcome::FAILURE);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn the_parts_may_travel_between_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<CircuitBreaker>();
    sendable::<Permit>();
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_keeps_no_probe() {
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(Some(1))
        .half_open_max_calls(1)
        .build()
        .unwrap();
    let listener = |transition: &Transition| {
        assert!(transition.to != State::HalfOpen, "a bug in the listener");
    };
    let breaker = CircuitBreaker::with_listener(config, Clock::tokio(), listener);
    breaker.try_acquire().unwrap().record(Outcome::FAILURE);
    advance(RECOVERY * 2).await;
    let panicking = std::panic::AssertUnwindSafe(|| breaker.try_acquire());
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(breaker.snapshot().half_open_in_flight, 0);
    breaker.try_acquire().unwrap().record(Outcome::Success);
}
