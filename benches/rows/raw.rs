//! The ideas without tower around them, and those of others that have none.

use std::{
    hint,
    sync::atomic::{AtomicU64, Ordering},
};

use bartizan_balance::Strategy;
use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
use bartizan_classify::Outcome;
use bartizan_clock::Clock;
use bartizan_rate_limit::{KeyedRateLimiter, RateLimiter};
use failsafe::CircuitBreaker as _;

use super::{
    Instrument,
    services::{MAX_KEYS, balancer, governor_quota, names, quota, scattered},
};

/// Decisions as plain calls.
pub(crate) fn raw(instrument: &mut impl Instrument) {
    primitives(instrument);
    limiters(instrument);
    breakers(instrument);
    picks(instrument);
}

/// What the machine takes for the operations that everything else is made of.
fn primitives(instrument: &mut impl Instrument) {
    let clock = Clock::default();
    instrument.call("one reading of the clock", |_| {
        hint::black_box(clock.now());
    });
    instrument.call("one reading of the coarse clock", |_| {
        hint::black_box(clock.coarse_nanos());
    });
    instrument.call("one reading of std's clock", |_| {
        hint::black_box(std_clock());
    });
    let word = AtomicU64::new(0);
    instrument.call("one atomic addition", |_| {
        word.fetch_add(1, Ordering::Relaxed);
    });
    instrument.call("one box", |n| {
        hint::black_box(Box::new(n));
    });
}

#[allow(clippy::disallowed_methods, reason = "to compare the clock with")]
fn std_clock() -> std::time::Instant {
    std::time::Instant::now()
}

fn limiters(instrument: &mut impl Instrument) {
    let clock = Clock::default();
    let limiter = RateLimiter::new(quota(), clock);
    instrument.call("bartizan limiter", |_| {
        assert!(limiter.check().is_ok());
    });
    let limiter = governor::RateLimiter::direct(governor_quota());
    instrument.call("governor", |_| assert!(limiter.check().is_ok()));

    let limiter = KeyedRateLimiter::<u64>::new(quota(), MAX_KEYS, clock);
    instrument.call("bartizan limiter by number, 10k keys", |n| {
        assert!(limiter.check(&(scattered(n) as u64)).is_ok());
    });
    let limiter = KeyedRateLimiter::<u64>::new(quota(), MAX_KEYS, clock);
    instrument.call("bartizan limiter by number, one key", |_| {
        assert!(limiter.check(&7).is_ok());
    });
    let limiter = governor::RateLimiter::dashmap(governor_quota());
    instrument.call("governor by number, one key", |_| {
        assert!(limiter.check_key(&7u64).is_ok());
    });
    let limiter = governor::RateLimiter::dashmap(governor_quota());
    instrument.call("governor by number, 10k keys", |n| {
        assert!(limiter.check_key(&(scattered(n) as u64)).is_ok());
    });

    let names = names();
    let limiter = KeyedRateLimiter::<String>::new(quota(), MAX_KEYS, clock);
    instrument.call("bartizan limiter by text, 10k keys", |n| {
        assert!(limiter.check(names[scattered(n)].as_str()).is_ok());
    });
    let limiter = governor::RateLimiter::dashmap(governor_quota());
    instrument.call("governor by text, 10k keys", |n| {
        assert!(limiter.check_key(&names[scattered(n)]).is_ok());
    });
}

fn breakers(instrument: &mut impl Instrument) {
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::default(), Clock::default());
    instrument.call("bartizan breaker, permit and outcome", |_| {
        let permit = breaker.try_acquire().expect("the circuit is closed");
        permit.record(Outcome::Success);
    });
    let call = || Ok::<(), ()>(());
    let policy = failsafe::failure_policy::consecutive_failures(
        5,
        failsafe::backoff::constant(std::time::Duration::from_secs(30)),
    );
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    instrument.call("failsafe, consecutive failures", |_| {
        assert!(breaker.call(call).is_ok());
    });
    let breaker = failsafe::Config::new().build();
    instrument.call("failsafe, success rate", |_| {
        assert!(breaker.call(call).is_ok());
    });
}

fn picks(instrument: &mut impl Instrument) {
    for (strategy, row) in [
        (Strategy::RoundRobin, "bartizan pick of 10k, round robin"),
        (
            Strategy::WeightedRoundRobin,
            "bartizan pick of 10k, weighted round robin",
        ),
        (Strategy::Random, "bartizan pick of 10k, random"),
        (Strategy::P2c, "bartizan pick of 10k, p2c"),
        (Strategy::P2cPeakEwma, "bartizan pick of 10k, p2c peak-ewma"),
        (
            Strategy::ConsistentHash,
            "bartizan pick of 10k, consistent hash",
        ),
        (
            Strategy::LeastConnections,
            "bartizan pick of 10k, least connections",
        ),
        (Strategy::HealthBased, "bartizan pick of 10k, health based"),
    ] {
        let balancer = balancer(strategy, 10_000, ());
        instrument.call(row, |n| {
            let mut picked = balancer
                .pick(Some(scattered(n) as u64))
                .expect("there are endpoints");
            picked.record(Outcome::Success);
        });
    }
}
