//! Sizes, rates, credentials and pages.

use http::StatusCode;
use serde_json::json;

use crate::{
    agent::{Agent, initialize, variables},
    server::{Say, Server, modern_housekeeping, pieces, result, status, text},
};

/// A server of 2026-07-28 that says this to everything but the questions of housekeeping.
async fn saying(say: impl Fn() -> Say + Send + Sync + 'static) -> Server {
    Server::start(move |heard| modern_housekeeping(heard).unwrap_or_else(&say)).await
}

#[tokio::test]
async fn lesson_15_a_refused_credential_is_a_state_and_no_loop() {
    for code in [401, 403] {
        let server = saying(move || status(code)).await;
        let gateway = variables(&server.url()).start().await;
        let answer = Agent::new(&gateway)
            .modern("tools/call", json!({"name": "t"}))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "not the client's to mend");
        let error = &answer.message()["error"];
        assert_eq!(
            (&error["code"], &error["data"]["state"]),
            (&json!(50202), &json!("auth"))
        );
        assert_eq!(answer.message()["id"], 7);
        assert_eq!(server.count("tools/call"), 1);
    }
}

#[tokio::test]
async fn lesson_15_a_server_that_refuses_everybody_is_of_no_era_yet() {
    let server = Server::start(|_| status(401)).await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway);
    for _ in 0..2 {
        let answer = agent.modern("tools/call", json!({"name": "t"})).await;
        assert_eq!(answer.message()["error"]["code"], 50202, "{answer:?}");
    }
    assert_eq!(
        agent.legacy(&initialize()).await.message()["error"]["code"],
        50202
    );
    assert_eq!(server.count("tools/call"), 0);
}

#[tokio::test]
async fn lesson_18_credentials_of_clients_stay_here() {
    let server = Server::start(|heard| {
        modern_housekeeping(heard)
            .unwrap_or_else(|| result(heard, &json!({"resultType": "complete"})))
    })
    .await;
    let gateway = variables(&server.url())
        .set("MCP_GATEWAY_API_KEYS", "key-of-one-0123456789")
        .start()
        .await;
    let agent = Agent::new(&gateway)
        .with("x-api-key", "key-of-one-0123456789")
        .with("authorization", "Bearer key-of-one-0123456789")
        .with("cookie", "a=key-of-one-0123456789")
        .with("x-forwarded-for", "key-of-one-0123456789");
    agent.modern("tools/call", json!({"name": "t"})).await;
    for heard in server.heard() {
        for (name, value) in &heard.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(!value.contains("key-of-one"), "{name}: {value}");
        }
    }
    assert_eq!(server.count("tools/call"), 1);
}

#[tokio::test]
async fn lesson_25_what_is_too_large_is_told_with_the_limit() {
    let server = saying(|| text(format!("{{\"x\":\"{}\"}}", "x".repeat(5000)))).await;
    let gateway = variables(&server.url())
        .set("MCP_GATEWAY_MAX_BODY_BYTES", 3000)
        .set("MCP_GATEWAY_MAX_RESPONSE_BYTES", 4000)
        .start()
        .await;
    let agent = Agent::new(&gateway);
    let large = json!({"name": "t", "arguments": {"x": "x".repeat(4000)}});
    let answer = agent.modern("tools/call", large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let error = &answer.message()["error"];
    assert_eq!(error["code"], 41301);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|it| it.contains("3000")),
        "{error}"
    );

    let answer = agent.modern("tools/call", json!({"name": "t"})).await;
    let error = &answer.message()["error"];
    assert_eq!(
        (answer.status, &error["code"]),
        (StatusCode::OK, &json!(41301))
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|it| it.contains("4000")),
        "{error}"
    );
}

#[tokio::test]
async fn lesson_25_nor_does_a_body_of_no_announced_length_get_through() {
    let server = saying(|| {
        let (pen, body) = pieces();
        for _ in 0..5 {
            pen.write("x".repeat(1000));
        }
        Say::Pieces("application/json", body)
    })
    .await;
    let gateway = variables(&server.url())
        .set("MCP_GATEWAY_MAX_RESPONSE_BYTES", 4000)
        .start()
        .await;
    let answer = Agent::new(&gateway)
        .modern("tools/call", json!({"name": "t"}))
        .await;
    assert_eq!(answer.message()["error"]["code"], 41301, "{answer:?}");
    assert_eq!(answer.message()["id"], 7);
}

#[tokio::test]
async fn a_call_above_the_rate_is_told_so_with_the_wait() {
    let server = saying(|| text("{}")).await;
    let gateway = variables(&server.url())
        .set("MCP_SERVICE_X_RATE_LIMIT_RPM", 6)
        .set("MCP_SERVICE_X_RATE_LIMIT_BURST", 1)
        .set("MCP_SERVICE_X_RATE_LIMIT_MAX_WAITING", 0)
        .start()
        .await;
    let agent = Agent::new(&gateway);
    // The first of which begins with a question of the gateway's own.
    agent.modern("tools/call", json!({"name": "t"})).await;
    let answer = agent.modern("tools/call", json!({"name": "t"})).await;
    let error = &answer.message()["error"];
    assert_eq!(error["code"], 42901, "{answer:?}");
    let wait = &error["data"]["retryAfter"];
    assert_eq!(error["message"], format!("rate limited, retry in {wait} s"));
}

#[tokio::test]
async fn lesson_30_pages_of_strangers_are_turned_away() {
    let server = saying(|| text("{}")).await;
    let gateway = variables(&server.url()).start().await;
    for (name, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let agent = Agent::new(&gateway).with(name, value);
        let answer = agent.modern("tools/call", json!({"name": "t"})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
    }
    assert!(
        server.heard().is_empty(),
        "nobody asked the server anything"
    );
}

#[tokio::test]
async fn lesson_30_the_names_that_the_operator_knows_are_let_in() {
    let server = saying(|| text("{}")).await;
    let known = [
        (
            "MCP_GATEWAY_URL",
            "https://gateway.example/",
            "host",
            "gateway.example",
        ),
        (
            "MCP_ALLOWED_HOSTS",
            "gateway.example",
            "host",
            "gateway.example:8443",
        ),
        ("MCP_ALLOWED_HOSTS", "*", "host", "any.example"),
        ("MCP_ALLOWED_ORIGINS", "*", "origin", "https://page.example"),
    ];
    for (variable, value, name, said) in known {
        let gateway = variables(&server.url()).set(variable, value).start().await;
        let agent = Agent::new(&gateway).with(name, said);
        let answer = agent.modern("tools/call", json!({"name": "t"})).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{variable}={value}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn lesson_30_nobody_is_sent_elsewhere() {
    let server = saying(|| {
        let there = vec![("location", "http://169.254.169.254/".to_owned())];
        Say::Whole(307, there, bytes::Bytes::new())
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let answer = Agent::new(&gateway)
        .modern("tools/call", json!({"name": "t"}))
        .await;
    assert_eq!(answer.message()["error"]["code"], 50203, "{answer:?}");
    assert!(answer.headers.get("location").is_none());
}
