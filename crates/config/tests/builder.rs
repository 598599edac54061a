//! The programmatic way: the same validation, and what it requires besides.

use std::time::Duration;

use bartizan_config::{
    ApiKeyPlace, Auth, AuthSettings, BackoffStrategy, CircuitBreaker, Configuration, GatewayConfig,
    GatewayConfigBuilder, McpTransport, Mode, Origin, RateLimit, RetryPolicy, ServiceConfig,
    ServiceKind, ServiceSettings, Source,
};

fn service() -> ServiceConfig {
    ServiceConfig::new("http://my-service:8080")
        .auth(Auth::bearer("my-token"))
        .rate_limit(RateLimit::default())
        .circuit_breaker(CircuitBreaker::default())
}

fn gateway() -> GatewayConfigBuilder {
    GatewayConfig::builder()
        .gateway_url("http://localhost:8080")
        .retry_policy(RetryPolicy::default())
}

fn problems(builder: GatewayConfigBuilder) -> Vec<String> {
    match builder.build() {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn both_ways_lead_to_the_same_configuration() {
    let built = gateway()
        .default_timeout(Duration::from_secs(9))
        .service(
            "my-service",
            ServiceConfig::new("http://a;weight=2,http://b")
                .auth(Auth::api_key_in(ApiKeyPlace::Query, "key", "k1"))
                .rate_limit(RateLimit {
                    requests_per_minute: 7,
                    burst_limit: 8,
                })
                .timeout(Duration::from_millis(1_234))
                .circuit_breaker(CircuitBreaker {
                    failure_threshold: 1,
                    recovery_timeout: Duration::from_millis(2),
                    half_open_max_calls: 3,
                })
                .variable("HEALTH_PATH", "/health"),
        )
        .variable("PORT", "0")
        .build()
        .unwrap();
    let parsed = Configuration::parse(&Source::from_iter([
        ("MCP_DEFAULT_TIMEOUT", "9000"),
        ("MCP_SERVICES", "my-service"),
        (
            "MCP_SERVICE_MY_SERVICE_ENDPOINT",
            "http://a;weight=2,http://b",
        ),
        ("MCP_SERVICE_MY_SERVICE_AUTH_TYPE", "api-key"),
        ("MCP_SERVICE_MY_SERVICE_API_KEY", "k1"),
        ("MCP_SERVICE_MY_SERVICE_API_KEY_IN", "query"),
        ("MCP_SERVICE_MY_SERVICE_API_KEY_NAME", "key"),
        ("MCP_SERVICE_MY_SERVICE_RATE_LIMIT_RPM", "7"),
        ("MCP_SERVICE_MY_SERVICE_RATE_LIMIT_BURST", "8"),
        ("MCP_SERVICE_MY_SERVICE_TIMEOUT", "1234"),
        ("MCP_SERVICE_MY_SERVICE_CB_FAILURE_THRESHOLD", "1"),
        ("MCP_SERVICE_MY_SERVICE_CB_RECOVERY_TIMEOUT", "2"),
        ("MCP_SERVICE_MY_SERVICE_CB_HALF_OPEN_MAX_CALLS", "3"),
        ("MCP_SERVICE_MY_SERVICE_HEALTH_PATH", "/health"),
        ("PORT", "0"),
    ]))
    .unwrap();
    assert_eq!(built, parsed);
    assert_eq!(*built.services[0].timeout.origin(), Origin::Builder);
}

#[test]
fn mcp_servers_are_built_as_they_are_parsed() {
    let built = gateway()
        .service(
            "search",
            ServiceConfig::mcp("https://search.example.com/mcp")
                .auth(Auth::bearer("t1"))
                .header("X-Tenant", "hunter2")
                .trust_annotations(true),
        )
        .service(
            "old",
            ServiceConfig::mcp("http://old/sse").transport(McpTransport::Sse),
        )
        .service(
            "memory",
            ServiceConfig::stdio("npx")
                .args(["-y", "server memory", ""])
                .env("MEMORY_key", "hunter2")
                .working_dir("/srv")
                .variable("IDLE_TIMEOUT", "1000"),
        );
    assert!(!format!("{built:?}").contains("hunter2"));
    let built = built.build().unwrap();
    let mut parsed = Configuration::parse(&Source::from_iter([
        ("MCP_SERVICES", "search,old,memory"),
        (
            "MCP_SERVICE_SEARCH_ENDPOINT",
            "https://search.example.com/mcp",
        ),
        ("MCP_SERVICE_SEARCH_TRANSPORT", "http"),
        ("MCP_SERVICE_SEARCH_AUTH_TYPE", "bearer"),
        ("MCP_SERVICE_SEARCH_TOKEN", "t1"),
        ("MCP_SERVICE_SEARCH_HEADER_X_TENANT", "hunter2"),
        ("MCP_SERVICE_SEARCH_TRUST_ANNOTATIONS", "true"),
        ("MCP_SERVICE_OLD_ENDPOINT", "http://old/sse"),
        ("MCP_SERVICE_OLD_TRANSPORT", "sse"),
        ("MCP_SERVICE_MEMORY_COMMAND", "npx"),
        ("MCP_SERVICE_MEMORY_ARGS", "-y 'server memory' ''"),
        ("MCP_SERVICE_MEMORY_ENV_MEMORY_key", "hunter2"),
        ("MCP_SERVICE_MEMORY_WORKING_DIR", "/srv"),
        ("MCP_SERVICE_MEMORY_IDLE_TIMEOUT", "1000"),
    ]))
    .unwrap();
    // What a process inherits is of the embedding process.
    let inherited = |service: &ServiceSettings| service.kind.stdio().unwrap().inherited.clone();
    assert!(!inherited(&built.services[2]).is_empty());
    if let ServiceKind::Mcp(mcp) = &mut parsed.services[2].kind {
        mcp.stdio.as_mut().unwrap().inherited = inherited(&built.services[2]);
    }
    assert_eq!(built, parsed);
    let header = &built.services[0].kind.mcp().unwrap().headers[0].1;
    assert_eq!(*header.origin(), Origin::Builder);
}

#[test]
fn what_an_mcp_server_cannot_be_is_told_without_variables() {
    let built = gateway()
        .service("a", ServiceConfig::mcp("nonsense"))
        .service("b", ServiceConfig::stdio(""))
        .service("c", ServiceConfig::mcp("http://c").header("Host", "x"))
        .service("d", ServiceConfig::stdio("d").env("A=B", "x"));
    assert_eq!(
        problems(built),
        [
            "Service a: invalid endpoint URL (it is \"nonsense\": it must begin with http:// or https://)",
            "Service b: command is required",
            "Service c: the gateway itself writes the header host (Host)",
            "Service d: no variable can have this name (A=B)",
        ]
    );
}

#[test]
fn what_the_documented_api_requires() {
    assert_eq!(
        problems(GatewayConfig::builder()),
        [
            "Gateway URL is required",
            "Retry policy is required",
            "At least one service must be configured",
        ]
    );
    assert_eq!(
        problems(gateway().service("x", ServiceConfig::new(""))),
        [
            "Service x: endpoint is required",
            "Service x: auth configuration is required",
            "Service x: rate limit configuration is required",
            "Service x: circuit breaker configuration is required",
        ]
    );
    for (auth, message) in [
        (Auth::bearer(""), "bearer token is required"),
        (Auth::api_key(" "), "API key is required"),
        (Auth::oauth2(""), "OAuth2 access token is required"),
        (Auth::basic("", "p"), "user name is required"),
    ] {
        let problems = problems(gateway().service("x", service().auth(auth)));
        assert_eq!(problems, [format!("Service x: {message}")]);
    }
}

#[test]
fn numbers_of_the_wrong_size() {
    let breaker = CircuitBreaker {
        failure_threshold: 0,
        recovery_timeout: Duration::ZERO,
        half_open_max_calls: 0,
    };
    let limit = RateLimit {
        requests_per_minute: 0,
        burst_limit: 0,
    };
    let policy = RetryPolicy {
        initial_delay: Duration::ZERO,
        max_delay: Duration::from_secs(u64::MAX),
        backoff_strategy: BackoffStrategy::Linear,
        ..RetryPolicy::default()
    };
    let broken = service()
        .circuit_breaker(breaker)
        .rate_limit(limit)
        .timeout(Duration::from_micros(1_500));
    assert_eq!(
        problems(
            gateway()
                .retry_policy(policy)
                .default_timeout(Duration::ZERO)
                .service("x", broken)
        ),
        [
            "Default timeout must be positive (it is \"0\")",
            "Initial delay must be positive (it is \"0\")",
            "MCP_RETRY_MAX_DELAY must be at most 2147483647 milliseconds (it is \"18446744073709551615000\")",
            "Service x: requests per minute must be positive (it is \"0\")",
            "Service x: burst limit must be positive (it is \"0\")",
            "Service x: failure threshold must be positive (it is \"0\")",
            "Service x: recovery timeout must be positive (it is \"0\")",
            "Service x: half open max calls must be positive (it is \"0\")",
            "MCP_SERVICE_X_TIMEOUT must be a whole number of milliseconds (it is \"1.5ms\")",
        ]
    );
}

#[test]
fn names_that_no_list_of_variables_could_hold() {
    for name in ["a,b", "", " a", "a\nb"] {
        let problems = problems(gateway().service(name, service()));
        assert!(
            problems[0].contains("cannot be the name of a service"),
            "{problems:?}"
        );
    }
    let clash = problems(
        gateway()
            .service("a-b", service())
            .service("a_b", service()),
    );
    assert!(
        clash[0].starts_with("Service a_b: has the same variables"),
        "{clash:?}"
    );
}

#[test]
fn placeholders_need_development() {
    let placeholder = || gateway().service("x", service().auth(Auth::bearer("your-bearer-token")));
    assert_eq!(
        problems(placeholder()),
        ["Service x: bearer token is a placeholder"]
    );
    let configuration = placeholder().for_development().build().unwrap();
    assert_eq!(configuration.mode, Mode::Development);
    assert_eq!(configuration.services.len(), 1);
}

#[test]
fn production_values() {
    let configuration = Configuration::production([
        ("a", ServiceConfig::new("http://a").auth(Auth::none())),
        (
            "b",
            ServiceConfig::new("http://b")
                .auth(
                    Auth::client_credentials("https://issuer/token", "id", "s3cr3t").scopes("x y"),
                )
                .timeout(Duration::from_secs(1)),
        ),
    ])
    .unwrap();
    assert_eq!(configuration.warnings, []);
    let retry = &configuration.retry;
    assert_eq!(*retry.max_attempts, 5);
    assert_eq!(*retry.initial_delay, Duration::from_millis(500));
    assert_eq!(*retry.max_delay, Duration::from_secs(30));
    assert_eq!(*retry.strategy, BackoffStrategy::Exponential);
    assert!(*retry.jitter);
    let [a, b] = &configuration.services[..] else {
        panic!();
    };
    assert_eq!(a.rate_limit.requests_per_minute.get(), 300);
    assert_eq!(a.rate_limit.burst.get(), 100);
    assert_eq!(*a.timeout, Duration::from_secs(30));
    assert_eq!(a.circuit_breaker.failure_threshold.get(), 5);
    assert_eq!(*a.circuit_breaker.recovery_timeout, Duration::from_secs(60));
    assert_eq!(a.circuit_breaker.half_open_max_calls.get(), 5);
    assert_eq!(*b.timeout, Duration::from_secs(1));
    let AuthSettings::OAuth2(oauth2) = b.auth.value() else {
        panic!();
    };
    assert_eq!(**oauth2.scopes.as_ref().unwrap(), ["x", "y"]);
    let nobody: [(&str, ServiceConfig); 0] = [];
    assert!(Configuration::production(nobody).is_err());
}

#[test]
fn debug_of_a_builder_shows_no_secret() {
    let builder = gateway().service("x", service().auth(Auth::bearer("hunter2")));
    assert!(!format!("{builder:?}").contains("hunter2"));
    assert!(!format!("{:?}", service().auth(Auth::bearer("hunter2"))).contains("hunter2"));
}
