use std::time::Duration;

use crate::{
    BackoffStrategy, Problem, Setting, Variable,
    reader::{Reader, Scope, quoted},
    table,
    value::Ratio,
};

/// How failed calls are repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// How often a call is repeated at most, its first attempt not counted; 0 never repeats.
    pub max_attempts: Setting<u32>,
    /// How the delay grows.
    pub strategy: Setting<BackoffStrategy>,
    /// The delay before the first retry; above zero, and not above `max_delay`.
    pub initial_delay: Setting<Duration>,
    /// The longest delay.
    pub max_delay: Setting<Duration>,
    /// Whether delays are randomised.
    pub jitter: Setting<bool>,
    /// How many retries each call earns.
    pub budget_ratio: Setting<Ratio>,
    /// How many retries a second there are besides those that calls earn.
    pub budget_min_per_second: Setting<u32>,
}

impl RetrySettings {
    /// How often a call is sent at most, its first attempt counted.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.max_attempts.saturating_add(1)
    }

    /// The gateway's retry policy.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let scope = &Scope::gateway();
        let policy = [
            &table::RETRY_MAX_ATTEMPTS,
            &table::RETRY_STRATEGY,
            &table::RETRY_INITIAL_DELAY,
            &table::RETRY_MAX_DELAY,
            &table::RETRY_JITTER,
        ];
        if reader.is_explicit() && !policy.iter().any(|it| reader.is_set(scope, it)) {
            reader.problem(Problem::new("Retry policy is required"));
        }
        let jitter: Setting<String> = reader.setting(scope, &table::RETRY_JITTER);
        let jitter = jitter.map(|text| text == "true");
        let settings = Self {
            max_attempts: reader.setting(scope, &table::RETRY_MAX_ATTEMPTS),
            initial_delay: reader.setting(scope, &table::RETRY_INITIAL_DELAY),
            max_delay: reader.setting(scope, &table::RETRY_MAX_DELAY),
            strategy: reader.setting(scope, &table::RETRY_STRATEGY),
            jitter: jittered(reader, scope, &table::RETRY_JITTER, &jitter),
            budget_ratio: reader.setting(scope, &table::RETRY_BUDGET_RATIO),
            budget_min_per_second: reader.setting(scope, &table::RETRY_BUDGET_MIN_PER_SECOND),
        };
        settings.consistent(reader, scope, None)
    }

    /// The retry policy of a service, which overrides parts of the gateway's.
    pub(crate) fn read_service(reader: &mut Reader<'_>, scope: &Scope, gateway: &Self) -> Self {
        let settings = Self {
            max_attempts: reader.inherit(
                scope,
                &table::SERVICE_RETRY_MAX_ATTEMPTS,
                &gateway.max_attempts,
            ),
            strategy: reader.inherit(scope, &table::SERVICE_RETRY_STRATEGY, &gateway.strategy),
            initial_delay: reader.inherit(
                scope,
                &table::SERVICE_RETRY_INITIAL_DELAY,
                &gateway.initial_delay,
            ),
            max_delay: reader.inherit(scope, &table::SERVICE_RETRY_MAX_DELAY, &gateway.max_delay),
            jitter: jittered(reader, scope, &table::SERVICE_RETRY_JITTER, &gateway.jitter),
            budget_ratio: gateway.budget_ratio.clone(),
            budget_min_per_second: gateway.budget_min_per_second.clone(),
        };
        settings.consistent(reader, scope, Some(gateway))
    }

    /// The original took an initial delay above the maximum and waited the maximum each time.
    /// So does this, but it says so, once for the gateway and once for a service that differs.
    fn consistent(mut self, reader: &mut Reader<'_>, scope: &Scope, parent: Option<&Self>) -> Self {
        if *self.initial_delay > *self.max_delay {
            if parent.is_none_or(|parent| {
                (&parent.initial_delay, &parent.max_delay) != (&self.initial_delay, &self.max_delay)
            }) {
                reader.warn(scope.message(&format!(
                    "the initial delay of retries, {} ms, is above the longest, {} ms: all will \
                     wait the longest",
                    self.initial_delay.as_millis(),
                    self.max_delay.as_millis()
                )));
            }
            self.initial_delay = self.max_delay.clone();
        }
        self
    }
}

/// On if the text of a variable is exactly "true", as documented. A file with a form of its own has
/// a word for off, so that what is neither is a mistake there.
fn jittered(
    reader: &mut Reader<'_>,
    scope: &Scope,
    variable: &Variable,
    parent: &Setting<bool>,
) -> Setting<bool> {
    let Some(text) = reader.text(scope, variable) else {
        return parent.clone();
    };
    if text.origin().is_structured() {
        return reader.inherit(scope, variable, parent);
    }
    if !matches!(*text, "true" | "false") {
        let name = scope.name(variable);
        let value = quoted(&text);
        reader.warn(format!("{name} is {value}: only \"true\" turns jitter on"));
    }
    text.map(|text| text == "true")
}
