//! The configuration explains itself.

mod common;

use bartizan_config::{Configuration, Origin};
use common::with;

#[test]
fn each_value_with_its_origin_from_the_outside_in() {
    let configuration = with(&[
        ("MCP_DEFAULT_TIMEOUT", "90000"),
        ("MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM", "7"),
    ])
    .unwrap();
    let explanation = configuration.explain("user-service").unwrap();
    let mut layers: Vec<_> = explanation.rows().iter().map(|row| row.layer).collect();
    layers.dedup();
    assert_eq!(
        layers,
        [
            "deadline",
            "retry",
            "rate limit",
            "circuit breaker",
            "auth",
            "balance",
            "attempt",
            "connection",
        ]
    );
    let row = |setting| {
        explanation
            .rows()
            .iter()
            .find(|row| row.setting == setting)
            .unwrap()
    };
    assert_eq!(row("timeout").value, "90 s");
    assert_eq!(
        row("timeout").origin,
        Origin::Variable("MCP_DEFAULT_TIMEOUT".into())
    );
    assert_eq!(row("rate").value, "7 a minute");
    assert_eq!(
        row("burst").origin,
        Origin::Default("the documented default")
    );
    assert_eq!(row("token").value, "[redacted]");

    let text = explanation.to_string();
    assert!(
        text.starts_with("service user-service, from the outside in\n  deadline"),
        "{text}"
    );
    assert!(
        text.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words
                == [
                    "rate",
                    "limit",
                    "rate",
                    "7",
                    "a",
                    "minute",
                    "MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM",
                ]
        }),
        "{text}"
    );
}

#[test]
fn keys_in_urls_are_not_shown() {
    let configuration = with(&[
        ("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "oauth2"),
        ("MCP_SERVICE_USER_SERVICE_CLIENT_ID", "us"),
        ("MCP_SERVICE_USER_SERVICE_CLIENT_SECRET", "hunter2"),
        (
            "MCP_SERVICE_USER_SERVICE_TOKEN_URL",
            "https://a/t?v=1&api_key=hunter2",
        ),
    ]);
    let text = configuration.unwrap().explain("user-service").unwrap();
    let text = text.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(
        text.contains("https://a/t?v=1&api_key=[redacted]"),
        "{text}"
    );
}

#[test]
fn a_service_that_is_not_there() {
    let error = Configuration::development()
        .explain("user-servce")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no service is called \"user-servce\", did you mean user-service?"
    );
    let error = Configuration::development().explain("x").unwrap_err();
    assert_eq!(error.to_string(), "no service is called \"x\"");
}

#[test]
fn a_summary() {
    let configuration = with(&[("MCP_GATEWAY_HOTS", "1")]).unwrap();
    assert_eq!(
        configuration.summary().to_string(),
        "configuration is sound (production)\n\
         listens on http://127.0.0.1:8080, callers are not asked who they are\n\
         services: 1\n  \
         user-service: http://localhost:8081, auth bearer, 100 a minute in bursts of 20, \
         timeout 30 s, 3 retries\n\
         warning: unknown variable MCP_GATEWAY_HOTS, did you mean MCP_GATEWAY_HOST?"
    );
    let gateway = Configuration::development().explain_gateway().to_string();
    assert!(gateway.contains("largest body"), "{gateway}");
}
