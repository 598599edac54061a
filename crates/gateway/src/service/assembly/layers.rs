//! Settings of the layers, in the layers' own words.

use std::sync::Arc;

use bartizan_backoff::{Backoff, Jitter};
use bartizan_balance::{Balancer, OutlierConfig, Strategy};
use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, State, Transition};
use bartizan_client::Client;
use bartizan_clock::Clock;
use bartizan_config::{BackoffStrategy, CircuitBreakerSettings, RetrySettings, ServiceSettings};
use bartizan_rate_limit::Quota;
use bartizan_retry::{RetryBudget, RetryConfig, RetryLayer};
use bartizan_telemetry::ServiceMetrics;

use super::{Reason, instances::instances};
use crate::{
    plan::Plan,
    service::{endpoint::Endpoint, hosting::Reached, policy::CallPolicy},
};

/// The fraction of the instances below which all are used, whatever is known of them. Envoy's half
/// is made for fleets; of the two to four instances that services have here, the last one that is
/// well is worth more than those that are known to fail.
const PANIC_THRESHOLD: f64 = 0.25;

pub(super) fn balancer(
    plan: &Plan,
    client: &Client,
    reached: Reached,
    clock: Clock,
) -> Result<Balancer<Endpoint>, Reason> {
    let (settings, instances) = (&*plan.settings, instances(plan)?);
    let strategy = match *settings.strategy {
        bartizan_config::Strategy::RoundRobin => Strategy::RoundRobin,
        bartizan_config::Strategy::Weighted => Strategy::WeightedRoundRobin,
        bartizan_config::Strategy::LeastConnections => Strategy::LeastConnections,
        bartizan_config::Strategy::HealthBased => Strategy::HealthBased,
        bartizan_config::Strategy::Random => Strategy::Random,
        bartizan_config::Strategy::P2c => Strategy::P2c,
        bartizan_config::Strategy::P2cEwma => Strategy::P2cPeakEwma,
        bartizan_config::Strategy::ConsistentHash => Strategy::ConsistentHash,
    };
    let (client, attempt_timeout) = (client.clone(), Some(*settings.attempt_timeout));
    let panic_threshold = if plan.listing.is_some() && settings.kind.rest().is_some() {
        // As documented, a backend that is unhealthy gets no calls, even where there is no other.
        0.0
    } else {
        PANIC_THRESHOLD
    };
    Ok(Balancer::builder(strategy, clock)
        .name(&*settings.name)
        .outlier(OutlierConfig::default())
        .panic_threshold(panic_threshold)
        .build(&instances, move |instance| {
            let host = reached.host(instance);
            Endpoint::new(instance, &client, host, attempt_timeout, clock)
        })?)
}

pub(super) fn quota(settings: &ServiceSettings) -> Result<Quota, Reason> {
    let limit = &settings.rate_limit;
    Ok(Quota::per_minute(limit.requests_per_minute.get())
        .burst(limit.burst.get())
        .build()?)
}

pub(super) fn breaker(
    settings: &CircuitBreakerSettings,
    service: &Arc<str>,
    metrics: &Arc<ServiceMetrics>,
    clock: Clock,
) -> Result<CircuitBreaker, Reason> {
    let mut builder = CircuitBreakerConfig::builder()
        .failure_threshold(Some(settings.failure_threshold.get()))
        .failure_ratio(None)
        .recovery_timeout(*settings.recovery_timeout)
        .half_open_max_calls(settings.half_open_max_calls.get());
    if let Some(ratio) = &settings.failure_ratio {
        builder = builder
            .failure_ratio(Some(ratio.ratio.as_f64()))
            .window(*ratio.window)
            .minimum_calls(ratio.min_calls.get());
    }
    let (service, metrics) = (Arc::clone(service), Arc::clone(metrics));
    let listener = move |transition: &Transition| {
        let [closed, half_open, open] = &metrics.circuit_breaker_transitions;
        match transition.to {
            State::Closed => closed,
            State::HalfOpen => half_open,
            State::Open => open,
        }
        .increment(1);
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        let (service, reason) = (&*service, transition.reason.as_str());
        if transition.to == State::Open {
            tracing::warn!(service, from, to, reason, "circuit breaker changed state");
        } else {
            tracing::info!(service, from, to, reason, "circuit breaker changed state");
        }
    };
    Ok(CircuitBreaker::with_listener(
        builder.build()?,
        clock,
        listener,
    ))
}

pub(super) fn retry_layer(
    settings: &RetrySettings,
    policy: CallPolicy,
    clock: Clock,
) -> Result<RetryLayer<CallPolicy>, Reason> {
    let initial = *settings.initial_delay;
    let builder = match *settings.strategy {
        BackoffStrategy::Linear => Backoff::linear(initial),
        BackoffStrategy::Exponential => Backoff::exponential(initial),
    };
    let jitter = if *settings.jitter {
        Jitter::Full
    } else {
        Jitter::None
    };
    let backoff = builder
        .max((*settings.max_delay).max(initial))
        .jitter(jitter)
        .build()?;
    let config = RetryConfig::builder()
        .max_attempts(settings.tries())
        .backoff(backoff)
        .build()?;
    let budget = RetryBudget::new(
        settings.budget_ratio.as_f64(),
        *settings.budget_min_per_second,
        RetryBudget::DEFAULT_CAP,
        clock,
    )?;
    Ok(RetryLayer::new(policy, config, Some(budget), clock))
}
