use std::time::Duration;

use bartizan_auth::Secret;

use crate::{Auth, McpTransport, Origin, Source, reader::Scope};

use super::milliseconds;

/// One service, for [`GatewayConfigBuilder::service`](crate::GatewayConfigBuilder::service).
#[derive(Clone, Debug)]
#[must_use]
pub struct ServiceConfig {
    endpoints: Option<String>,
    auth: Option<Auth>,
    rate_limit: Option<RateLimit>,
    timeout: Option<Duration>,
    circuit_breaker: Option<CircuitBreaker>,
    settings: Vec<(String, Secret)>,
}

/// How many calls a service gets. The default is the documented one of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many a minute in the long run.
    pub requests_per_minute: u32,
    /// How many at once after a pause.
    pub burst_limit: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            requests_per_minute: 100,
            burst_limit: 20,
        }
    }
}

/// When an instance is left alone. The default is the documented one of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// How many failures in a row open the circuit.
    pub failure_threshold: u32,
    /// How long it stays open, in whole milliseconds.
    pub recovery_timeout: Duration,
    /// How many calls may try a half-open circuit at once.
    pub half_open_max_calls: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            recovery_timeout: Duration::from_secs(30),
            half_open_max_calls: 3,
        }
    }
}

impl ServiceConfig {
    /// A service that is reached here: a URL, or several in the syntax of
    /// `MCP_SERVICE_<NAME>_ENDPOINT`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoints: Some(endpoint.into()),
            ..Self::nowhere()
        }
    }

    /// An MCP server that is reached here, over Streamable HTTP. Without [`ServiceConfig::auth`]
    /// it is shown no credential.
    ///
    /// ```
    /// use bartizan_config::{GatewayConfig, McpTransport, RetryPolicy, ServiceConfig};
    ///
    /// let configuration = GatewayConfig::builder()
    ///     .gateway_url("http://localhost:8080")
    ///     .retry_policy(RetryPolicy::default())
    ///     .service("search", ServiceConfig::mcp("https://search.example.com/mcp"))
    ///     .service(
    ///         "memory",
    ///         ServiceConfig::stdio("npx")
    ///             .args(["-y", "@modelcontextprotocol/server-memory"])
    ///             .env("MEMORY_FILE_PATH", "/var/lib/memory.json"),
    ///     )
    ///     .build()?;
    /// let memory = configuration.service("memory").unwrap();
    /// assert_eq!(*memory.kind.mcp().unwrap().transport, McpTransport::Stdio);
    /// # Ok::<(), bartizan_config::Errors>(())
    /// ```
    pub fn mcp(endpoint: impl Into<String>) -> Self {
        Self::new(endpoint).transport(McpTransport::StreamableHttp)
    }

    /// An MCP server that is a process: this program, on its standard input and output. It has
    /// the harmless variables of this process, such as `PATH`, and those of
    /// [`ServiceConfig::env`].
    pub fn stdio(command: impl Into<String>) -> Self {
        Self::nowhere()
            .transport(McpTransport::Stdio)
            .variable("COMMAND", command)
    }

    fn nowhere() -> Self {
        Self {
            endpoints: None,
            auth: None,
            rate_limit: None,
            timeout: None,
            circuit_breaker: None,
            settings: Vec::new(),
        }
    }

    /// How the MCP server is reached.
    pub fn transport(self, transport: McpTransport) -> Self {
        self.variable("TRANSPORT", transport.as_str())
    }

    /// The arguments of the command, as they are.
    pub fn args<A: Into<String>>(self, args: impl IntoIterator<Item = A>) -> Self {
        let args: Vec<String> = args.into_iter().map(Into::into).collect();
        self.variable("ARGS", serde_json::Value::from(args).to_string())
    }

    /// A variable of the command's environment.
    pub fn env(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.variable(format!("ENV_{}", name.as_ref()), value)
    }

    /// The directory that the command is started in.
    pub fn working_dir(self, directory: impl Into<String>) -> Self {
        self.variable("WORKING_DIR", directory)
    }

    /// A header of every request to the MCP server.
    pub fn header(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.variable(format!("HEADER_{}", name.as_ref()), value)
    }

    /// The query of every request to the MCP server.
    pub fn query(self, query: impl Into<String>) -> Self {
        self.variable("QUERY", query)
    }

    /// Whether the MCP server is believed when it calls a tool read-only or idempotent. Default:
    /// no.
    pub fn trust_annotations(self, trust: bool) -> Self {
        self.variable("TRUST_ANNOTATIONS", trust.to_string())
    }

    /// How the gateway proves itself.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// How many calls it gets.
    pub fn rate_limit(mut self, rate_limit: RateLimit) -> Self {
        self.rate_limit = Some(rate_limit);
        self
    }

    /// How long a call may take in all, in whole milliseconds. Default: the gateway's default
    /// timeout.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// When an instance is left alone.
    pub fn circuit_breaker(mut self, circuit_breaker: CircuitBreaker) -> Self {
        self.circuit_breaker = Some(circuit_breaker);
        self
    }

    /// Any other setting, by what follows `MCP_SERVICE_<NAME>_` in the name of its variable, such
    /// as `HEALTH_PATH`, and as its text.
    pub fn variable(mut self, suffix: impl Into<String>, text: impl Into<String>) -> Self {
        self.settings.push((suffix.into(), Secret::new(text)));
        self
    }

    /// The documented values for production where there are none yet.
    pub(super) fn for_production(mut self) -> Self {
        self.rate_limit.get_or_insert(RateLimit {
            requests_per_minute: 300,
            burst_limit: 100,
        });
        self.timeout.get_or_insert(Duration::from_secs(30));
        self.circuit_breaker.get_or_insert(CircuitBreaker {
            failure_threshold: 5,
            recovery_timeout: Duration::from_secs(60),
            half_open_max_calls: 5,
        });
        self
    }

    pub(super) fn write(self, name: &str, source: &mut Source) {
        let prefix = Scope::service(name).prefix().to_owned();
        let mut set = |suffix: &str, text: &str| {
            source.insert(
                format!("MCP_SERVICE_{prefix}_{suffix}"),
                text,
                Origin::Builder,
            );
        };
        if let Some(endpoints) = &self.endpoints {
            set("ENDPOINT", endpoints);
        }
        for (suffix, text) in self.auth.iter().flat_map(|auth| &auth.settings) {
            set(suffix, text.expose());
        }
        if let Some(limit) = self.rate_limit {
            set("RATE_LIMIT_RPM", &limit.requests_per_minute.to_string());
            set("RATE_LIMIT_BURST", &limit.burst_limit.to_string());
        }
        if let Some(timeout) = self.timeout {
            set("TIMEOUT", &milliseconds(timeout));
        }
        if let Some(breaker) = self.circuit_breaker {
            set(
                "CB_FAILURE_THRESHOLD",
                &breaker.failure_threshold.to_string(),
            );
            set(
                "CB_RECOVERY_TIMEOUT",
                &milliseconds(breaker.recovery_timeout),
            );
            set(
                "CB_HALF_OPEN_MAX_CALLS",
                &breaker.half_open_max_calls.to_string(),
            );
        }
        for (suffix, text) in &self.settings {
            set(suffix, text.expose());
        }
    }
}
