//! Two threads and more over one breaker, on the real clock.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, State};
use bartizan_classify::Outcome;
use bartizan_clock::Clock;

#[test]
fn no_call_is_lost_or_counted_twice() {
    const CALLS: u32 = 50_000;
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(None)
        .failure_ratio(None)
        .window(Duration::from_secs(3_600))
        .build()
        .unwrap();
    let breaker = CircuitBreaker::new(config, Clock::default());
    let start = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let breaker = breaker.clone();
                start.wait();
                for n in 0..CALLS {
                    let outcome = if n % 5 == 0 {
                        Outcome::FAILURE
                    } else {
                        Outcome::Success
                    };
                    breaker.try_acquire().unwrap().record(outcome);
                }
            });
        }
    });
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.calls, 2 * CALLS);
    assert_eq!(snapshot.failures, 2 * CALLS / 5);
}

const PROBES: usize = 3;

/// Opens at the first failure and recovers at once.
fn restless() -> CircuitBreaker {
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(Some(1))
        .recovery_timeout(Duration::from_nanos(1))
        .recovery_timeout_max(Duration::from_nanos(1))
        .half_open_max_calls(PROBES as u32)
        .build()
        .unwrap();
    CircuitBreaker::new(config, Clock::default())
}

#[test]
fn half_open_never_admits_more_than_its_probes() {
    let breaker = restless();
    for _ in 0..500 {
        breaker.try_acquire().unwrap().record(Outcome::FAILURE);
        let start = Barrier::new(4);
        let permits: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (breaker, start) = (breaker.clone(), &start);
                    scope.spawn(move || {
                        start.wait();
                        [breaker.try_acquire(), breaker.try_acquire()]
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .filter_map(Result::ok)
                .collect()
        });
        assert_eq!(permits.len(), PROBES);
        for permit in permits {
            permit.record(Outcome::Success);
        }
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[test]
fn no_mixture_of_endings_wedges_the_circuit() {
    let breaker = restless();
    let (probes, closings) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for seed in 0..4 {
            let (breaker, start) = (&breaker, &start);
            let (probes, closings) = (&probes, &closings);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                start.wait();
                for _ in 0..30_000 {
                    let Ok(permit) = breaker.try_acquire() else {
                        continue;
                    };
                    if !permit.is_probe() {
                        closings.fetch_add(1, Ordering::Relaxed);
                        permit.record(Outcome::FAILURE);
                        continue;
                    }
                    probes.fetch_add(1, Ordering::Relaxed);
                    if random.u8(..) < 32 {
                        thread::yield_now();
                    }
                    match random.u8(..) {
                        0..20 => permit.record(Outcome::FAILURE),
                        20..40 => drop(permit),
                        40..50 => permit.record(Outcome::Ignored),
                        _ => permit.record(Outcome::Success),
                    }
                }
            });
        }
    });
    assert!(probes.into_inner() > 1_000);
    assert!(closings.into_inner() > 100);

    // Whatever happened, the way back is open.
    for _ in 0..10 {
        match breaker.try_acquire() {
            Ok(permit) => permit.record(Outcome::Success),
            Err(open) => panic!("{open:?} {:?}", breaker.snapshot()),
        }
    }
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.state, snapshot.half_open_in_flight),
        (State::Closed, 0)
    );
}

#[test]
fn simultaneous_failures_open_the_circuit_once() {
    for _ in 0..200 {
        let config = CircuitBreakerConfig::builder()
            .failure_threshold(Some(2))
            .build()
            .unwrap();
        let breaker = CircuitBreaker::new(config, Clock::default());
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                let permit = breaker.try_acquire().unwrap();
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    permit.record(Outcome::FAILURE);
                });
            }
        });
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state, snapshot.open_count), (State::Open, 1));
        assert_eq!(snapshot.generation, 1);
    }
}

#[test]
fn failures_of_many_threads_reach_the_ratio_together() {
    const THREADS: u32 = 12;
    for _ in 0..200 {
        let config = CircuitBreakerConfig::builder()
            .failure_threshold(None)
            .failure_ratio(Some(1.0))
            .minimum_calls(THREADS)
            .build()
            .unwrap();
        let breaker = CircuitBreaker::new(config, Clock::default());
        let start = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                let permit = breaker.try_acquire().unwrap();
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    permit.record(Outcome::FAILURE);
                });
            }
        });
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state, snapshot.open_count), (State::Open, 1));
    }
}
