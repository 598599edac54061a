use std::{num::NonZeroU32, path::Path, time::Duration};

use http::uri::PathAndQuery;

use crate::{
    AuthSettings, Endpoint, GatewaySettings, InstanceSource, McpTransport, Origin, Problem,
    RateLimitSettings, RetrySettings, ServiceKind, Setting, Strategy, Variable, discovery, mcp,
    reader::{Reader, Scope},
    table,
    value::{Fault, Ratio, Value, items},
};

/// What holds for one service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSettings {
    /// The name that callers use.
    pub name: String,
    /// Whether the configuration says anything of it, be it one variable. Of services that only
    /// registries list it may not.
    pub is_named: bool,
    /// What it speaks.
    pub kind: ServiceKind,
    /// Where its instances come from.
    pub instances: InstanceSource,
    /// Where its instances are: at least one, but none of a service that is a process, and none
    /// of one whose instances are found elsewhere, unless [`InstanceSource`] says so.
    pub endpoints: Setting<Vec<Endpoint>>,
    /// How one of them is chosen.
    pub strategy: Setting<Strategy>,
    /// How the gateway proves itself.
    pub auth: Setting<AuthSettings>,
    /// How many calls it gets.
    pub rate_limit: RateLimitSettings,
    /// How long a call may take in all, unless its caller says otherwise.
    pub timeout: Setting<Duration>,
    /// How long one attempt may take; of an MCP service, until the first byte of its answer.
    pub attempt_timeout: Setting<Duration>,
    /// When an instance is left alone.
    pub circuit_breaker: CircuitBreakerSettings,
    /// How failed calls are repeated.
    pub retry: RetrySettings,
    /// The operations that may be sent twice, with `*` for any text and `?` for any character.
    pub idempotent_operations: Setting<Vec<String>>,
    /// How endpoints are probed; they are not without.
    pub health: Option<HealthSettings>,
}

/// When an instance is left alone.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreakerSettings {
    /// How many failures in a row open the circuit.
    pub failure_threshold: Setting<NonZeroU32>,
    /// How long it stays open.
    pub recovery_timeout: Setting<Duration>,
    /// How many calls may try a half-open circuit at once.
    pub half_open_max_calls: Setting<NonZeroU32>,
    /// The part of recent calls whose failure opens the circuit as well.
    pub failure_ratio: Option<FailureRatio>,
}

/// The part of recent calls whose failure opens a circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureRatio {
    /// The part.
    pub ratio: Setting<Ratio>,
    /// How far back recent goes.
    pub window: Setting<Duration>,
    /// How many calls the window must hold for the part to count.
    pub min_calls: Setting<NonZeroU32>,
}

/// How endpoints are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// The path that is asked for; begins with a slash. Without one, which only a registered
    /// service has, each instance is probed as its registry says or its kind suggests.
    pub path: Option<Setting<String>>,
    /// How long from one probe to the next.
    pub interval: Setting<Duration>,
    /// How long a probe may take.
    pub timeout: Setting<Duration>,
    /// How many good probes in a row bring an endpoint back.
    pub healthy_threshold: Setting<NonZeroU32>,
    /// How many bad probes in a row take it out.
    pub unhealthy_threshold: Setting<NonZeroU32>,
}

impl ServiceSettings {
    /// Reads a service; `None` if something is wrong that has no default to go on with.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        name: &str,
        gateway: &GatewaySettings,
        retry: &RetrySettings,
        registry: Option<&Path>,
    ) -> Option<Self> {
        let scope = &Scope::service(name);
        let is_registered = registry.is_some();
        let transport = mcp::transport(reader, scope);
        let spoken = transport.as_ref().map(|transport| **transport);
        let places = match registry {
            Some(path) => {
                let origin = Origin::Registry(path.to_owned());
                Some((InstanceSource::Registered, Setting::new(Vec::new(), origin)))
            }
            None if spoken == Some(McpTransport::Stdio) => {
                Some((InstanceSource::Listed, no_endpoints(reader, scope)))
            }
            None => discovery::read(reader, scope, name),
        };
        let auth = AuthSettings::read(reader, scope, spoken);
        let kind = ServiceKind::read(reader, scope, name, transport, is_registered);
        if spoken.is_none() {
            require_groups(reader, scope);
        }
        let rate_limit = RateLimitSettings::read(reader, scope, gateway, spoken, is_registered);
        let circuit_breaker = CircuitBreakerSettings::read(reader, scope);
        let timeout = reader.inherit(scope, &table::TIMEOUT, &gateway.default_timeout);
        let attempt_timeout = reader.inherit(scope, &table::ATTEMPT_TIMEOUT, &timeout);
        if *attempt_timeout > *timeout {
            reader.warn(scope.message(&format!(
                "an attempt may take {} ms and the call with all attempts {} ms: no attempt will \
                 take longer",
                attempt_timeout.as_millis(),
                timeout.as_millis()
            )));
        }
        let operations: Option<Setting<Operations>> =
            reader.optional(scope, &table::IDEMPOTENT_OPERATIONS);
        // A process is not probed: that it runs is known.
        let health = if spoken == Some(McpTransport::Stdio) {
            None
        } else {
            HealthSettings::read(reader, scope, is_registered)
        };
        let retry = RetrySettings::read_service(reader, scope, retry);
        let strategy = reader.setting(scope, &table::STRATEGY);
        let (instances, endpoints) = places?;
        Some(Self {
            name: name.to_owned(),
            is_named: true,
            kind: kind?,
            instances,
            strategy,
            endpoints,
            auth: auth?,
            rate_limit,
            attempt_timeout,
            timeout,
            circuit_breaker,
            retry,
            idempotent_operations: operations.map_or_else(
                || Setting::new(Vec::new(), Origin::Default("unknown operations are unsafe")),
                |it| it.map(|Operations(all)| all),
            ),
            health,
        })
    }
}

impl CircuitBreakerSettings {
    fn read(reader: &mut Reader<'_>, scope: &Scope) -> Self {
        let ratio = reader.optional(scope, &table::CB_FAILURE_RATIO);
        Self {
            failure_threshold: reader.setting(scope, &table::CB_FAILURE_THRESHOLD),
            recovery_timeout: reader.setting(scope, &table::CB_RECOVERY_TIMEOUT),
            half_open_max_calls: reader.setting(scope, &table::CB_HALF_OPEN_MAX_CALLS),
            failure_ratio: ratio.map(|ratio| FailureRatio {
                ratio,
                window: reader.setting(scope, &table::CB_WINDOW),
                min_calls: reader.setting(scope, &table::CB_MIN_CALLS),
            }),
        }
    }
}

impl HealthSettings {
    /// Reads how endpoints are probed. Those of a registered service are probed without a path if
    /// there is an interval, which whoever describes such a service sees to.
    fn read(reader: &mut Reader<'_>, scope: &Scope, is_registered: bool) -> Option<Self> {
        let path: Option<Setting<String>> = reader.optional(scope, &table::HEALTH_PATH);
        match &path {
            None if is_registered && reader.is_set(scope, &table::HEALTH_INTERVAL) => {}
            None => return None,
            Some(path) => {
                let is_path = path.starts_with('/') && !path.contains('#');
                if !is_path || path.parse::<PathAndQuery>().is_err() {
                    let words = "health path must begin with / and hold no blanks";
                    reader.wrong_value(scope, &table::HEALTH_PATH, words);
                }
            }
        }
        Some(Self {
            path,
            interval: reader.setting(scope, &table::HEALTH_INTERVAL),
            timeout: reader.setting(scope, &table::HEALTH_TIMEOUT),
            healthy_threshold: reader.setting(scope, &table::HEALTHY_THRESHOLD),
            unhealthy_threshold: reader.setting(scope, &table::UNHEALTHY_THRESHOLD),
        })
    }
}

/// A process is where the gateway is, and has no endpoint.
fn no_endpoints(reader: &mut Reader<'_>, scope: &Scope) -> Setting<Vec<Endpoint>> {
    let words = "a service that is started by a command has no endpoint";
    reader.wrong_value(scope, &table::ENDPOINT, words);
    let origin = Origin::Default("a process is where the gateway is");
    Setting::new(Vec::new(), origin)
}

/// The documented programmatic API, which knows no MCP services, requires these groups.
fn require_groups(reader: &mut Reader<'_>, scope: &Scope) {
    let limit = [&table::RATE_LIMIT_RPM, &table::RATE_LIMIT_BURST];
    require(
        reader,
        scope,
        &limit,
        "rate limit configuration is required",
    );
    let breaker = [
        &table::CB_FAILURE_THRESHOLD,
        &table::CB_RECOVERY_TIMEOUT,
        &table::CB_HALF_OPEN_MAX_CALLS,
    ];
    let words = "circuit breaker configuration is required";
    require(reader, scope, &breaker, words);
}

/// The documented programmatic API has these groups as a whole or not at all.
fn require(reader: &mut Reader<'_>, scope: &Scope, group: &[&Variable], words: &str) {
    if reader.is_explicit() && !group.iter().any(|it| reader.is_set(scope, it)) {
        reader.problem(Problem::new(scope.message(words)));
    }
}

struct Operations(Vec<String>);

impl Value for Operations {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let operations: Vec<_> = items(text, &[',']).map(str::to_owned).collect();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-*?".contains(&byte);
        if operations.iter().all(|it| it.bytes().all(allowed)) {
            Ok(Self(operations))
        } else {
            Err(Fault::must(
                "hold letters, digits, and any of _ . / - * ? only",
            ))
        }
    }
}
