mod auth;
mod instances;
mod mcp;

pub(crate) use self::instances::endpoints;

use std::{fmt, time::Duration};

use thiserror::Error;

use crate::{
    Configuration, GatewaySettings, Origin, RegistrySettings, ServiceSettings, Setting,
    suggest::closest,
};

/// What is in effect, value by value, and where each came from.
///
/// Prints as a table for people. No row holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    title: String,
    rows: Vec<Row>,
}

/// One value of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The layer that it belongs to.
    pub layer: &'static str,
    /// What it is.
    pub setting: &'static str,
    /// The value, with its unit; secrets as `[redacted]`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// There is no service of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no service is called {name:?}{}", .closest.as_ref().map(|it| format!(", did you mean {it}?")).unwrap_or_default())]
pub struct UnknownService {
    name: String,
    closest: Option<String>,
}

impl Configuration {
    /// What a call to the service passes, from the outside in.
    ///
    /// # Errors
    ///
    /// When there is no such service; the error names the one that was probably meant.
    pub fn explain(&self, service: &str) -> Result<Explanation, UnknownService> {
        self.explain_with(service, &[])
    }

    /// The same, where registries list services with these settings, which
    /// [`registered`](Configuration::registered) gives them.
    ///
    /// # Errors
    ///
    /// Those of [`explain`](Configuration::explain).
    pub fn explain_with(
        &self,
        service: &str,
        registered: &[ServiceSettings],
    ) -> Result<Explanation, UnknownService> {
        let listed = self.listed_service(service);
        let known = self.service(service).or(listed.as_ref());
        let registered_one = || registered.iter().find(|it| it.name == service);
        let Some(settings) = known.or_else(registered_one) else {
            let configured = self.services.iter().chain(registered);
            let names = configured.map(|service| service.name.clone());
            let listed = self.listed_services().map(|it| it.name.to_owned());
            let names = names.chain(listed);
            return Err(UnknownService {
                name: service.to_owned(),
                closest: closest(service, names),
            });
        };
        Ok(Explanation {
            title: format!("service {service}, from the outside in"),
            rows: service_rows(settings, &self.gateway),
        })
    }

    /// What holds for the gateway as a whole.
    #[must_use]
    pub fn explain_gateway(&self) -> Explanation {
        Explanation {
            title: "gateway".to_owned(),
            rows: gateway_rows(&self.gateway, &self.registries),
        }
    }
}

impl Explanation {
    /// What is explained.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The values, in the order in which a call meets them.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: fn(&Row) -> &str| {
            let widths = self.rows.iter().map(|row| column(row).chars().count());
            // A long list of endpoints must not push every origin off the screen.
            widths.filter(|width| *width <= 48).max().unwrap_or(0)
        };
        let layers = width(|row| row.layer);
        let settings = width(|row| row.setting);
        let values = width(|row| &row.value);
        write!(f, "{}", self.title)?;
        let mut layer = "";
        for row in &self.rows {
            let shown = if row.layer == layer { "" } else { row.layer };
            layer = row.layer;
            write!(
                f,
                "\n  {shown:layers$}  {:settings$}  {:values$}  {}",
                row.setting, row.value, row.origin
            )?;
        }
        Ok(())
    }
}

/// Collects rows.
struct Rows(Vec<Row>);

impl Rows {
    fn add<T>(
        &mut self,
        layer: &'static str,
        setting: &'static str,
        value: &Setting<T>,
        text: impl FnOnce(&T) -> String,
    ) {
        self.0.push(Row {
            layer,
            setting,
            value: text(value.value()),
            origin: value.origin().clone(),
        });
    }

    fn shown<T: ToString>(
        &mut self,
        layer: &'static str,
        setting: &'static str,
        value: &Setting<T>,
    ) {
        self.add(layer, setting, value, ToString::to_string);
    }

    fn time(&mut self, layer: &'static str, setting: &'static str, value: &Setting<Duration>) {
        self.add(layer, setting, value, |value| duration(*value));
    }
}

fn service_rows(service: &ServiceSettings, gateway: &GatewaySettings) -> Vec<Row> {
    let mut rows = Rows(Vec::new());

    const DEADLINE: &str = "deadline";
    rows.time(DEADLINE, "timeout", &service.timeout);

    const RETRY: &str = "retry";
    let retry = &service.retry;
    rows.shown(RETRY, "retries", &retry.max_attempts);
    rows.shown(RETRY, "delays grow", &retry.strategy);
    rows.time(RETRY, "initial delay", &retry.initial_delay);
    rows.time(RETRY, "longest delay", &retry.max_delay);
    rows.add(RETRY, "jitter", &retry.jitter, |on| on_off(*on));
    rows.add(RETRY, "budget", &retry.budget_ratio, |ratio| {
        format!("{} a call", ratio.as_f64())
    });
    rows.add(
        RETRY,
        "budget at least",
        &retry.budget_min_per_second,
        |number| format!("{number} a second"),
    );
    rows.add(
        RETRY,
        "safe to repeat",
        &service.idempotent_operations,
        |all| {
            if all.is_empty() {
                "no operation".to_owned()
            } else {
                all.join(", ")
            }
        },
    );

    const LIMIT: &str = "rate limit";
    let limit = &service.rate_limit;
    if limit.is_unlimited() {
        rows.add(LIMIT, "rate", &limit.requests_per_minute, |_| {
            "none".to_owned()
        });
    } else {
        rows.add(LIMIT, "rate", &limit.requests_per_minute, |rpm| {
            format!("{rpm} a minute")
        });
        rows.shown(LIMIT, "burst", &limit.burst);
        rows.time(LIMIT, "longest wait", &limit.max_wait);
        rows.shown(LIMIT, "may wait at once", &limit.max_waiting);
    }

    const BREAKER: &str = "circuit breaker";
    let breaker = &service.circuit_breaker;
    rows.add(
        BREAKER,
        "opens after",
        &breaker.failure_threshold,
        |number| format!("{number} failures in a row"),
    );
    if let Some(failure) = &breaker.failure_ratio {
        rows.add(BREAKER, "or at a ratio of", &failure.ratio, |ratio| {
            ratio.as_f64().to_string()
        });
        rows.time(BREAKER, "over", &failure.window);
        rows.add(BREAKER, "with at least", &failure.min_calls, |number| {
            format!("{number} calls")
        });
    }
    rows.time(BREAKER, "stays open", &breaker.recovery_timeout);
    rows.shown(BREAKER, "trial calls", &breaker.half_open_max_calls);

    auth::service_rows(&mut rows, &service.auth);

    let is_process = service.kind.stdio().is_some();
    if !is_process {
        const BALANCE: &str = "balance";
        rows.shown(BALANCE, "strategy", &service.strategy);
        rows.add(BALANCE, "endpoints", &service.endpoints, |_| {
            endpoints(service)
        });
        instances::service_rows(&mut rows, &service.instances);
    }

    const HEALTH: &str = "health";
    if let Some(health) = &service.health {
        match &health.path {
            Some(path) => rows.shown(HEALTH, "path", path),
            None => rows.add(HEALTH, "path", &health.interval, |_| {
                "that of the registry, or the usual one".to_owned()
            }),
        }
        rows.time(HEALTH, "interval", &health.interval);
        rows.time(HEALTH, "timeout", &health.timeout);
        rows.shown(HEALTH, "good probes to return", &health.healthy_threshold);
        rows.shown(HEALTH, "bad probes to leave", &health.unhealthy_threshold);
    }
    match service.kind.mcp() {
        None => {
            rows.time("attempt", "timeout", &service.attempt_timeout);
            if let Some(rest) = service.kind.rest() {
                rows.shown("attempt", "path prefix", &rest.prefix);
            }
        }
        Some(mcp) => {
            rows.time("attempt", "first byte within", &service.attempt_timeout);
            mcp::service_rows(&mut rows, mcp);
        }
    }
    if !is_process {
        rows.time("connection", "timeout", &gateway.connect_timeout);
    }
    rows.0
}

fn gateway_rows(gateway: &GatewaySettings, registries: &[RegistrySettings]) -> Vec<Row> {
    let mut rows = Rows(Vec::new());

    const LISTEN: &str = "listen";
    rows.shown(LISTEN, "URL", &gateway.url);
    rows.shown(LISTEN, "address", &gateway.host);
    rows.shown(LISTEN, "port", &gateway.port);
    if let Some(tls) = &gateway.tls {
        rows.add(LISTEN, "certificate", &tls.certificate, |it| {
            it.display().to_string()
        });
        rows.add(LISTEN, "key", &tls.key, |it| it.display().to_string());
    }
    rows.shown(LISTEN, "connections", &gateway.max_connections);

    const CALLERS: &str = "callers";
    match &gateway.api_keys {
        Some(keys) => rows.add(CALLERS, "API keys", keys, |keys| {
            format!("{} [redacted]", keys.len())
        }),
        None => rows.add(
            CALLERS,
            "may be unknown beyond loopback",
            &gateway.insecure_bind,
            |it| yes_no(*it),
        ),
    }
    if let Some(keys) = &gateway.admin_keys {
        rows.add(CALLERS, "admin keys", keys, |keys| {
            format!("{} [redacted]", keys.len())
        });
    }
    rows.shown(CALLERS, "web origins", &gateway.cors_origins);
    rows.add(CALLERS, "pages about the API", &gateway.docs, |it| {
        yes_no(*it)
    });
    rows.shown(CALLERS, "health says", &gateway.dialect);
    rows.add(CALLERS, "strict status", &gateway.strict_status, |it| {
        yes_no(*it)
    });

    const REQUEST: &str = "request";
    rows.add(REQUEST, "largest head", &gateway.max_header_bytes, |it| {
        bytes(*it)
    });
    rows.add(REQUEST, "largest body", &gateway.max_body_bytes, |it| {
        bytes(*it)
    });
    rows.time(REQUEST, "head timeout", &gateway.header_read_timeout);
    rows.time(REQUEST, "body timeout", &gateway.body_read_timeout);

    const UPSTREAM: &str = "services";
    rows.time(UPSTREAM, "default timeout", &gateway.default_timeout);
    rows.time(UPSTREAM, "connect timeout", &gateway.connect_timeout);
    rows.add(
        UPSTREAM,
        "largest answer",
        &gateway.max_response_bytes,
        |it| bytes(*it),
    );
    rows.shown(UPSTREAM, "may wait at once", &gateway.max_waiting);
    if let Some(file) = &gateway.upstream_ca_file {
        rows.add(UPSTREAM, "authorities", file, |it| it.display().to_string());
    }

    instances::gateway_rows(&mut rows, &gateway.instances, registries);
    mcp::gateway_rows(&mut rows, &gateway.mcp);

    const PROCESS: &str = "process";
    rows.shown(PROCESS, "log filter", &gateway.log_filter);
    rows.shown(PROCESS, "log format", &gateway.log_format);
    rows.add(PROCESS, "log colour", &gateway.log_color, |it| on_off(*it));
    if let Some(workers) = &gateway.workers {
        rows.shown(PROCESS, "threads for connections", workers);
    }
    rows.add(PROCESS, "watches its files", &gateway.watch_files, |it| {
        yes_no(*it)
    });
    rows.time(PROCESS, "drain delay", &gateway.drain_delay);
    rows.time(PROCESS, "drain timeout", &gateway.drain_timeout);
    rows.0
}

/// A duration in the largest unit that keeps it whole.
pub(crate) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(60_000) && millis > 60_000 {
        format!("{} min", millis / 60_000)
    } else if millis.is_multiple_of(1000) && millis > 0 {
        format!("{} s", millis / 1000)
    } else {
        format!("{millis} ms")
    }
}

fn bytes(bytes: usize) -> String {
    const KIB: usize = 1024;
    const MIB: usize = KIB * KIB;

    if bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else if bytes.is_multiple_of(KIB) {
        format!("{} KiB", bytes / KIB)
    } else {
        format!("{bytes} bytes")
    }
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}
