use std::fmt::Write as _;

/// Upper bounds of the duration buckets, in seconds: from a call on the same machine to the
/// longest default timeout.
pub(super) const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// What a metric is called, and what it means.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static str,
    pub(super) help: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$labels:literal] $help:literal;)*) => {
        $(pub(super) const $constant: Family =
            Family { name: $name, kind: Kind::$kind, labels: $labels, help: $help };)*
        pub(super) const FAMILIES: &[Family] = &[$($constant),*];
    };
}

families! {
    BUILD = Gauge "bartizan_build_info" ["version"] "Always 1; the label says what runs.";
    CONNECTIONS = Gauge "bartizan_connections" [""] "Open connections of callers.";
    REQUESTS = Counter "bartizan_http_requests_total" ["class"] "HTTP requests answered, by class of their status.";
    CALLS = Counter "bartizan_service_calls_total" ["service, outcome"] "Calls to a service, by what became of them after all retries.";
    DURATION = Histogram "bartizan_service_call_duration_seconds" ["service"] "Time of a call from the gateway's receiving it, waits and retries included.";
    IN_FLIGHT = Gauge "bartizan_service_in_flight" ["service"] "Calls under way, waiting ones included.";
    RETRIES = Counter "bartizan_retries_total" ["service"] "Attempts after the first, of calls whose callers stayed.";
    BUDGET_EXHAUSTED = Counter "bartizan_retry_budget_exhausted_total" ["service"] "Retries not made because retries were too large a share of the traffic.";
    QUEUED = Gauge "bartizan_rate_limit_waiting" ["service"] "Calls waiting for a token.";
    TOKENS = Gauge "bartizan_rate_limit_tokens" ["service"] "Tokens in the bucket; 1000000 where there is no limit.";
    BREAKER = Gauge "bartizan_circuit_breaker_state" ["service"] "0 closed, 1 half-open, 2 open.";
    TRANSITIONS = Counter "bartizan_circuit_breaker_transitions_total" ["service, to"] "Changes of the circuit breaker's state.";
    EJECTIONS = Counter "bartizan_ejections_total" ["service"] "Instances set aside as outliers.";
    USABLE = Gauge "bartizan_instances_usable" ["service"] "Instances that are neither ejected nor unhealthy.";
    INSTANCES = Gauge "bartizan_instances" ["service"] "Instances known.";
    STALE = Gauge "bartizan_instances_stale" ["service"] "1 while what finds the instances of a service fails, or the registry that lists it cannot be read, and the last ones are kept.";
    PROBES = Counter "bartizan_health_probes_total" ["service, outcome"] "Health probes that have ended; `alive` or `dead`.";
    HEALTH = Counter "bartizan_health_transitions_total" ["service, to"] "Instances that became `healthy` or `unhealthy`.";
    REFRESHES = Counter "bartizan_token_refreshes_total" ["service, outcome"] "OAuth2 tokens asked for since the start.";
}

/// The reference of all metrics as Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out = String::from(
        "# Metrics\n\nServed at `GET /metrics` in Prometheus' text format. Generated from the code; \
         `BLESS=1 cargo test -p bartizan-telemetry` writes it anew.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let kind = format!("{:?}", family.kind).to_lowercase();
        let Family {
            name, labels, help, ..
        } = family;
        let _ = writeln!(out, "| `{name}` | {kind} | {labels} | {help} |");
    }
    out.push_str(
        "\nOutcomes of `bartizan_service_calls_total`: `success`, `client_error` (4xx of the backend), \
         `server_error` (5xx, a redirect, or compressed without being asked), `timed_out`, `unreachable` (no answer), and, refused by the gateway \
         without asking the backend, `rate_limited`, `circuit_open`, `no_endpoints`, `credential`. A call \
         whose caller went away counts as `cancelled`. What the gateway asks MCP servers by itself, such \
         as which revisions they speak, counts as calls do.\n\
         \n\
         A service has its series for as long as it is there, over every change of its settings, and after \
         that until what was under way is done, with gauges of what it is that are 0. Then they are gone; \
         those of a service that comes back begin at zero. 2,048 services at a time have series of their own, \
         and no more than 512 of these are services that no file and no variable names, as those that \
         registered themselves are; what the rest do is counted under `(others)`, where \
         `bartizan_service_in_flight` is the only gauge.\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_reference_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let rendered = super::reference_markdown();
        if option_env!("BLESS").is_some() {
            fs::write(&path, &rendered).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == rendered,
            "docs/metrics.md is out of date: BLESS=1 cargo test -p bartizan-telemetry"
        );
    }
}
