//! What the configuration accepts, the layers accept: no value within its bounds may fail only
//! when the stacks are assembled, where it would be reported alone and in other words.

use std::time::Duration;

use bartizan_auth::{Credential, Secret};
use bartizan_backoff::Backoff;
use bartizan_circuit_breaker::CircuitBreakerConfig;
use bartizan_config::{
    Auth, AuthSettings, CircuitBreaker, Configuration, Errors, GatewayConfig, RateLimit,
    RetryPolicy, ServiceConfig, ServiceSettings,
};
use bartizan_discovery::Instance;
use bartizan_rate_limit::Quota;
use proptest::prelude::*;

fn configure(service: ServiceConfig, policy: RetryPolicy) -> Result<Configuration, Errors> {
    GatewayConfig::builder()
        .gateway_url("http://localhost:8080")
        .retry_policy(policy)
        .service("s", service)
        .build()
}

/// Builds the parts of the stack whose bounds are narrower than those of their types.
fn assemble(service: &ServiceSettings) {
    for endpoint in service.endpoints.iter() {
        let instance = Instance::new(endpoint.as_str()).unwrap();
        instance.with_weight(endpoint.weight().get()).unwrap();
    }
    Quota::per_minute(service.rate_limit.requests_per_minute.get())
        .burst(service.rate_limit.burst.get())
        .build()
        .unwrap();
    let breaker = &service.circuit_breaker;
    let ratio = breaker.failure_ratio.as_ref().unwrap();
    CircuitBreakerConfig::builder()
        .failure_threshold(Some(breaker.failure_threshold.get()))
        .recovery_timeout(*breaker.recovery_timeout)
        .half_open_max_calls(breaker.half_open_max_calls.get())
        .failure_ratio(Some(ratio.ratio.as_f64()))
        .window(*ratio.window)
        .minimum_calls(ratio.min_calls.get())
        .build()
        .unwrap();
    Backoff::exponential(*service.retry.initial_delay)
        .max(*service.retry.max_delay)
        .build()
        .unwrap();
    match service.auth.value() {
        AuthSettings::Bearer { token } => {
            Credential::<()>::bearer(token).unwrap();
        }
        AuthSettings::Basic { username, password } => {
            Credential::<()>::basic(username, password).unwrap();
        }
        AuthSettings::ApiKey { key, place } => {
            Credential::<()>::api_key(place.value().clone(), key).unwrap();
        }
        AuthSettings::None => {}
        other @ (AuthSettings::OAuth2(_) | AuthSettings::Authorize(_)) => panic!("{other:?}"),
    }
}

/// Any number, and often one at the edge of something.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0_u32..100,
        Just(u32::MAX),
        Just(65_535),
        Just(65_536),
        Just(500_000),
        Just(500_001),
        Just(60_000_000),
        Just(60_000_001),
        Just(86_400_000),
        Just(86_400_001),
        Just(2_147_483_647),
    ]
}

fn auth() -> impl Strategy<Value = Auth> {
    let text = "[ -~\u{1}\u{e9}]{1,8}";
    prop_oneof![
        text.prop_map(Auth::bearer),
        (text, text).prop_map(|(user, password)| Auth::basic(user, password)),
        (text, text, 0..3_usize).prop_map(|(name, key, place)| {
            use bartizan_config::ApiKeyPlace::{Cookie, Header, Query};
            Auth::api_key_in([Header, Query, Cookie][place], name, key)
        }),
    ]
}

fn service(url: &str) -> ServiceConfig {
    ServiceConfig::new(url)
        .auth(Auth::none())
        .rate_limit(RateLimit::default())
        .circuit_breaker(CircuitBreaker::default())
        .variable("CB_FAILURE_RATIO", "0.5")
}

fn check(service: ServiceConfig, policy: RetryPolicy) {
    if let Ok(configuration) = configure(service, policy) {
        assemble(&configuration.services[0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn endpoints(url in "[Hh]ttps?:[/\\\\]{0,3}[a-z.:\\[\\]\u{fc}\\\\_%0-9/;=-]{0,12}") {
        check(service(&url), RetryPolicy::default());
    }

    #[test]
    fn credentials(auth in auth()) {
        check(service("http://a").auth(auth), RetryPolicy::default());
    }

    #[test]
    fn rates(requests_per_minute in number(), burst_limit in number()) {
        let limit = RateLimit { requests_per_minute, burst_limit };
        check(service("http://a").rate_limit(limit), RetryPolicy::default());
    }

    #[test]
    fn breakers(
        failure_threshold in number(),
        recovery in number(),
        half_open_max_calls in number(),
    ) {
        let breaker = CircuitBreaker {
            failure_threshold,
            recovery_timeout: millis(recovery),
            half_open_max_calls,
        };
        check(service("http://a").circuit_breaker(breaker), RetryPolicy::default());
    }

    #[test]
    fn windows(window in number(), calls in number(), ratio in "[01]\\.[0-9]{1,3}") {
        let service = service("http://a")
            .variable("CB_FAILURE_RATIO", ratio)
            .variable("CB_WINDOW", window.to_string())
            .variable("CB_MIN_CALLS", calls.to_string());
        check(service, RetryPolicy::default());
    }

    #[test]
    fn delays(initial in number(), max in number()) {
        let policy = RetryPolicy {
            initial_delay: millis(initial),
            max_delay: millis(max),
            ..RetryPolicy::default()
        };
        check(service("http://a"), policy);
    }
}

fn millis(number: u32) -> Duration {
    Duration::from_millis(u64::from(number))
}

#[test]
fn the_edges_of_the_bounds() {
    let edge = |rpm, burst, probes| {
        let service = ServiceConfig::new("http://a;weight=1000")
            .auth(Auth::bearer("t"))
            .rate_limit(RateLimit {
                requests_per_minute: rpm,
                burst_limit: burst,
            })
            .circuit_breaker(CircuitBreaker {
                failure_threshold: u32::MAX,
                recovery_timeout: Duration::from_millis(2_147_483_647),
                half_open_max_calls: probes,
            })
            .variable("CB_FAILURE_RATIO", "1")
            .variable("CB_WINDOW", "86400000")
            .variable("CB_MIN_CALLS", "500000");
        configure(service, RetryPolicy::default()).map(|it| assemble(&it.services[0]))
    };
    assert!(edge(60_000_000, u32::MAX, 65_535).is_ok());
    assert!(edge(1, 365 * 24 * 60, 1).is_ok());
    assert!(edge(1, 365 * 24 * 60 + 1, 1).is_err());
    assert!(edge(60_000_001, 1, 1).is_err());
    assert!(edge(1, 1, 65_536).is_err());
}

#[test]
fn the_development_secrets_can_be_sent() {
    for service in &Configuration::development().services {
        if let AuthSettings::Bearer { token } = service.auth.value() {
            let secret: &Secret = token;
            Credential::<()>::bearer(secret).unwrap();
        }
    }
}
