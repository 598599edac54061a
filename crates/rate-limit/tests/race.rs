//! Two threads and one bucket.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_rate_limit::{KeyedRateLimiter, Priority, Quota, RateLimiter, Waiting};

/// A quota that brings nothing while the test runs.
fn hourly(burst: u32) -> Quota {
    Quota::per_minute(1).burst(burst).build().unwrap()
}

#[test]
fn two_threads_get_the_burst_between_them_and_no_more() {
    for _ in 0..20 {
        let limiter = RateLimiter::new(hourly(10_000), Clock::counter());
        let passed = race(|_| (0..10_000).filter(|_| limiter.check().is_ok()).count());
        assert_eq!(passed, 10_000);
    }
}

#[test]
fn two_threads_get_the_bursts_of_all_keys_and_no_more() {
    for _ in 0..20 {
        let limiter = KeyedRateLimiter::<u64>::new(hourly(10), 1_000, Clock::counter());
        let passed = race(|_| {
            let calls = (0..20).flat_map(|_| 0..1_000);
            calls.filter(|key| limiter.check(key).is_ok()).count()
        });
        assert_eq!((passed, limiter.len()), (10_000, 1_000));
    }
}

#[test]
fn two_threads_with_new_keys_do_not_pass_the_cap() {
    for _ in 0..20 {
        let limiter = KeyedRateLimiter::<u64>::new(hourly(1), 500, Clock::counter());
        let passed = race(|thread| {
            let keys = (0..1_000).map(|key| key * 2 + thread);
            keys.filter(|key| limiter.check(key).is_ok()).count()
        });
        // Each key that found room, and one for all others.
        assert_eq!((passed, limiter.len()), (501, 500));
    }
}

fn race(calls: impl Fn(u64) -> usize + Sync) -> usize {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let threads = [0, 1].map(|thread| {
            let (start, calls) = (&start, &calls);
            scope.spawn(move || {
                start.wait();
                calls(thread)
            })
        });
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_threads_of_waiting_and_dropped_calls_leave_nothing_behind() {
    let quota = Quota::per_second(5_000).burst(10).build().unwrap();
    let clock = Clock::counter();
    let limiter = RateLimiter::new(quota, clock);
    let passed = std::sync::Arc::new(AtomicUsize::new(0));
    let waiting = Waiting {
        max_wait: Duration::from_secs(30),
        max_waiting: 1_000,
    };
    let start = clock.now();
    let calls: Vec<_> = (0..300_u32)
        .map(|number| {
            let (limiter, passed) = (limiter.clone(), passed.clone());
            tokio::spawn(async move {
                let priority = [Priority::Low, Priority::Normal, Priority::High];
                let priority = priority[number as usize % 3];
                let acquire = limiter.acquire(&waiting, priority, None);
                // A third gives up before, at about, or after its turn.
                let patience = match number % 7 {
                    0 => Duration::ZERO,
                    1 => Duration::from_millis(u64::from(number % 60)),
                    _ => Duration::from_secs(60),
                };
                if let Ok(result) = tokio::time::timeout(patience, acquire).await {
                    result.unwrap();
                    passed.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let elapsed = clock.now() - start;
    let passed = passed.load(Ordering::SeqCst) as u128;
    assert!(passed >= 300 * 5 / 7);
    assert!(passed <= 10 + elapsed.as_nanos() / quota.interval().as_nanos() + 1);
    assert_eq!(limiter.snapshot().waiting, 0);
}
