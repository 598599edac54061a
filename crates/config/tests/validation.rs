//! Every documented default and every documented message, by way of the environment.

mod common;

use std::{num::NonZeroU32, time::Duration};

use bartizan_config::{
    AuthSettings, BackoffStrategy, Configuration, CorsOrigins, LogFormat, Mode, Source, Strategy,
    variables,
};
use common::{SOUND, problems, with};

const PREFIX: &str = "MCP_SERVICE_USER_SERVICE_";

#[test]
fn documented_defaults() {
    let configuration = with(&[]).unwrap();
    assert_eq!(
        configuration.mode,
        Mode::Production("production".to_owned())
    );
    assert_eq!(configuration.warnings, []);

    let gateway = &configuration.gateway;
    assert_eq!(gateway.url.as_str(), "http://localhost:8080/");
    assert_eq!(gateway.address().to_string(), "127.0.0.1:8080");
    assert_eq!(*gateway.default_timeout, Duration::from_secs(30));
    assert_eq!(*gateway.cors_origins, CorsOrigins::Any);
    assert_eq!(*gateway.max_body_bytes, 10 * 1024 * 1024);
    assert_eq!(*gateway.log_filter, "info");
    assert_eq!(*gateway.log_format, LogFormat::Text);
    assert!(!*gateway.strict_status && !*gateway.insecure_bind && *gateway.log_color);
    assert!(gateway.api_keys.is_none() && gateway.tls.is_none());

    let retry = &configuration.retry;
    assert_eq!((*retry.max_attempts, retry.tries()), (3, 4));
    assert_eq!(*retry.strategy, BackoffStrategy::Exponential);
    assert_eq!(*retry.initial_delay, Duration::from_secs(1));
    assert_eq!(*retry.max_delay, Duration::from_secs(30));
    assert!(!*retry.jitter);

    let service = configuration.service("user-service").unwrap();
    assert_eq!(service.endpoints[0].as_str(), "http://localhost:8081");
    assert_eq!(*service.strategy, Strategy::RoundRobin);
    assert_eq!(service.rate_limit.requests_per_minute.get(), 100);
    assert_eq!(service.rate_limit.burst.get(), 20);
    assert_eq!(*service.rate_limit.max_wait, Duration::from_secs(30));
    assert_eq!(*service.timeout, Duration::from_secs(30));
    assert_eq!(*service.attempt_timeout, Duration::from_secs(30));
    assert_eq!(service.circuit_breaker.failure_threshold.get(), 5);
    assert_eq!(
        *service.circuit_breaker.recovery_timeout,
        Duration::from_secs(30)
    );
    assert_eq!(service.circuit_breaker.half_open_max_calls.get(), 3);
    assert_eq!(service.circuit_breaker.failure_ratio, None);
    assert_eq!(service.health, None);
    assert_eq!(service.retry, *retry);
}

#[test]
fn the_documented_example_file() {
    let example = "\
PORT=8080
MCP_GATEWAY_URL=http://localhost:8080
MCP_DEFAULT_TIMEOUT=30000
MCP_RETRY_MAX_ATTEMPTS=3
MCP_RETRY_STRATEGY=exponential
MCP_RETRY_INITIAL_DELAY=1000
MCP_RETRY_MAX_DELAY=30000
MCP_RETRY_JITTER=true
MCP_SERVICES=user-service,transaction-service, product-service,,

MCP_SERVICE_USER_SERVICE_ENDPOINT=http://user-service:8080
MCP_SERVICE_USER_SERVICE_AUTH_TYPE=bearer
MCP_SERVICE_USER_SERVICE_TOKEN=abc
MCP_SERVICE_USER_SERVICE_SAMPLE_ENDPOINTS=GET /users,POST /users
MCP_SERVICE_USER_SERVICE_ENDPOINT_0_DESCRIPTION=List users

MCP_SERVICE_TRANSACTION_SERVICE_ENDPOINT=http://transaction-service:8080
MCP_SERVICE_TRANSACTION_SERVICE_AUTH_TYPE=api-key
MCP_SERVICE_TRANSACTION_SERVICE_API_KEY=def
MCP_SERVICE_TRANSACTION_SERVICE_RATE_LIMIT_RPM=200
MCP_SERVICE_TRANSACTION_SERVICE_RATE_LIMIT_BURST=50
MCP_SERVICE_TRANSACTION_SERVICE_TIMEOUT=15000
MCP_SERVICE_TRANSACTION_SERVICE_CB_FAILURE_THRESHOLD=3
MCP_SERVICE_TRANSACTION_SERVICE_CB_RECOVERY_TIMEOUT=20000
MCP_SERVICE_TRANSACTION_SERVICE_CB_HALF_OPEN_MAX_CALLS=2

MCP_SERVICE_PRODUCT_SERVICE_ENDPOINT=http://product-service:8080
MCP_SERVICE_PRODUCT_SERVICE_AUTH_TYPE=oauth2
MCP_SERVICE_PRODUCT_SERVICE_ACCESS_TOKEN=ghi
MCP_SERVICE_PRODUCT_SERVICE_REFRESH_TOKEN=jkl
";
    let source = Source::default().with_text(example, ".env");
    let configuration = Configuration::parse(&source).unwrap();
    let names: Vec<_> = configuration
        .services
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["user-service", "transaction-service", "product-service"]
    );
    assert!(*configuration.retry.jitter);
    let service = &configuration.services[1];
    assert_eq!(service.rate_limit.requests_per_minute.get(), 200);
    assert_eq!(service.circuit_breaker.half_open_max_calls.get(), 2);
    let AuthSettings::OAuth2(oauth2) = configuration.services[2].auth.value() else {
        panic!("{:?}", configuration.services[2].auth);
    };
    assert_eq!(oauth2.access_token.as_ref().unwrap().expose(), "ghi");
    assert_eq!(oauth2.refresh_token.as_ref().unwrap().expose(), "jkl");
    assert_eq!(
        configuration
            .service("user-service")
            .unwrap()
            .endpoints
            .origin()
            .to_string(),
        "MCP_SERVICE_USER_SERVICE_ENDPOINT (.env, line 11)"
    );
}

#[test]
fn the_development_configuration() {
    let configuration = Configuration::development();
    assert_eq!(configuration.mode, Mode::Development);
    assert_eq!(configuration.warnings, []);
    let retry = &configuration.retry;
    assert_eq!(*retry.max_attempts, 3);
    assert_eq!(*retry.max_delay, Duration::from_secs(10));
    assert!(*retry.jitter);
    let facts: Vec<_> = configuration
        .services
        .iter()
        .map(|it| {
            let (kind, secret) = match it.auth.value() {
                AuthSettings::Bearer { token } => ("bearer", token.expose()),
                AuthSettings::ApiKey { key, .. } => ("api-key", key.expose()),
                other => panic!("{other:?}"),
            };
            (
                it.name.as_str(),
                it.endpoints[0].as_str(),
                kind,
                secret,
                it.rate_limit.requests_per_minute.get(),
                it.rate_limit.burst.get(),
                it.timeout.as_millis(),
                it.circuit_breaker.failure_threshold.get(),
                it.circuit_breaker.recovery_timeout.as_millis(),
                it.circuit_breaker.half_open_max_calls.get(),
            )
        })
        .collect();
    #[rustfmt::skip]
    assert_eq!(
        facts,
        [
            ("user-service", "http://localhost:8081", "bearer", "dev-user-token", 100, 20, 30_000, 5, 30_000, 3),
            ("transaction-service", "http://localhost:8082", "api-key", "dev-transaction-key", 200, 50, 15_000, 3, 20_000, 2),
            ("product-service", "http://localhost:8083", "bearer", "dev-product-token", 150, 30, 25_000, 4, 25_000, 3),
        ]
    );
}

#[test]
fn development_replaces_services_and_keeps_the_listener() {
    let configuration = with(&[
        ("NODE_ENV", "development"),
        ("PORT", "9000"),
        ("MCP_RETRY_JITTER", "false"),
        ("MCP_GATEWAY_MAX_BODY_BYTES", "1000"),
    ])
    .unwrap();
    assert_eq!(configuration.services.len(), 3);
    assert!(*configuration.retry.jitter);
    assert_eq!(*configuration.gateway.port, 9000);
    assert_eq!(*configuration.gateway.max_body_bytes, 1000);
    assert_eq!(
        configuration.warnings[0].text(),
        "NODE_ENV=development replaces MCP_RETRY_JITTER, MCP_SERVICES, MCP_SERVICE_*"
    );
}

/// The changes to one variable, and the message they lead to.
#[test]
fn documented_messages() {
    #[rustfmt::skip]
    let cases = [
        ("MCP_DEFAULT_TIMEOUT", "0", "Default timeout must be positive"),
        ("MCP_DEFAULT_TIMEOUT", "-1", "Default timeout must be positive"),
        ("MCP_RETRY_MAX_ATTEMPTS", "-1", "Max retry attempts must be non-negative"),
        ("MCP_RETRY_INITIAL_DELAY", "0", "Initial delay must be positive"),
        ("MCP_RETRY_MAX_DELAY", "0", "Max delay must be positive"),
        ("MCP_RETRY_STRATEGY", "cubic", "Backoff strategy must be linear or exponential"),
        ("MCP_SERVICES", "", "At least one service must be configured"),
        ("MCP_SERVICES", " , ", "At least one service must be configured"),
        ("ENDPOINT", "", "Service user-service: endpoint is required"),
        ("ENDPOINT", "not a url", "Service user-service: invalid endpoint URL"),
        ("ENDPOINT", "ftp://x", "Service user-service: invalid endpoint URL"),
        ("AUTH_TYPE", "", "Service user-service: auth configuration is required"),
        ("AUTH_TYPE", "kerberos", "Service user-service: invalid auth type"),
        ("TOKEN", "", "Service user-service: bearer token is required"),
        ("AUTH_TYPE", "api-key", "Service user-service: API key is required"),
        ("AUTH_TYPE", "oauth2", "Service user-service: OAuth2 access token is required"),
        ("RATE_LIMIT_RPM", "0", "Service user-service: requests per minute must be positive"),
        ("RATE_LIMIT_BURST", "-7", "Service user-service: burst limit must be positive"),
        ("CB_FAILURE_THRESHOLD", "0", "Service user-service: failure threshold must be positive"),
        ("CB_RECOVERY_TIMEOUT", "0", "Service user-service: recovery timeout must be positive"),
        ("CB_HALF_OPEN_MAX_CALLS", "0", "Service user-service: half open max calls must be positive"),
        ("TIMEOUT", "0", "Service user-service: timeout must be positive"),
    ];
    for (name, value, message) in cases {
        let name = if name.starts_with("MCP") {
            name.to_owned()
        } else {
            format!("{PREFIX}{name}")
        };
        let errors = with(&[(&name, value)]).unwrap_err();
        assert_eq!(errors.problems().len(), 1, "{errors}");
        let problem = &errors.problems()[0];
        assert_eq!(problem.message(), message);
        if !value.trim().is_empty() && message.contains("must be positive") {
            assert_eq!(
                problem.to_string(),
                format!("{message} ({name} is {value:?})")
            );
        }
    }
}

#[test]
fn wrong_forms_in_our_own_words() {
    #[rustfmt::skip]
    let cases = [
        (("MCP_DEFAULT_TIMEOUT", "30s"), "MCP_DEFAULT_TIMEOUT must be a whole number of milliseconds (MCP_DEFAULT_TIMEOUT is \"30s\")"),
        (("MCP_DEFAULT_TIMEOUT", "NaN"), "MCP_DEFAULT_TIMEOUT must be a whole number of milliseconds (MCP_DEFAULT_TIMEOUT is \"NaN\")"),
        (("MCP_DEFAULT_TIMEOUT", "99999999999999999999"), "MCP_DEFAULT_TIMEOUT must be at most 2147483647 milliseconds (MCP_DEFAULT_TIMEOUT is \"99999999999999999999\")"),
        (("MCP_RETRY_MAX_ATTEMPTS", "three"), "MCP_RETRY_MAX_ATTEMPTS must be a whole number (MCP_RETRY_MAX_ATTEMPTS is \"three\")"),
        (("PORT", "65536"), "PORT must be at most 65535 (PORT is \"65536\")"),
        (("PORT", "-1"), "PORT must be at least 0 (PORT is \"-1\")"),
        (("MCP_GATEWAY_HOST", "example.com"), "MCP_GATEWAY_HOST must be an IP address or localhost (MCP_GATEWAY_HOST is \"example.com\")"),
        (("MCP_GATEWAY_URL", "gopher://x"), "Gateway URL is required (MCP_GATEWAY_URL is \"gopher://x\": it must begin with http:// or https://)"),
        (("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "bear"), "Service user-service: invalid auth type (MCP_SERVICE_USER_SERVICE_AUTH_TYPE is \"bear\": it must be one of none, bearer, api-key, basic, oauth2, authorize)"),
        (("MCP_GATEWAY_STRICT_STATUS", "yes"), "MCP_GATEWAY_STRICT_STATUS must be true or false (MCP_GATEWAY_STRICT_STATUS is \"yes\")"),
        (("MCP_GATEWAY_LOG_LEVEL", "bartizan=debgu"), "MCP_GATEWAY_LOG_LEVEL must be error, warn, info, debug, trace, off, or a filter such as info,bartizan_retry=debug (MCP_GATEWAY_LOG_LEVEL is \"bartizan=debgu\")"),
        (("MCP_GATEWAY_LOG_LEVEL", "verbose"), "MCP_GATEWAY_LOG_LEVEL must be error, warn, info, debug, trace, off, or a filter such as info,bartizan_retry=debug (MCP_GATEWAY_LOG_LEVEL is \"verbose\")"),
        (("MCP_GATEWAY_LOG_FORMAT", "xml"), "MCP_GATEWAY_LOG_FORMAT must be one of text, json (MCP_GATEWAY_LOG_FORMAT is \"xml\")"),
        (("MCP_GATEWAY_MAX_HEADER_BYTES", "10"), "MCP_GATEWAY_MAX_HEADER_BYTES must be at least 8192 bytes (MCP_GATEWAY_MAX_HEADER_BYTES is \"10\")"),
        (("MCP_GATEWAY_CORS_ORIGINS", "here"), "MCP_GATEWAY_CORS_ORIGINS must be *, none, or a list of origins such as https://app.example.com (MCP_GATEWAY_CORS_ORIGINS is \"here\")"),
        (("MCP_RETRY_BUDGET_RATIO", "1.5"), "MCP_RETRY_BUDGET_RATIO must be a decimal number above 0 and at most 1 (MCP_RETRY_BUDGET_RATIO is \"1.5\")"),
        (("MCP_SERVICE_USER_SERVICE_IDEMPOTENT_OPERATIONS", "get user"), "MCP_SERVICE_USER_SERVICE_IDEMPOTENT_OPERATIONS must hold letters, digits, and any of _ . / - * ? only (MCP_SERVICE_USER_SERVICE_IDEMPOTENT_OPERATIONS is \"get user\")"),
        (("MCP_SERVICE_USER_SERVICE_HEALTH_PATH", "health"), "Service user-service: health path must begin with / and hold no blanks (MCP_SERVICE_USER_SERVICE_HEALTH_PATH is \"health\")"),
        (("MCP_GATEWAY_TLS_CERT_FILE", "/nonexistent/cert.pem"), "MCP_GATEWAY_TLS_CERT_FILE and MCP_GATEWAY_TLS_KEY_FILE must be set together"),
    ];
    for (change, expected) in cases {
        assert_eq!(problems(&[change])[0], expected);
    }
    let long = "9".repeat(500);
    assert!(problems(&[("PORT", &long)])[0].len() < 200);
}

#[test]
fn everything_is_listed_at_once() {
    let errors = with(&[
        ("MCP_DEFAULT_TIMEOUT", "0"),
        ("MCP_RETRY_STRATEGY", "cubic"),
        ("MCP_GATEWAY_HOST", "0.0.0.0"),
        ("MCP_SERVICES", "user-service,other"),
        ("MCP_SERVICE_USER_SERVICE_TIMEOUT", "abc"),
        ("MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM", "0"),
    ])
    .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "Configuration errors:\n  \
         - Default timeout must be positive (MCP_DEFAULT_TIMEOUT is \"0\")\n  \
         - refusing to listen on 0.0.0.0 without inbound authentication: set \
         MCP_GATEWAY_API_KEYS, or MCP_GATEWAY_INSECURE_BIND=true if something in front of the \
         gateway authenticates its callers\n  \
         - Backoff strategy must be linear or exponential (MCP_RETRY_STRATEGY is \"cubic\")\n  \
         - Service user-service: requests per minute must be positive \
         (MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM is \"0\")\n  \
         - MCP_SERVICE_USER_SERVICE_TIMEOUT must be a whole number of milliseconds \
         (MCP_SERVICE_USER_SERVICE_TIMEOUT is \"abc\")\n  \
         - Service other: endpoint is required (MCP_SERVICE_OTHER_ENDPOINT is not set)\n  \
         - Service other: auth configuration is required (MCP_SERVICE_OTHER_AUTH_TYPE is not set)"
    );
}

#[test]
fn levels_may_be_those_of_python() {
    for (text, filter) in [
        ("WARNING", "warn"),
        ("Critical", "error"),
        ("warning, bartizan_retry=debug", "warn,bartizan_retry=debug"),
        ("INFO", "INFO"),
        (
            "info,a[b{c=\"warning\"}]=debug",
            "info,a[b{c=\"warning\"}]=debug",
        ),
    ] {
        let configuration = with(&[("MCP_GATEWAY_LOG_LEVEL", text)]).unwrap();
        assert_eq!(*configuration.gateway.log_filter, filter, "{text}");
    }
}

#[test]
fn every_variable_is_read_and_empty_counts_as_not_set() {
    let reference = with(&[]).unwrap();
    for variable in variables() {
        let name = variable.name().replace("<NAME>", "USER_SERVICE");
        if SOUND.iter().any(|(sound, _)| *sound == name) {
            continue;
        }
        assert_eq!(with(&[(&name, " ")]).unwrap(), reference, "{name}");
        // Nothing accepts a line break, except what is any text at all.
        let errors = with(&[(&name, "\u{1}\n\u{1}")]);
        let any_text =
            ["NODE_ENV", "NO_COLOR", "HOST"].contains(&name.as_str()) || name.ends_with("JITTER");
        let of_others = variables_of_others(&name);
        assert_eq!(errors.is_ok(), any_text || of_others, "{name}: {errors:?}");
    }
}

/// Variables that nothing asks for beside a bearer token, a single endpoint that is no name to look
/// up, no health path and no registry, of a service that is no MCP server.
fn variables_of_others(name: &str) -> bool {
    ["POLL_INTERVAL", "MCP_GATEWAY_KUBERNETES_API"].contains(&name)
        || [
            "DISCOVERY_INTERVAL",
            "KUBERNETES_SERVICE",
            "KUBERNETES_NAMESPACE",
            "KUBERNETES_PORT",
            "DOCKER_SERVICE",
            "DOCKER_NETWORK",
            "DOCKER_SOCKET",
            "API_KEY",
            "API_KEY_IN",
            "API_KEY_NAME",
            "USERNAME",
            "PASSWORD",
            "ACCESS_TOKEN",
            "REFRESH_TOKEN",
            "REFRESH_TOKEN_STORE",
            "TOKEN_URL",
            "TOKEN_URL_ALLOW_HTTP",
            "CLIENT_ID",
            "CLIENT_SECRET",
            "CLIENT_AUTH",
            "ARGS",
            "ENV_<VARIABLE>",
            "WORKING_DIR",
            "IDLE_TIMEOUT",
            "MAX_LIFETIME",
            "HEADER_<HEADER>",
            "QUERY",
            "TRUST_ANNOTATIONS",
            "STREAM_IDLE_TIMEOUT",
            "GRANT",
            "SCOPES",
            "AUDIENCE",
            "AUTHORIZE_GRANT",
            "AUTHORIZE_COMMAND",
            "AUTHORIZE_CALLBACK_PORT",
            "AUTHORIZE_STORE",
            "AUTHORIZE_ISSUER",
            "CLIENT_METADATA_URL",
            "PRIVATE_KEY",
            "PRIVATE_KEY_ALGORITHM",
            "PRIVATE_KEY_ID",
            "IDENTITY_TOKEN_FILE",
            "IDENTITY_PROVIDER_URL",
            "IDENTITY_PROVIDER_CLIENT_ID",
            "IDENTITY_PROVIDER_CLIENT_SECRET",
            "CB_WINDOW",
            "CB_MIN_CALLS",
            "HEALTH_INTERVAL",
            "HEALTH_TIMEOUT",
            "HEALTHY_THRESHOLD",
            "UNHEALTHY_THRESHOLD",
        ]
        .iter()
        .any(|suffix| name == format!("{PREFIX}{suffix}"))
}

#[test]
fn names_of_services_become_prefixes() {
    let configuration = Configuration::parse(&Source::from_iter([
        ("MCP_SERVICES", "my-cool.service v2"),
        ("MCP_SERVICE_MY_COOL_SERVICE_V2_ENDPOINT", "http://a"),
        ("MCP_SERVICE_MY_COOL_SERVICE_V2_AUTH_TYPE", "none"),
    ]))
    .unwrap();
    assert_eq!(configuration.services[0].name, "my-cool.service v2");
    assert_eq!(*configuration.services[0].auth, AuthSettings::None);
}

#[test]
fn services_that_cannot_be_told_apart() {
    let clash = problems(&[("MCP_SERVICES", "user-service,user_service")]);
    assert_eq!(
        clash,
        [
            "Service user_service: has the same variables as service user-service, \
          MCP_SERVICE_USER_SERVICE_*: rename one"
        ]
    );
    // A timeout of `user`'s health probes, or the timeout of `user-health`?
    let ambiguous = Configuration::parse(&Source::from_iter([
        ("MCP_SERVICES", "user,user-health"),
        ("MCP_SERVICE_USER_ENDPOINT", "http://a"),
        ("MCP_SERVICE_USER_AUTH_TYPE", "none"),
        ("MCP_SERVICE_USER_HEALTH_ENDPOINT", "http://a"),
        ("MCP_SERVICE_USER_HEALTH_AUTH_TYPE", "none"),
        ("MCP_SERVICE_USER_HEALTH_TIMEOUT", "1000"),
    ]));
    assert_eq!(
        ambiguous.unwrap_err().problems()[0].message(),
        "MCP_SERVICE_USER_HEALTH_TIMEOUT is a variable of both service user-health and \
         service user: rename one"
    );
    for name in ["a/b", "a\u{7}b", &"a".repeat(129)] {
        let problems = problems(&[("MCP_SERVICES", name)]);
        assert!(
            problems[0].contains("cannot be the name of a service"),
            "{problems:?}"
        );
    }
}

#[test]
fn an_address_beyond_loopback_needs_authentication_or_a_plain_word() {
    let all = ("MCP_GATEWAY_HOST", "0.0.0.0");
    assert!(problems(&[all])[0].starts_with("refusing to listen on 0.0.0.0"));
    assert!(problems(&[("MCP_GATEWAY_HOST", "[::]")])[0].starts_with("refusing to listen on ::"));
    assert!(problems(&[all, ("MCP_GATEWAY_INSECURE_BIND", "false")]).len() == 1);
    let insecure = with(&[all, ("MCP_GATEWAY_INSECURE_BIND", "true")]).unwrap();
    assert!(
        insecure.warnings[0]
            .text()
            .contains("without inbound authentication")
    );
    let keys = ("MCP_GATEWAY_API_KEYS", "0123456789abcdef, fedcba9876543210");
    let configuration = with(&[all, keys]).unwrap();
    assert_eq!(configuration.gateway.api_keys.unwrap().len(), 2);
    assert_eq!(configuration.warnings, []);
    for loopback in ["localhost", "127.0.0.2", "::1", "[::1]"] {
        assert_eq!(problems(&[("MCP_GATEWAY_HOST", loopback)]), [""; 0]);
    }
}

#[test]
fn the_port_is_the_gateways_own_or_the_platforms() {
    let port = |changes: &[_]| *with(changes).unwrap().gateway.port;
    assert_eq!(port(&[("PORT", "3000")]), 3000);
    assert_eq!(
        port(&[("PORT", "3000"), ("MCP_GATEWAY_PORT", "4000")]),
        4000
    );
    assert_eq!(port(&[("MCP_GATEWAY_PORT", "tcp://10.0.0.1:80")]), 8080);
    assert_eq!(port(&[("PORT", "0")]), 0);
}

#[test]
fn timeouts_and_retries_are_inherited() {
    let configuration = with(&[
        ("MCP_DEFAULT_TIMEOUT", "7000"),
        ("MCP_RETRY_MAX_ATTEMPTS", "2"),
        ("MCP_RETRY_INITIAL_DELAY", "10"),
        ("MCP_SERVICE_USER_SERVICE_RETRY_INITIAL_DELAY", "20"),
        ("MCP_SERVICE_USER_SERVICE_RETRY_JITTER", "true"),
        ("MCP_SERVICE_USER_SERVICE_RETRY_STRATEGY", "linear"),
        ("MCP_SERVICE_USER_SERVICE_ATTEMPT_TIMEOUT", "500"),
        ("MCP_GATEWAY_MAX_WAITING", "7"),
    ])
    .unwrap();
    let service = &configuration.services[0];
    assert_eq!(*service.timeout, Duration::from_secs(7));
    assert_eq!(service.timeout.origin().to_string(), "MCP_DEFAULT_TIMEOUT");
    assert_eq!(*service.attempt_timeout, Duration::from_millis(500));
    assert_eq!(*service.retry.max_attempts, 2);
    assert_eq!(*service.retry.initial_delay, Duration::from_millis(20));
    assert_eq!(*service.retry.strategy, BackoffStrategy::Linear);
    assert!(*service.retry.jitter && !*configuration.retry.jitter);
    assert_eq!(*service.rate_limit.max_waiting, 7);
}

#[test]
fn a_ratio_and_probes_bring_their_own_defaults() {
    let configuration = with(&[
        ("MCP_SERVICE_USER_SERVICE_CB_FAILURE_RATIO", "0.5"),
        ("MCP_SERVICE_USER_SERVICE_CB_WINDOW", "5000"),
        ("MCP_SERVICE_USER_SERVICE_HEALTH_PATH", "/health"),
    ])
    .unwrap();
    let service = &configuration.services[0];
    let ratio = service.circuit_breaker.failure_ratio.as_ref().unwrap();
    assert!((ratio.ratio.as_f64() - 0.5).abs() < f64::EPSILON);
    assert_eq!(*ratio.window, Duration::from_secs(5));
    assert_eq!(*ratio.min_calls, NonZeroU32::new(20).unwrap());
    let health = service.health.as_ref().unwrap();
    assert_eq!(**health.path.as_ref().unwrap(), "/health");
    assert_eq!(*health.interval, Duration::from_secs(30));
    assert_eq!(*health.timeout, Duration::from_secs(5));
    assert_eq!(health.healthy_threshold.get(), 2);
    assert_eq!(health.unhealthy_threshold.get(), 3);
}

#[test]
fn an_initial_delay_above_the_longest_is_the_longest() {
    let configuration = with(&[("MCP_RETRY_MAX_DELAY", "500")]).unwrap();
    assert_eq!(
        *configuration.retry.initial_delay,
        Duration::from_millis(500)
    );
    assert_eq!(
        configuration.warnings.len(),
        1,
        "{:?}",
        configuration.warnings
    );
}
