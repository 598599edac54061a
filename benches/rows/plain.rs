//! Layers around a service that does nothing, with a number for a request.

use std::{sync::Arc, time::Duration};

use bartizan_balance::{Balance, Strategy};
use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use bartizan_classify::ErrorsAreFailures;
use bartizan_clock::Clock;
use bartizan_rate_limit::{KeyedRateLimiter, RateLimitLayer, RateLimiter};
use bartizan_retry::{RetryBudget, RetryConfig, RetryLayer};
use tower::{
    Layer, ServiceBuilder,
    balance::p2c::Balance as P2c,
    buffer::Buffer,
    discover::ServiceList,
    limit::{ConcurrencyLimit, RateLimit, rate::Rate},
    load::{CompleteOnResponse, PeakEwma, PendingRequests},
    retry::{Retry, budget::TpsBudget},
    timeout::Timeout,
};
use tower_resilience::{circuitbreaker, ratelimiter, retry};

use super::{
    Instrument,
    floor::{Breaker, Bucket, Fleet, Floor, Turns},
    services::{
        Echo, LONG, MAX_KEYS, OnError, balancer, filling_budget, full_budget, names, quota,
        scattered,
    },
};

fn number(n: usize) -> u64 {
    n as u64
}

/// Every layer that two threads can share.
pub(crate) fn plain(instrument: &mut impl Instrument) {
    instrument.service("none", Echo, number);
    floors(instrument);
    breakers(instrument);
    rate_limits(instrument);
    retries(instrument);
    balances(instrument);
    stacks(instrument);

    let service = ConcurrencyLimit::new(Echo, 1_024);
    instrument.service("tower ConcurrencyLimit", service, number);
    instrument.service("tower Timeout", Timeout::new(Echo, LONG), number);
    instrument.service("tower Buffer", Buffer::new(Echo, 1_024), number);
}

/// Layers whose services cannot be cloned.
pub(crate) fn plain_alone(instrument: &mut impl Instrument) {
    let service = RateLimit::new(Echo, Rate::new(u64::MAX, Duration::from_secs(1)));
    instrument.alone("tower RateLimit", service, number);
    instrument.alone("tower Balance x3, pending", pending(), number);
    instrument.alone("tower Balance x3, peak-ewma", peak_ewma(), number);
}

fn floors(instrument: &mut impl Instrument) {
    let (inner, clock) = (Echo, Clock::default());
    let kind = Bucket::new(clock);
    instrument.service("floor of a rate limit", Floor { inner, kind }, number);
    let kind = Breaker::new(clock);
    instrument.service("floor of a breaker", Floor { inner, kind }, number);
    let kind = Turns(Fleet::of_three());
    instrument.service("floor of a balance x3", Floor { inner, kind }, number);
}

fn breakers(instrument: &mut impl Instrument) {
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::default(), Clock::default());
    let layer = CircuitBreakerLayer::new(breaker, ErrorsAreFailures);
    instrument.service("bartizan breaker", layer.layer(Echo), number);

    let layer = circuitbreaker::CircuitBreakerLayer::builder()
        .sliding_window_size(100)
        .build()
        .expect("a valid breaker");
    let row = "tower-resilience breaker, count window";
    instrument.service(row, layer.layer(Echo), number);

    // A millisecond, because every call sums every call of the window: with 30 s, as ours has,
    // the bench would never end.
    let layer = circuitbreaker::CircuitBreakerLayer::builder()
        .sliding_window_type(circuitbreaker::SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_millis(1))
        .build()
        .expect("a valid breaker");
    let row = "tower-resilience breaker, time window of 1 ms";
    instrument.service(row, layer.layer(Echo), number);
}

fn rate_limits(instrument: &mut impl Instrument) {
    let clock = Clock::default();
    let layer = RateLimitLayer::new(RateLimiter::new(quota(), clock));
    instrument.service("bartizan rate limit", layer.layer(Echo), number);

    let limiter = KeyedRateLimiter::new(quota(), MAX_KEYS, clock);
    let layer = RateLimitLayer::keyed(limiter, |key: &u64| *key);
    // What it takes to come by such keys is no cost of a limiter.
    instrument.service("none, by number", Echo, |n| scattered(n) as u64);
    let row = "bartizan rate limit by number, 10k keys";
    instrument.service(row, layer.layer(Echo), |n| scattered(n) as u64);

    let names = names();
    instrument.service("none, by text", Echo, |n| names[scattered(n)].as_str());
    let limiter = KeyedRateLimiter::<String>::new(quota(), MAX_KEYS, clock);
    let layer = RateLimitLayer::keyed_by_ref(limiter, |key: &&'static str| *key);
    let row = "bartizan rate limit by text, 10k keys";
    instrument.service(row, layer.layer(Echo), |n| names[scattered(n)].as_str());

    let layer = ratelimiter::RateLimiterLayer::burst(1_000_000_000, 1_000_000_000)
        .build()
        .expect("a valid limiter");
    let row = "tower-resilience rate limit, token bucket";
    instrument.service(row, layer.layer(Echo), number);
}

fn retries(instrument: &mut impl Instrument) {
    let clock = Clock::default();
    let ours = |budget: Option<RetryBudget>| {
        RetryLayer::new(OnError(()), RetryConfig::default(), budget, clock).layer(Echo)
    };
    instrument.service("bartizan retry", ours(None), number);
    let service = ours(Some(full_budget(clock)));
    instrument.service("bartizan retry, budget full", service, number);
    let service = ours(Some(filling_budget(clock)));
    instrument.service("bartizan retry, budget filling", service, number);

    let policy = OnError(None::<Arc<TpsBudget>>);
    instrument.service("tower Retry", Retry::new(policy, Echo), number);
    let policy = OnError(Some(Arc::new(TpsBudget::default())));
    instrument.service(
        "tower Retry with TpsBudget",
        Retry::new(policy, Echo),
        number,
    );

    let layer = retry::RetryLayer::<u64, u64, _>::builder()
        .max_attempts(3)
        .build();
    instrument.service("tower-resilience retry", layer.layer(Echo), number);
    let layer = retry::RetryLayer::<u64, u64, _>::builder()
        .max_attempts(3)
        .budget(rival_budget())
        .build();
    let row = "tower-resilience retry with budget";
    instrument.service(row, layer.layer(Echo), number);
}

fn rival_budget() -> Arc<dyn retry::RetryBudget> {
    retry::RetryBudgetBuilder::new()
        .token_bucket()
        .build()
        .expect("a valid budget")
}

fn balances(instrument: &mut impl Instrument) {
    for (strategy, row) in [
        (Strategy::RoundRobin, "bartizan balance x3, round robin"),
        (
            Strategy::WeightedRoundRobin,
            "bartizan balance x3, weighted round robin",
        ),
        (
            Strategy::LeastConnections,
            "bartizan balance x3, least connections",
        ),
        (Strategy::HealthBased, "bartizan balance x3, health based"),
        (Strategy::Random, "bartizan balance x3, random"),
        (Strategy::P2c, "bartizan balance x3, p2c"),
        (Strategy::P2cPeakEwma, "bartizan balance x3, p2c peak-ewma"),
    ] {
        let balance = Balance::new(balancer(strategy, 3, Echo), ErrorsAreFailures);
        instrument.service(row, balance, number);
    }
    let balance = Balance::new(
        balancer(Strategy::ConsistentHash, 3, Echo),
        ErrorsAreFailures,
    )
    .affinity(|request: &u64| Some(*request));
    instrument.service("bartizan balance x3, consistent hash", balance, number);

    // What does not look at every instance.
    for (strategy, row) in [
        (
            Strategy::RoundRobin,
            "bartizan balance over 10,000, round robin",
        ),
        (Strategy::Random, "bartizan balance over 10,000, random"),
        (Strategy::P2c, "bartizan balance over 10,000, p2c"),
        (
            Strategy::P2cPeakEwma,
            "bartizan balance over 10,000, p2c peak-ewma",
        ),
    ] {
        let balance = Balance::new(balancer(strategy, 10_000, Echo), ErrorsAreFailures);
        instrument.service(row, balance, number);
    }

    let service = Buffer::new(pending(), 1_024);
    instrument.service("tower Buffer of Balance x3, pending", service, number);
}

fn pending() -> P2c<ServiceList<Vec<PendingRequests<Echo>>>, u64> {
    let service = || PendingRequests::new(Echo, CompleteOnResponse::default());
    P2c::new(ServiceList::new::<u64>(vec![
        service(),
        service(),
        service(),
    ]))
}

fn peak_ewma() -> P2c<ServiceList<Vec<PeakEwma<Echo>>>, u64> {
    // A first guess of a second, forgotten over ten: what ours does.
    let decay = 1e10;
    let rtt = Duration::from_secs(1);
    let service = || PeakEwma::new(Echo, rtt, decay, CompleteOnResponse::default());
    P2c::new(ServiceList::new::<u64>(vec![
        service(),
        service(),
        service(),
    ]))
}

/// Retry with a budget, rate limit and breaker: the part of our stack that tower-resilience has.
fn stacks(instrument: &mut impl Instrument) {
    let clock = Clock::default();
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::default(), clock);
    let budget = full_budget(clock);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(
            OnError(()),
            RetryConfig::default(),
            Some(budget),
            clock,
        ))
        .layer(RateLimitLayer::new(RateLimiter::new(quota(), clock)))
        .layer(CircuitBreakerLayer::new(breaker, ErrorsAreFailures))
        .service(Echo);
    instrument.service("bartizan stack of three", service, number);

    let breaker = circuitbreaker::CircuitBreakerLayer::builder()
        .sliding_window_size(100)
        .build()
        .expect("a valid breaker");
    let limit = ratelimiter::RateLimiterLayer::burst(1_000_000_000, 1_000_000_000)
        .build()
        .expect("a valid limiter");
    let retry = retry::RetryLayer::<u64, u64, _>::builder()
        .max_attempts(3)
        .budget(rival_budget())
        .build();
    let service = ServiceBuilder::new()
        .layer(retry)
        .layer(limit)
        .layer(breaker)
        .service(Echo);
    instrument.service("tower-resilience stack of three", service, number);
}
