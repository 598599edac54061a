//! Keys: their buckets, their number, and their end.

use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_rate_limit::{KeyedRateLimiter, Priority, Quota, RateLimiter, Waiting};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

fn quota(burst: u32) -> Quota {
    Quota::per_second(1).burst(burst).build().unwrap()
}

fn keyed(max_keys: usize) -> KeyedRateLimiter<u64> {
    KeyedRateLimiter::new(quota(2), max_keys, Clock::tokio())
}

#[tokio::test(start_paused = true)]
async fn a_key_is_limited_like_a_limiter_of_its_own() {
    let keyed = keyed(1_000);
    let alone = RateLimiter::new(quota(2), Clock::tokio());
    let mut state = 1_u64;
    for _ in 0..500 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        advance(Duration::from_millis((state >> 33) % 1_500)).await;
        assert_eq!(keyed.check(&7), alone.check());
        let _ = keyed.check(&8);
        assert_eq!(keyed.snapshot(&7), Some(alone.snapshot()));
    }
    assert_eq!(keyed.snapshot(&9), None);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_keys_do_not_stay() {
    let keyed = keyed(200_000);
    for key in 0..100_000 {
        assert!(keyed.check(&key).is_ok());
    }
    assert_eq!(keyed.len(), 100_000);
    // As long as their buckets are not full they stay.
    advance(SECOND / 2).await;
    assert!(keyed.check(&0).is_ok());
    assert_eq!(keyed.len(), 100_000);
    // A minute later the calls of one key sweep the others away, a part each.
    advance(SECOND * 60).await;
    let mut last = keyed.len();
    for _ in 0..64 {
        let _ = keyed.check(&0);
        let swept = last - keyed.len();
        assert!(swept <= 100_000 / 64 * 2, "{swept} keys in one call");
        last = keyed.len();
    }
    assert_eq!(keyed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn steady_traffic_sweeps_every_key_within_two_rounds() {
    let keyed = keyed(10_000);
    for key in 1..=5_000 {
        let _ = keyed.check(&key);
    }
    for _ in 0..600 {
        let _ = keyed.check(&0);
        advance(SECOND / 10).await;
    }
    assert_eq!(keyed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_used_or_waited_for_stays() {
    let keyed = KeyedRateLimiter::new(
        Quota::per_minute(1).burst(1).build().unwrap(),
        1_000,
        Clock::tokio(),
    );
    keyed.check(&1).unwrap();
    keyed.check(&2).unwrap();
    let waiting = Waiting {
        max_wait: SECOND * 600,
        max_waiting: 10,
    };
    let place = keyed.acquire(&2, &waiting, Priority::Normal, None);
    // Long enough for both buckets to be full; nobody polls the one who waits.
    for minute in 0..5 {
        advance(SECOND * 60).await;
        for _ in 0..64 {
            let _ = keyed.check(&3);
        }
        assert_eq!(keyed.len(), 2, "minute {minute}");
        assert_eq!(keyed.snapshot(&2).map(|seen| seen.waiting), Some(1));
        assert_eq!(keyed.snapshot(&1), None);
    }
    assert!(keyed.check(&2).is_err());
    drop(place);
    assert!(keyed.check(&2).is_ok());
    // Nobody waits any more, and in a while its bucket is full.
    for _ in 0..2 {
        advance(SECOND * 60).await;
        for _ in 0..64 {
            let _ = keyed.check(&3);
        }
    }
    assert_eq!((keyed.snapshot(&2), keyed.len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_lands_in_one_bucket() {
    let keyed = keyed(100);
    for key in 0..100 {
        assert!(keyed.check(&key).is_ok());
    }
    // All further keys have one burst of two between them.
    let passed = (1_000..11_000)
        .filter(|key| keyed.check(key).is_ok())
        .count();
    assert_eq!(passed, 2);
    assert_eq!(keyed.len(), 100);
    assert_eq!(keyed.overflow().tokens, 0);
    // Known keys keep what they have.
    assert!((0..100).all(|key| keyed.check(&key).is_ok()));
    assert!((0..100).all(|key| keyed.check(&key).is_err()));
}

#[tokio::test(start_paused = true)]
async fn room_is_made_for_a_new_key_when_others_are_idle() {
    let keyed = keyed(1_000);
    for key in 0..1_000 {
        assert!(keyed.check(&key).is_ok());
    }
    advance(SECOND).await;
    // All buckets are full again, though no sweep has come round to most of them.
    for key in 5_000..5_100 {
        assert!(keyed.check(&key).is_ok());
        assert!(keyed.snapshot(&key).is_some(), "key {key} has no bucket");
    }
    assert!(keyed.len() <= 1_000);
    assert_eq!(keyed.overflow().tokens, 2);
}

#[tokio::test(start_paused = true)]
async fn few_known_keys_that_are_idle_keep_no_new_one_out() {
    for cap in [1, 4, 10, 50, 100, 1_000] {
        let keyed = keyed(cap);
        let cap = cap as u64;
        for key in 0..cap {
            keyed.check(&key).unwrap();
        }
        advance(SECOND * 3600).await;
        for key in cap..2 * cap {
            keyed.check(&key).unwrap();
            assert!(keyed.snapshot(&key).is_some(), "key {key} of {cap}");
            advance(SECOND / 10).await;
        }
        assert_eq!(keyed.overflow().tokens, 2, "{cap}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_room_for_any_key_all_share_one_bucket() {
    let keyed = keyed(0);
    let passed = (0..10).filter(|key| keyed.check(key).is_ok()).count();
    assert_eq!(passed, 2);
    assert!(keyed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_queue_of_its_own() {
    let keyed = keyed(10);
    for _ in 0..2 {
        keyed.check(&1).unwrap();
        keyed.check(&2).unwrap();
    }
    let waiting = Waiting {
        max_wait: SECOND * 10,
        max_waiting: 1,
    };
    let acquire = |key| keyed.acquire(&key, &waiting, Priority::Normal, None);
    let start = Clock::tokio().now();
    let (one, two) = (acquire(1), acquire(2));
    assert!(matches!(acquire(1).decision(), Some(Err(_))));
    assert!(tokio::join!(one, two).0.is_ok());
    assert_eq!(Clock::tokio().now() - start, SECOND);
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_keys() {
    let keyed = keyed(10);
    let clone = keyed.clone();
    keyed.check(&1).unwrap();
    clone.check(&1).unwrap();
    assert!(keyed.check(&1).is_err());
    assert_eq!((clone.len(), clone.max_keys()), (1, 10));
}
