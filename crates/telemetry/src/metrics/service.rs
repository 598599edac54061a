use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::{OTHERS, Series, table};

/// What became of a call, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The backend answered with success.
    Success,
    /// The backend answered that the request was at fault.
    ClientError,
    /// The backend answered that it failed, or with what no caller can use, such as a redirect.
    ServerError,
    /// There was no answer in time.
    TimedOut,
    /// The exchange with the backend failed.
    Unreachable,
    /// The rate limit refused.
    RateLimited,
    /// The circuit was open.
    CircuitOpen,
    /// No instance was there to ask.
    NoEndpoints,
    /// No credential could be had.
    Credential,
    /// The caller went away.
    Cancelled,
}

impl CallOutcome {
    const ALL: [(Self, &str); 10] = [
        (Self::Success, "success"),
        (Self::ClientError, "client_error"),
        (Self::ServerError, "server_error"),
        (Self::TimedOut, "timed_out"),
        (Self::Unreachable, "unreachable"),
        (Self::RateLimited, "rate_limited"),
        (Self::CircuitOpen, "circuit_open"),
        (Self::NoEndpoints, "no_endpoints"),
        (Self::Credential, "credential"),
        (Self::Cancelled, "cancelled"),
    ];
}

/// Handles to the metrics of one service.
#[derive(Debug)]
pub struct ServiceMetrics {
    series: Series,
    calls: [Counter; CallOutcome::ALL.len()],
    duration: Histogram,
    in_flight: Gauge,
    /// Attempts after the first.
    pub retries: Counter,
    /// Retries not made for want of budget.
    pub retry_budget_exhausted: Counter,
    /// Calls waiting for a token.
    pub rate_limit_waiting: Gauge,
    /// Tokens in the bucket.
    pub rate_limit_tokens: Gauge,
    /// 0 closed, 1 half-open, 2 open.
    pub circuit_breaker_state: Gauge,
    /// Transitions to closed, half-open and open, in this order.
    pub circuit_breaker_transitions: [Counter; 3],
    /// Instances set aside as outliers.
    pub ejections: Counter,
    /// Instances that are neither ejected nor unhealthy.
    pub instances_usable: Gauge,
    /// Instances known.
    pub instances: Gauge,
    /// 1 while what finds or lists them fails.
    pub instances_stale: Gauge,
    /// Probes that found an instance alive, and those that did not.
    pub health_probes: [Counter; 2],
    /// Instances that became healthy, and those that became unhealthy.
    pub health_transitions: [Counter; 2],
    /// Tokens had, and failures to have one, in this order.
    pub token_refreshes: [Counter; 2],
}

impl ServiceMetrics {
    pub(super) fn new(name: &str) -> Self {
        let series = Series::new();
        let service = [("service", name)];
        let with = |label, value| [("service", name), (label, value)];
        // Services that share a gauge would each set it to what they are themselves.
        let state = |family| match name {
            OTHERS => Gauge::noop(),
            _ => series.gauge(family, &service),
        };
        Self {
            calls: CallOutcome::ALL
                .map(|(_, outcome)| series.counter(&table::CALLS, &with("outcome", outcome))),
            duration: series.histogram(&table::DURATION, &service),
            in_flight: series.gauge(&table::IN_FLIGHT, &service),
            retries: series.counter(&table::RETRIES, &service),
            retry_budget_exhausted: series.counter(&table::BUDGET_EXHAUSTED, &service),
            rate_limit_waiting: state(&table::QUEUED),
            rate_limit_tokens: state(&table::TOKENS),
            circuit_breaker_state: state(&table::BREAKER),
            circuit_breaker_transitions: ["closed", "half_open", "open"]
                .map(|to| series.counter(&table::TRANSITIONS, &with("to", to))),
            ejections: series.counter(&table::EJECTIONS, &service),
            instances_usable: state(&table::USABLE),
            instances: state(&table::INSTANCES),
            instances_stale: state(&table::STALE),
            health_probes: ["alive", "dead"]
                .map(|outcome| series.counter(&table::PROBES, &with("outcome", outcome))),
            health_transitions: ["healthy", "unhealthy"]
                .map(|to| series.counter(&table::HEALTH, &with("to", to))),
            token_refreshes: ["success", "failure"]
                .map(|outcome| series.counter(&table::REFRESHES, &with("outcome", outcome))),
            series,
        }
    }

    pub(super) fn series(&self) -> &Series {
        &self.series
    }

    /// Counts a call as under way until the guard is dropped, and as cancelled unless the guard
    /// is told how the call ended.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        self.in_flight.increment(1.0);
        Call {
            metrics: self,
            outcome: CallOutcome::Cancelled,
        }
    }
}

/// A call under way; dropping it ends it.
#[derive(Debug)]
pub struct Call<'a> {
    metrics: &'a ServiceMetrics,
    outcome: CallOutcome,
}

impl Call<'_> {
    /// Says how the call ended and how long it took. The time of a call that was given up says
    /// nothing about the service, so it is not recorded.
    pub fn finish(&mut self, outcome: CallOutcome, elapsed: Duration) {
        self.outcome = outcome;
        self.metrics.duration.record(elapsed.as_secs_f64());
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.decrement(1.0);
        self.metrics.calls[self.outcome as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_stand_in_the_order_of_their_labels() {
        for (index, (outcome, _)) in CallOutcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }
}
