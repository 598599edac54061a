//! The programmatic way to a configuration.

mod auth;
mod service;

use std::time::Duration;

pub use auth::Auth;
pub use service::{CircuitBreaker, RateLimit, ServiceConfig};

use crate::{BackoffStrategy, Configuration, Errors, Origin, Source};

/// The programmatic way to a [`Configuration`].
///
/// It has the groups and names of the documented TypeScript API and passes the same validation
/// as the environment does. What that API requires is required here, too: the gateway's URL, a
/// retry policy, and each service's authentication, rate limit and circuit breaker.
///
/// ```
/// use bartizan_config::{
///     Auth, BackoffStrategy, CircuitBreaker, GatewayConfig, RateLimit, RetryPolicy, ServiceConfig,
/// };
/// use std::time::Duration;
///
/// let configuration = GatewayConfig::builder()
///     .gateway_url("http://localhost:8080")
///     .default_timeout(Duration::from_secs(30))
///     .retry_policy(RetryPolicy {
///         max_attempts: 3,
///         backoff_strategy: BackoffStrategy::Exponential,
///         initial_delay: Duration::from_secs(1),
///         max_delay: Duration::from_secs(10),
///         jitter: true,
///     })
///     .service(
///         "my-service",
///         ServiceConfig::new("http://my-service:8080")
///             .auth(Auth::bearer("my-token"))
///             .rate_limit(RateLimit { requests_per_minute: 100, burst_limit: 20 })
///             .timeout(Duration::from_secs(30))
///             .circuit_breaker(CircuitBreaker {
///                 failure_threshold: 5,
///                 recovery_timeout: Duration::from_secs(30),
///                 half_open_max_calls: 3,
///             }),
///     )
///     .build()?;
/// assert_eq!(configuration.services.len(), 1);
/// # Ok::<(), bartizan_config::Errors>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GatewayConfig(());

impl GatewayConfig {
    /// A builder that holds nothing yet.
    pub fn builder() -> GatewayConfigBuilder {
        GatewayConfigBuilder(Source::explicit())
    }
}

/// How failed calls are repeated. The default is the documented one of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a call is repeated at most, its first attempt not counted.
    pub max_attempts: u32,
    /// How the delay grows.
    pub backoff_strategy: BackoffStrategy,
    /// The delay before the first retry, in whole milliseconds.
    pub initial_delay: Duration,
    /// The longest delay, in whole milliseconds.
    pub max_delay: Duration,
    /// Whether delays are randomised.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff_strategy: BackoffStrategy::Exponential,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            jitter: false,
        }
    }
}

/// Builds a [`Configuration`]; see [`GatewayConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct GatewayConfigBuilder(Source);

impl GatewayConfigBuilder {
    /// The base URL under which callers reach the gateway.
    pub fn gateway_url(self, url: impl Into<String>) -> Self {
        self.variable("MCP_GATEWAY_URL", url)
    }

    /// The timeout of services without one of their own. Default: 30 s.
    pub fn default_timeout(self, timeout: Duration) -> Self {
        self.variable("MCP_DEFAULT_TIMEOUT", milliseconds(timeout))
    }

    /// How failed calls are repeated.
    pub fn retry_policy(self, policy: RetryPolicy) -> Self {
        self.variable("MCP_RETRY_MAX_ATTEMPTS", policy.max_attempts.to_string())
            .variable("MCP_RETRY_STRATEGY", policy.backoff_strategy.as_str())
            .variable(
                "MCP_RETRY_INITIAL_DELAY",
                milliseconds(policy.initial_delay),
            )
            .variable("MCP_RETRY_MAX_DELAY", milliseconds(policy.max_delay))
            .variable("MCP_RETRY_JITTER", policy.jitter.to_string())
    }

    /// Adds a service under this name.
    pub fn service(mut self, name: impl Into<String>, service: ServiceConfig) -> Self {
        let name = name.into();
        service.write(&name, &mut self.0);
        self.0.push_name(name);
        self
    }

    /// Allows placeholder secrets, as `NODE_ENV=development` does. Nothing is replaced.
    pub fn for_development(self) -> Self {
        self.variable("NODE_ENV", "development")
    }

    /// Any other setting, by the name of its variable and as its text. See
    /// [`variables`](crate::variables) for what there is.
    pub fn variable(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.insert(name, text, Origin::Builder);
        self
    }

    /// The finished configuration.
    ///
    /// # Errors
    ///
    /// When anything is wrong with it; then with everything that is.
    pub fn build(self) -> Result<Configuration, Errors> {
        Configuration::parse(&self.0)
    }
}

impl Configuration {
    /// A configuration with the documented values for production: five retries that begin at
    /// 500 ms, and for each service, where it does not say otherwise, 300 calls a minute in
    /// bursts of 100, 30 s, and a circuit breaker of 5 failures, 60 s and 5 trial calls.
    ///
    /// # Errors
    ///
    /// When anything is wrong with it; then with everything that is.
    pub fn production<N: Into<String>>(
        services: impl IntoIterator<Item = (N, ServiceConfig)>,
    ) -> Result<Self, Errors> {
        let gateway = GatewayConfig::builder()
            .gateway_url("http://localhost:8080")
            .default_timeout(Duration::from_secs(30))
            .retry_policy(RetryPolicy {
                max_attempts: 5,
                backoff_strategy: BackoffStrategy::Exponential,
                initial_delay: Duration::from_millis(500),
                max_delay: Duration::from_secs(30),
                jitter: true,
            });
        services
            .into_iter()
            .fold(gateway, |gateway, (name, service)| {
                gateway.service(name, service.for_production())
            })
            .build()
    }
}

/// The text of a duration. What is no whole number of milliseconds becomes a text that parsing
/// refuses.
fn milliseconds(duration: Duration) -> String {
    if duration.subsec_nanos().is_multiple_of(1_000_000) {
        duration.as_millis().to_string()
    } else {
        format!("{duration:?}")
    }
}
