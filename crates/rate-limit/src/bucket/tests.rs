use bartizan_clock::Clock;
use proptest::prelude::*;
use tokio::{runtime::Builder, time::advance};

use super::*;

fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(test)
}

/// A bucket with its quota and a clock.
struct Timed(Bucket, Quota);

impl Timed {
    fn take(&self) -> Result<Allowed, Instant> {
        self.0.take(self.1, now())
    }

    fn brings(&self, tokens: usize) -> Instant {
        self.0.brings(tokens, self.1, now())
    }

    fn level(&self) -> (u32, Option<Instant>) {
        let seen = self.0.snapshot(self.1, now());
        assert_eq!(self.0.is_full(now()), seen.tokens == seen.limit);
        (seen.tokens, seen.last_refill)
    }

    fn interval(&self) -> Duration {
        self.1.interval()
    }
}

fn now() -> Instant {
    Clock::tokio().now()
}

fn bucket(per_minute: u32, burst: u32) -> Timed {
    let quota = Quota::per_minute(per_minute).burst(burst).build().unwrap();
    Timed(Bucket::full(), quota)
}

#[tokio::test(start_paused = true)]
async fn an_idle_bucket_lets_the_burst_through_and_no_more() {
    let bucket = bucket(100, 20);
    advance(Duration::from_secs(3600)).await;
    for remaining in (0..20).rev() {
        let limit = 20;
        assert_eq!(bucket.take(), Ok(Allowed { limit, remaining }));
    }
    let next = bucket.take().unwrap_err();
    assert_eq!((next - now()), Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_exact_over_hours_however_unevenly_calls_come() {
    let mut random = Lcg(7);
    for per_minute in [100, 7, 1_111] {
        let bucket = bucket(per_minute, 20);
        let interval = bucket.interval();
        let start = now();
        let mut taken = 0;
        loop {
            while bucket.take().is_ok() {
                taken += 1;
            }
            let elapsed = now() - start;
            // Every token that ever came was taken, and no other.
            let brought = elapsed.as_nanos() / interval.as_nanos();
            assert_eq!(taken, 20 + brought, "{per_minute} a minute");
            if elapsed > Duration::from_secs(10 * 3600) {
                let asked_for = u128::from(per_minute) * elapsed.as_nanos() / 60_000_000_000;
                assert_eq!(taken, 20 + asked_for, "{per_minute} a minute");
                break;
            }
            // Not so long that the bucket is full before.
            let intervals = random.below(19_000_000) as f64 / 1e6;
            advance(interval.mul_f64(intervals)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_level_is_seen_without_taking() {
    let bucket = bucket(60, 3);
    assert_eq!(bucket.level(), (3, None));
    let start = now();
    bucket.take().unwrap();
    bucket.take().unwrap();
    assert_eq!(bucket.level(), (1, Some(start)));
    advance(Duration::from_millis(999)).await;
    assert_eq!(bucket.level(), (1, Some(start)));
    advance(Duration::from_millis(1)).await;
    let second = start + Duration::from_secs(1);
    assert_eq!(bucket.level(), (2, Some(second)));
    advance(Duration::from_millis(300)).await;
    assert_eq!(bucket.level(), (2, Some(second)));
    advance(Duration::from_millis(700)).await;
    assert_eq!(bucket.level(), (3, None));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_takes_a_year_to_fill_has_room_in_64_bits() {
    let quota = Quota::per_minute(1).burst(525_600).build().unwrap();
    let bucket = Timed(Bucket::full(), quota);
    advance(Duration::from_secs(50 * 365 * 24 * 3600)).await;
    for _ in 0..525_600 {
        bucket.take().unwrap();
    }
    let next = bucket.take().unwrap_err();
    assert_eq!((next - now()), Duration::from_secs(60));
    assert_eq!(bucket.brings(1), next);
    assert_eq!(bucket.level().0, 0);
}

#[test]
fn whoever_is_told_to_come_back_is_not_told_at_once() {
    paused(async {
        let quota = bucket(60, 1).1;
        let limited = RateLimited::until(now(), quota, now());
        assert_eq!(limited.retry_after, Duration::from_secs(1));
    });
}

/// A little randomness that is the same in every run.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

fn steps() -> impl Strategy<Value = Vec<(u64, usize)>> {
    // Waits of up to three seconds, half of them short, and bunches of calls.
    let wait = prop_oneof![0_u64..50_000_000, 0_u64..3_000_000_000];
    proptest::collection::vec((wait, 0_usize..12), 1..60)
}

proptest! {
    #[test]
    fn no_interval_sees_more_than_burst_and_rate_allow(
        per_minute in 1_u32..5_000,
        burst in 1_u32..30,
        steps in steps(),
    ) {
        paused(async {
            let bucket = bucket(per_minute, burst);
            let mut admitted = Vec::new();
            for (wait, calls) in steps {
                advance(Duration::from_nanos(wait)).await;
                for _ in 0..calls {
                    if bucket.take().is_ok() {
                        admitted.push(now());
                    }
                }
            }
            let interval = bucket.interval().as_nanos();
            for (i, from) in admitted.iter().enumerate() {
                for (j, to) in admitted.iter().enumerate().skip(i) {
                    let allowed = u128::from(burst) + (*to - *from).as_nanos() / interval;
                    prop_assert!((j - i + 1) as u128 <= allowed);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_time_of_the_next_token_is_true_to_the_nanosecond(
        per_minute in 1_u32..5_000,
        burst in 1_u32..30,
        steps in steps(),
    ) {
        paused(async {
            let bucket = bucket(per_minute, burst);
            for (wait, _) in steps {
                advance(Duration::from_nanos(wait)).await;
                while bucket.take().is_ok() {}
                let next = bucket.take().unwrap_err();
                prop_assert_eq!(bucket.brings(1), next);
                advance((next - now()) - Duration::from_nanos(1)).await;
                prop_assert!(bucket.take().is_err());
                prop_assert_eq!(bucket.level().0, 0);
                advance(Duration::from_nanos(1)).await;
                prop_assert_eq!(bucket.level().0, 1);
                prop_assert!(bucket.take().is_ok());
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_the_bucket_will_bring_it_brings(
        per_minute in 1_u32..5_000,
        burst in 1_u32..30,
        steps in steps(),
        ahead in 0_usize..40,
    ) {
        paused(async {
            let bucket = bucket(per_minute, burst);
            for (wait, calls) in steps {
                advance(Duration::from_nanos(wait)).await;
                for _ in 0..calls {
                    let _ = bucket.take();
                }
                let (tokens, _) = bucket.level();
                prop_assert_eq!(bucket.brings(1) == now(), tokens > 0);
            }
            let turn = bucket.brings(ahead + 1);
            for _ in 0..ahead {
                while let Err(next) = bucket.take() {
                    prop_assert!(next <= turn);
                    advance(next - now()).await;
                }
            }
            if let Err(next) = bucket.take() {
                prop_assert_eq!(next, turn);
            } else {
                prop_assert!(now() >= turn);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_level_is_how_many_can_be_taken(
        per_minute in 1_u32..5_000,
        burst in 1_u32..30,
        steps in steps(),
    ) {
        paused(async {
            let bucket = bucket(per_minute, burst);
            for (wait, calls) in steps {
                advance(Duration::from_nanos(wait)).await;
                let (tokens, _) = bucket.level();
                for call in 0..calls {
                    match bucket.take() {
                        Ok(allowed) => {
                            prop_assert_eq!(allowed.remaining, tokens - 1 - call as u32);
                        }
                        Err(_) => prop_assert!(call as u32 >= tokens),
                    }
                }
            }
            Ok(())
        })?;
    }
}
