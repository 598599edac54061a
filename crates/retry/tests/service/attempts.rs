use std::{sync::Arc, task::Poll, time::Duration};

use bartizan_backoff::{Backoff, Jitter};
use bartizan_classify::RequestClass;
use bartizan_clock::Clock;
use bartizan_retry::{GiveUp, Reason, RetryBudget, RetryConfig, RetryLayer};
use tower::{Layer, Service, ServiceExt};

use crate::cancellation::spawn;
use crate::script::{
    Answer, BROKEN, BUSY, Broken, Call, FINE, Outcome, Rules, Seen, Step, at_once, busy_for,
    config, seconds, service,
};

/// Calls once through the layer, by a policy that calls share.
async fn call(
    rules: &Rules,
    config: RetryConfig,
    budget: Option<RetryBudget>,
    steps: &[Outcome],
    request: Call,
) -> (Outcome, Seen) {
    let (probe, seen) = service(steps.iter().copied().map(at_once));
    let layer = RetryLayer::new(Arc::new(rules.clone()), config, budget, Clock::tokio());
    (layer.layer(probe).oneshot(request).await, seen)
}

fn of_reserve(per_second: u32) -> RetryBudget {
    RetryBudget::new(0.0, per_second, 0, Clock::tokio()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn repeats_until_it_succeeds() {
    let rules = Rules::default();
    let steps = [BROKEN, BUSY, FINE];
    let (outcome, seen) = call(&rules, config(5), None, &steps, Call::default()).await;
    assert_eq!(outcome, FINE);
    let expected = [(None, 0.0), (Some(2), 1.0), (Some(3), 3.0)];
    assert_eq!(seconds(&seen), expected);
    let told = rules.told();
    let second = Duration::from_secs(1);
    let retries = [
        (2, second, Reason::NotSent),
        (3, 2 * second, Reason::Limited),
    ];
    assert_eq!(told.retries, retries);
    assert_eq!(told.gave_up, []);
    assert_eq!(told.finished, [(FINE, 3)]);
    assert_eq!(told.classes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_refused_inside_leaves_the_outcome_before_it() {
    const REJECTED: Outcome = Err(Broken::Rejected);
    let steps = [BROKEN, BUSY, REJECTED];
    for (keeps, outcome, attempts, gave_up) in [
        (true, BUSY, 2, &[GiveUp::Refused][..]),
        (false, REJECTED, 2, &[]),
    ] {
        let rules = Rules {
            keeps,
            ..Rules::default()
        };
        let (last, seen) = call(&rules, config(5), None, &steps, Call::default()).await;
        assert_eq!(last, outcome);
        assert_eq!(seen.lock().unwrap().len(), 3);
        let told = rules.told();
        assert_eq!(told.gave_up, gave_up);
        assert_eq!(told.finished, [(outcome, attempts)]);
    }
    for keeps in [true, false] {
        let rules = Rules {
            keeps,
            ..Rules::default()
        };
        let budget = RetryBudget::new(1.0, 0, 9, Clock::tokio()).unwrap();
        budget.deposit();
        let paying = Some(budget.clone());
        let _ = call(&rules, config(5), paying, &steps, Call::default()).await;
        assert_eq!(budget.balance(), 1.0, "one retry of two was sent");
    }
    // Nothing was sent before it: it is the outcome.
    let rules = Rules {
        keeps: true,
        ..Rules::default()
    };
    let (last, _) = call(&rules, config(5), None, &[REJECTED], Call::default()).await;
    assert_eq!(last, REJECTED);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_and_not_repetitions() {
    let rules = Rules::default();
    let last = busy_for(1);
    let steps = [BROKEN, BROKEN, last];
    let (outcome, seen) = call(&rules, config(3), None, &steps, Call::default()).await;
    assert_eq!(outcome, last, "the last outcome as it is");
    assert_eq!(seen.lock().unwrap().len(), 3);
    let told = rules.told();
    assert_eq!(told.gave_up, [GiveUp::AttemptsExhausted]);
    assert_eq!(told.finished, [(last, 3)]);
    assert_eq!(told.copies, 2, "none for after the last attempt");
}

#[tokio::test(start_paused = true)]
async fn with_one_attempt_nothing_is_copied_or_asked() {
    let rules = Rules::default();
    let (outcome, _) = call(&rules, config(1), None, &[BROKEN], Call::default()).await;
    assert_eq!(outcome, BROKEN);
    let told = rules.told();
    assert_eq!((told.copies, told.classes, told.verdicts), (0, 0, 0));
    assert_eq!(told.finished, [(BROKEN, 1)]);
    assert_eq!(told.gave_up, []);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_copy_is_sent_once() {
    for copies in [0, 1] {
        let rules = Rules {
            copies: Some(copies),
            ..Rules::default()
        };
        let steps = [BROKEN, BROKEN];
        let (outcome, seen) = call(&rules, config(9), None, &steps, Call::default()).await;
        assert_eq!(outcome, BROKEN);
        assert_eq!(seen.lock().unwrap().len(), copies as usize + 1);
        assert_eq!(rules.told().gave_up, [GiveUp::NotReplayable]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_can_no_longer_be_sent_is_not() {
    let rules = Rules {
        unsendable: true,
        ..Rules::default()
    };
    let budget = of_reserve(1);
    let steps = [BROKEN];
    let (outcome, _) = call(
        &rules,
        config(9),
        Some(budget.clone()),
        &steps,
        Call::default(),
    )
    .await;
    assert_eq!(outcome, BROKEN);
    assert_eq!(rules.told().gave_up, [GiveUp::NotReplayable]);
    assert!(budget.withdraw(), "it cost nothing");
}

#[tokio::test(start_paused = true)]
async fn the_class_reaches_the_verdict() {
    for (class, attempts) in [(RequestClass::Unsafe, 1), (RequestClass::Idempotent, 2)] {
        let rules = Rules::default();
        let steps = [Err(Broken::TimedOut), FINE];
        let request = Call {
            class,
            ..Call::default()
        };
        let (_, seen) = call(&rules, config(3), None, &steps, request).await;
        assert_eq!(seen.lock().unwrap().len(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_costs_neither_attempt_nor_budget() {
    let rules = Rules::default();
    let rejected = Err(Broken::Rejected);
    let budget = of_reserve(1);
    let (outcome, seen) = call(
        &rules,
        config(3),
        Some(budget.clone()),
        &[rejected],
        Call::default(),
    )
    .await;
    assert_eq!(outcome, rejected);
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(rules.told().gave_up, []);
    assert!(budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn retry_after_wins_when_it_is_longer() {
    let rules = Rules::default();
    let steps = [busy_for(7), busy_for(1), FINE];
    let (outcome, seen) = call(&rules, config(3), None, &steps, Call::default()).await;
    assert_eq!(outcome, FINE);
    assert_eq!(
        seconds(&seen),
        [(None, 0.0), (Some(2), 7.0), (Some(3), 9.0)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_maximum_is_for_the_caller() {
    for (after, attempts) in [(10, 2), (11, 1), (u64::MAX, 1)] {
        let rules = Rules::default();
        let budget = of_reserve(1);
        let steps = [busy_for(after), FINE];
        let (outcome, seen) = call(
            &rules,
            config(3),
            Some(budget.clone()),
            &steps,
            Call::default(),
        )
        .await;
        assert_eq!(seen.lock().unwrap().len(), attempts, "{after}");
        if attempts == 1 {
            assert_eq!(outcome, busy_for(after));
            assert_eq!(rules.told().gave_up, [GiveUp::RetryAfterTooLong]);
            assert!(budget.withdraw(), "it cost nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_at_the_deadline() {
    // Delays of 1 s and 2 s.
    for (milliseconds, attempts) in [(999, 1), (1_000, 1), (1_002, 2), (3_000, 2), (3_010, 3)] {
        let rules = Rules::default();
        let budget = of_reserve(9);
        let start = Clock::tokio().now();
        let deadline = start + Duration::from_millis(milliseconds);
        let request = Call {
            deadline: Some(deadline),
            ..Call::default()
        };
        let steps = [BROKEN; 3];
        let (_, seen) = call(&rules, config(3), Some(budget.clone()), &steps, request).await;
        assert_eq!(seen.lock().unwrap().len(), attempts, "{milliseconds} ms");
        if attempts < 3 {
            assert_eq!(rules.told().gave_up, [GiveUp::DeadlineTooClose]);
            // Not after a wait that was for nothing.
            let waited = (Clock::tokio().now() - start).as_secs();
            assert_eq!(waited, attempts as u64 - 1, "{milliseconds} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_is_for_the_caller() {
    let rules = Rules::default();
    let request = Call {
        deadline: Some(Clock::tokio().now() + Duration::from_secs(5)),
        ..Call::default()
    };
    let start = Clock::tokio().now();
    let (outcome, _) = call(&rules, config(3), None, &[busy_for(6)], request).await;
    assert_eq!(outcome, busy_for(6));
    assert_eq!(rules.told().gave_up, [GiveUp::DeadlineTooClose]);
    assert_eq!(Clock::tokio().now(), start, "and at once");
}

#[tokio::test(start_paused = true)]
async fn a_late_timer_does_not_carry_an_attempt_past_the_deadline() {
    let rules = Rules::default();
    let budget = RetryBudget::new(1.0, 0, 9, Clock::tokio()).unwrap();
    let (probe, seen) = service([at_once(BROKEN)]);
    let layer = RetryLayer::new(
        rules.clone(),
        config(3),
        Some(budget.clone()),
        Clock::tokio(),
    );
    let request = Call {
        deadline: Some(Clock::tokio().now() + Duration::from_millis(1_500)),
        ..Call::default()
    };
    let mut call = spawn(layer.layer(probe).oneshot(request));
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(call.poll(), Poll::Ready(BROKEN));
    assert_eq!(rules.told().gave_up, [GiveUp::DeadlineTooClose]);
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(budget.balance(), 1.0, "the retry went back");
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_retries_of_all_clones_and_services_together() {
    let rules = Rules::default();
    let budget = RetryBudget::new(0.5, 0, 100, Clock::tokio()).unwrap();
    let layer = RetryLayer::new(
        rules.clone(),
        config(3),
        Some(budget.clone()),
        Clock::tokio(),
    );
    let (probe, seen) = service(std::iter::repeat_n(at_once(BROKEN), 1_000));
    for call in 0..100 {
        // A service of its own every second time, as axum makes them.
        let service = if call % 2 == 0 {
            layer.layer(probe.clone())
        } else {
            layer.clone().layer(probe.clone()).clone()
        };
        assert_eq!(service.oneshot(Call::default()).await, BROKEN);
    }
    assert_eq!(seen.lock().unwrap().len(), 150);
    assert_eq!(rules.told().retries.len(), 50);
    assert_eq!(budget.balance(), 0.0);
    let exhausted = rules
        .told()
        .gave_up
        .iter()
        .filter(|why| **why == GiveUp::BudgetExhausted)
        .count();
    assert!(exhausted >= 50);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_budget_is_bounded_by_its_attempts() {
    let rules = Rules::default();
    let (probe, seen) = service([at_once(BROKEN); 3]);
    let budget = RetryBudget::new(0.1, 0, 1, Clock::tokio()).unwrap();
    let layer = RetryLayer::new(rules, config(3), Some(budget), Clock::tokio());
    let mut service = layer.layer(probe);
    drop(layer);
    let response = service.ready().await.unwrap().call(Call::default());
    drop(service);
    assert_eq!(response.await, BROKEN);
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn jitter_stays_below_what_it_jitters() {
    for (jitter, low) in [
        (Jitter::Full, 0.0),
        (Jitter::Equal, 0.5),
        (Jitter::Decorrelated, 1.0),
    ] {
        let backoff = Backoff::exponential(Duration::from_secs(1))
            .max(Duration::from_secs(10))
            .jitter(jitter)
            .build()
            .unwrap();
        let config = RetryConfig::builder()
            .max_attempts(6)
            .backoff(backoff)
            .build()
            .unwrap();
        let mut longest = 0.0_f64;
        for _ in 0..50 {
            let rules = Rules::default();
            call(&rules, config, None, &[BROKEN; 6], Call::default())
                .await
                .0
                .unwrap_err();
            let told = rules.told();
            let delays = told.retries.iter().map(|(_, delay, _)| delay.as_secs_f64());
            let mut previous = 1.0_f64;
            for (retry, delay) in delays.enumerate() {
                let grown = f64::from(1_u32 << retry);
                let (low, high) = if jitter == Jitter::Decorrelated {
                    (low, previous * 3.0)
                } else {
                    (low * grown.min(10.0), grown)
                };
                assert!(
                    delay >= low && delay <= high.min(10.0),
                    "{jitter:?} {delay}"
                );
                previous = delay;
                longest = longest.max(delay);
            }
        }
        assert!(longest > 5.0, "{jitter:?} grows");
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempt_before_is_over_before_the_delay_begins() {
    let rules = Rules::default();
    let step = |outcome| Step {
        takes: Duration::from_millis(300),
        outcome,
    };
    let (probe, seen) = service([step(BUSY), step(FINE)]);
    let state = probe.state();
    let layer = RetryLayer::new(rules, config(2), None, Clock::tokio());
    let mut call = spawn(layer.layer(probe).oneshot(Call::default()));
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_millis(300)).await;
    assert!(call.poll().is_pending());
    assert_eq!(state.completed(), 1, "its future is dropped");
    let outcome = call.await;
    assert_eq!(outcome, Ok(Answer::Fine));
    assert_eq!(seen.lock().unwrap().len(), 2);
}
