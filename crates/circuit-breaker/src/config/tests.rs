use proptest::prelude::{prop_assert, proptest};

use super::*;

fn builder() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = CircuitBreakerConfig::default();
    assert_eq!(config.failure_threshold(), Some(5));
    assert_eq!(config.failure_ratio(), Some(0.5));
    assert_eq!(config.window(), secs(30));
    assert_eq!(config.minimum_calls(), 20);
    assert_eq!(config.recovery_timeout(), secs(30));
    assert_eq!(config.recovery_timeout_max(), secs(300));
    assert_eq!(config.recovery_jitter(), 0.2);
    assert_eq!(config.half_open_max_calls(), 3);
    assert_eq!(config.half_open_timeout(), secs(60));
    assert_eq!(config.slow_call(), None);
}

#[test]
fn each_value_arrives_where_it_belongs() {
    let slow_call = SlowCall {
        threshold: secs(2),
        ratio: 0.9,
    };
    let config = builder()
        .failure_threshold(None)
        .failure_ratio(Some(0.25))
        .window(secs(11))
        .minimum_calls(7)
        .recovery_timeout(secs(3))
        .recovery_timeout_max(secs(13))
        .recovery_jitter(0.5)
        .half_open_max_calls(4)
        .half_open_timeout(secs(17))
        .slow_call(Some(slow_call))
        .build()
        .unwrap();
    assert_eq!(config.failure_threshold(), None);
    assert_eq!(config.failure_ratio(), Some(0.25));
    assert_eq!(config.window(), secs(11));
    assert_eq!(config.minimum_calls(), 7);
    assert_eq!(config.recovery_timeout(), secs(3));
    assert_eq!(config.recovery_timeout_max(), secs(13));
    assert_eq!(config.recovery_jitter(), 0.5);
    assert_eq!(config.half_open_max_calls(), 4);
    assert_eq!(config.half_open_timeout(), secs(17));
    assert_eq!(config.slow_call(), Some(slow_call));
}

#[test]
fn nonsense_is_refused() {
    let slow = |threshold, ratio| builder().slow_call(Some(SlowCall { threshold, ratio }));
    for (builder, error) in [
        (
            builder().failure_threshold(Some(0)),
            InvalidConfig::FailureThreshold,
        ),
        (
            builder().failure_ratio(Some(0.0)),
            InvalidConfig::FailureRatio,
        ),
        (
            builder().failure_ratio(Some(1.01)),
            InvalidConfig::FailureRatio,
        ),
        (
            builder().failure_ratio(Some(f64::NAN)),
            InvalidConfig::FailureRatio,
        ),
        (builder().window(Duration::ZERO), InvalidConfig::Window),
        (builder().window(Duration::MAX), InvalidConfig::Window),
        (builder().minimum_calls(0), InvalidConfig::MinimumCalls),
        (
            builder().minimum_calls(u32::MAX),
            InvalidConfig::MinimumCalls,
        ),
        (
            builder().recovery_timeout(Duration::ZERO),
            InvalidConfig::RecoveryTimeout,
        ),
        (
            builder().recovery_timeout_max(secs(29)),
            InvalidConfig::RecoveryTimeoutMax,
        ),
        (
            builder().recovery_jitter(-0.1),
            InvalidConfig::RecoveryJitter,
        ),
        (
            builder().recovery_jitter(f64::NAN),
            InvalidConfig::RecoveryJitter,
        ),
        (
            builder().half_open_max_calls(0),
            InvalidConfig::HalfOpenMaxCalls,
        ),
        (
            builder().half_open_max_calls(65_536),
            InvalidConfig::HalfOpenMaxCalls,
        ),
        (
            builder().half_open_timeout(Duration::ZERO),
            InvalidConfig::HalfOpenTimeout,
        ),
        (slow(Duration::ZERO, 0.5), InvalidConfig::SlowCall),
        (slow(secs(1), f64::INFINITY), InvalidConfig::SlowCall),
    ] {
        assert_eq!(builder.build(), Err(error), "{builder:?}");
    }
}

#[test]
fn a_default_maximum_follows_a_long_recovery() {
    let config = builder().recovery_timeout(secs(900)).build().unwrap();
    assert_eq!(config.recovery_timeout_max(), secs(900));
}

#[test]
fn extreme_values_do_not_overflow() {
    let config = builder()
        .recovery_timeout(Duration::MAX)
        .recovery_jitter(1.0)
        .half_open_timeout(Duration::MAX)
        .build()
        .unwrap();
    let open_time = config.open_time(u32::MAX, Some(Duration::MAX), &mut Rng::with_seed(1));
    assert_eq!(open_time, Duration::MAX);
}

#[test]
fn each_failed_recovery_doubles_the_time_open() {
    let config = builder().recovery_jitter(0.0).build().unwrap();
    let times = (0..7).map(|n| config.open_time(n, None, &mut Rng::with_seed(1)).as_secs());
    assert_eq!(times.collect::<Vec<_>>(), [30, 60, 120, 240, 300, 300, 300]);
}

proptest! {
    #[test]
    fn the_time_open_stays_in_its_bounds(
        initial_ms in 1_u64..10_000_000,
        more_ms in 0_u64..10_000_000,
        jitter in 0.0_f64..=1.0,
        reopenings in 0_u32..80,
        hint_ms in proptest::option::of(0_u64..30_000_000),
        seed: u64,
    ) {
        let (initial, max) = (Duration::from_millis(initial_ms), Duration::from_millis(initial_ms + more_ms));
        let config = builder()
            .recovery_timeout(initial)
            .recovery_timeout_max(max)
            .recovery_jitter(jitter)
            .build()
            .unwrap();
        let hint = hint_ms.map(Duration::from_millis);
        let open_time = config.open_time(reopenings, hint, &mut Rng::with_seed(seed));
        prop_assert!(open_time <= max);
        prop_assert!(open_time >= hint.unwrap_or_default().min(max));
        let grown = initial.saturating_mul(1_u32.checked_shl(reopenings).unwrap_or(u32::MAX));
        let rounding = Duration::from_nanos(2);
        prop_assert!(open_time + rounding >= grown.min(max.div_f64(1.0 + jitter)));
        if hint.is_none() {
            prop_assert!(open_time <= grown.saturating_mul(2).min(max));
            prop_assert!(open_time.as_secs_f64() <= grown.as_secs_f64() * (1.0 + jitter) + 1e-6);
        }
    }
}

#[test]
fn the_jitter_uses_its_whole_range_even_at_the_maximum() {
    let config = builder().build().unwrap();
    let mut random = Rng::with_seed(5);
    for (reopenings, low, high) in [(0, 30.0, 36.0), (9, 250.0, 300.0)] {
        let times: Vec<_> = (0..1000)
            .map(|_| {
                config
                    .open_time(reopenings, None, &mut random)
                    .as_secs_f64()
            })
            .collect();
        let margin = (high - low) / 50.0;
        assert!(times.iter().all(|t| (low..=high).contains(t)));
        assert!(times.iter().any(|t| *t < low + margin));
        assert!(times.iter().any(|t| *t > high - margin));
    }
}
