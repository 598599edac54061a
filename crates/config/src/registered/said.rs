use std::{ops::RangeInclusive, time::Duration};

use super::{Registered, RegisteredKind, variable_prefix};
use crate::{
    Configuration, Origin, Setting, Source, Strategy, Variable, reader::quoted, table, value::Value,
};

/// The limits of what a registry may say, which the documented gateway has as well.
const INTERVAL_SECONDS: RangeInclusive<u64> = 5..=300;
const TIMEOUT_SECONDS: RangeInclusive<u64> = 5..=300;
const RETRIES: RangeInclusive<u64> = 1..=10;

/// The variables of one service, with what the registry and the defaults say below them.
pub(super) struct Said<'a> {
    configuration: &'a Configuration,
    service: &'a Registered<'a>,
    prefix: String,
    pub(super) source: Source,
    pub(super) warnings: Vec<String>,
}

impl<'a> Said<'a> {
    pub(super) fn new(configuration: &'a Configuration, service: &'a Registered<'a>) -> Self {
        let prefix = variable_prefix(service.name);
        Self {
            configuration,
            service,
            source: configuration.later.source.part(&prefix),
            prefix,
            warnings: Vec::new(),
        }
    }

    fn say(&mut self, suffix: &str, text: impl Into<String>, origin: Origin) {
        let name = format!("{}{suffix}", self.prefix);
        self.source.insert_below(name, text, origin);
    }

    pub(super) fn what_the_registry_says(&mut self) {
        let registry = Origin::Registry(self.service.registry.to_owned());
        let service = *self.service;
        if service.kind == RegisteredKind::Mcp {
            self.say("TRANSPORT", "streamable-http", registry.clone());
        }
        if let Some(strategy) = service.strategy {
            let variable: &Variable = &table::STRATEGY;
            if Strategy::parse(variable, strategy).is_ok() {
                self.say("STRATEGY", strategy, registry.clone());
            } else {
                let default = *self.configuration.gateway.instances.strategy;
                let strategy = quoted(strategy);
                self.warnings.push(format!(
                    "the registry names the strategy {strategy}, which is none; using {default}"
                ));
            }
        }
        if let Some(interval) = service.health_check_interval.filter(|_| service.probed) {
            let what = "health_check_interval";
            let seconds = self.clamped(what, interval.as_secs(), &INTERVAL_SECONDS);
            self.say("HEALTH_INTERVAL", millis(seconds), registry.clone());
        }
        if let Some(retries) = service.max_retries {
            let retries = self.clamped("max_retries", retries.into(), &RETRIES);
            self.say("RETRY_MAX_ATTEMPTS", retries.to_string(), registry.clone());
        }
        if let Some(timeout) = service.timeout {
            let seconds = self.clamped("timeout", timeout.as_secs(), &TIMEOUT_SECONDS);
            self.say("TIMEOUT", millis(seconds), registry);
        }
    }

    fn clamped(&mut self, what: &str, number: u64, range: &RangeInclusive<u64>) -> u64 {
        let (least, most) = (*range.start(), *range.end());
        let clamped = number.clamp(least, most);
        if clamped != number {
            self.warnings.push(format!(
                "{what} of the registry is {number}, not from {least} to {most}; using {clamped}"
            ));
        }
        clamped
    }

    pub(super) fn defaults(&mut self) {
        const DOCUMENTED: Origin = Origin::Default("the documented default of its registry");
        const AT_ONCE: Origin =
            Origin::Default("the documented gateway tries the next instance at once");

        let configuration = self.configuration;
        let instances = &configuration.gateway.instances;
        let is_rest = self.service.kind == RegisteredKind::Rest;
        let or_five_seconds = |setting: &Setting<Duration>| match setting.origin() {
            Origin::Default(_) if is_rest => ("5000".to_owned(), DOCUMENTED),
            origin => (setting.as_millis().to_string(), origin.clone()),
        };
        self.say(
            "AUTH_TYPE",
            "none",
            Origin::Default("a registry has no credentials"),
        );
        // A native file means what variables mean, which have the other default.
        if is_rest && configuration.listed(self.service.registry).is_none() {
            self.say("PATH_PREFIX", "/tools/", DOCUMENTED);
        }
        let strategy = &instances.strategy;
        self.say("STRATEGY", strategy.as_str(), strategy.origin().clone());
        let retries = &instances.max_retries;
        self.say(
            "RETRY_MAX_ATTEMPTS",
            retries.to_string(),
            retries.origin().clone(),
        );
        let retry = &configuration.retry;
        if matches!(retry.initial_delay.origin(), Origin::Default(_)) {
            let delay = retry.max_delay.as_millis().min(25).to_string();
            self.say("RETRY_INITIAL_DELAY", delay, AT_ONCE);
        }
        if matches!(retry.jitter.origin(), Origin::Default(_)) {
            self.say("RETRY_JITTER", "true", AT_ONCE);
        }
        let (timeout, origin) = or_five_seconds(&instances.request_timeout);
        self.say("TIMEOUT", timeout, origin);
        if self.service.probed {
            let interval = if is_rest {
                &instances.rest_health_interval
            } else {
                &instances.health_interval
            };
            let text = interval.as_millis().to_string();
            self.say("HEALTH_INTERVAL", text, interval.origin().clone());
            let (timeout, origin) = or_five_seconds(&instances.health_timeout);
            self.say("HEALTH_TIMEOUT", timeout, origin);
        }
    }
}

fn millis(seconds: u64) -> String {
    (seconds * 1000).to_string()
}
