//! Backends that answer oddly, late or not at all.

use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_testkit::{Recorded, Reply, TokenIssuer, Upstream};
use bartizan_tests::Variables;
use http::Method;

use crate::{backend, variables};

#[tokio::test]
async fn redirects_are_not_followed() {
    let (backend, target) = (backend().await, backend().await);
    backend.reply(Reply::status(302).header("location", &format!("{}/api/x", target.url())));
    let gateway = variables(&backend).start().await;
    let json = gateway.call("getUser").await.json();
    assert_eq!(
        json["error"]["message"],
        "Request failed with status code 302"
    );
    assert_eq!(target.hits(), 0, "our credential went nowhere else");
    let (name, label) = ("bartizan_service_calls_total", ",outcome=\"server_error\"");
    assert_eq!(gateway.metric(name, "user-service", label).await, 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let backend = backend().await;
    backend.reply(Reply::json(vec![b'1'; 11 * 1024 * 1024]));
    let gateway = variables(&backend).start().await;
    let json = gateway.call("createOrder").await.json();
    assert_eq!(
        json["error"]["message"],
        "response body is larger than 10485760 bytes"
    );
}

#[tokio::test]
async fn an_answer_in_an_encoding_that_nobody_asked_for_is_told_and_asked_for_once() {
    let backend = backend().await;
    backend.reply(Reply::json("x").header("content-encoding", "gzip"));
    let gateway = variables(&backend).start().await;
    let json = gateway.call("getUser").await.json();
    assert_eq!(
        json["error"]["message"],
        "the answer is encoded as gzip, which nobody asked for"
    );
    assert_eq!(backend.hits(), 1, "it would be the same again");
}

#[tokio::test]
async fn several_endpoints_share_the_calls() {
    let (one, two) = (backend().await, backend().await);
    let gateway = Variables::user_service(&format!("{};weight=3, {}", one.url(), two.url()))
        .user("STRATEGY", "weighted")
        .start()
        .await;
    for _ in 0..20 {
        gateway.call("getUser").await;
    }
    assert_eq!((one.hits(), two.hits()), (15, 5));
}

#[tokio::test]
async fn a_dead_endpoint_costs_a_retry_and_then_nothing() {
    let (alive, dead) = (backend().await, Upstream::nobody());
    let gateway = Variables::user_service(&format!("{}, http://{dead}", alive.url()))
        .set("MCP_RETRY_INITIAL_DELAY", 1)
        .user("RATE_LIMIT_BURST", 100)
        .user("CB_FAILURE_THRESHOLD", 50)
        .start()
        .await;
    let mut retries = 0;
    for _ in 0..40 {
        let json = gateway.call("createOrder").await.json();
        assert_eq!(json["success"], true, "{json}");
        retries += json["metadata"]["retryCount"].as_u64().unwrap();
    }
    assert_eq!(alive.hits(), 40);
    assert!(
        (1..=10).contains(&retries),
        "the dead one is set aside: {retries}"
    );
    let gone = gateway.request(Method::GET, "/metrics", &[], "");
    let text = String::from_utf8(gateway.send(gone).await.body.to_vec()).unwrap();
    assert!(
        text.contains("bartizan_ejections_total{service=\"user-service\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn an_instance_that_hangs_is_set_aside() {
    let (well, hanging) = (backend().await, backend().await);
    hanging.handle(|_| Reply::hang());
    let gateway = Variables::user_service(&format!("{}, {}", well.url(), hanging.url()))
        .set("MCP_RETRY_INITIAL_DELAY", 1)
        .user("RATE_LIMIT_BURST", 100)
        .user("IDEMPOTENT_OPERATIONS", "get*")
        .user("ATTEMPT_TIMEOUT", 60)
        .start()
        .await;
    for _ in 0..30 {
        let json = gateway.call("getUser").await.json();
        assert_eq!(json["success"], true, "{json}");
    }
    assert_eq!(hanging.hits(), 5, "five failures in a row are enough");
    assert_eq!(well.hits(), 30);
}

#[tokio::test]
async fn a_slow_token_endpoint_does_not_outlast_the_deadline() {
    let backend = backend().await;
    let issuer = TokenIssuer::start(Some(3600)).await;
    issuer.delay(Duration::from_secs(3));
    let gateway = variables(&backend)
        .user("AUTH_TYPE", "oauth2")
        .user("TOKEN_URL", issuer.url())
        .user("CLIENT_ID", "gateway")
        .user("CLIENT_SECRET", "cl1ent")
        .user("CB_FAILURE_THRESHOLD", 1)
        .start()
        .await;
    let (clock, start) = (Clock::default(), Clock::default().now());
    let body = r#"{"service":"user-service","operation":"getUser","metadata":{"timeout":200}}"#;
    assert_eq!(
        gateway.post(body).await.message(),
        "timeout of 200ms exceeded"
    );
    assert!(clock.now() - start < Duration::from_secs(2));
    let health = gateway.get("/mcp/health").await.json();
    assert_eq!(
        health["services"][0]["status"], "healthy",
        "the service was never asked"
    );
}

/// The first token is refused, and the second one comes when nobody waits any more.
#[tokio::test]
async fn another_token_that_is_slow_does_not_outlast_the_deadline() {
    let backend = backend().await;
    backend.handle(|_: &Recorded| Reply::status(401));
    let issuer = TokenIssuer::start(Some(3600)).await;
    let gateway = variables(&backend)
        .user("AUTH_TYPE", "oauth2")
        .user("TOKEN_URL", issuer.url())
        .user("CLIENT_ID", "gateway")
        .user("CLIENT_SECRET", "cl1ent")
        .user("IDEMPOTENT_OPERATIONS", "getUser")
        .start()
        .await;
    // The first token comes at once.
    gateway.call("setUser").await;
    let asked = backend.hits();
    issuer.delay(Duration::from_millis(1_500));
    let (clock, start) = (Clock::default(), Clock::default().now());
    let body = r#"{"service":"user-service","operation":"getUser","metadata":{"timeout":300}}"#;
    let answer = gateway.post(body).await;
    assert!(clock.now() - start < Duration::from_millis(1_200));
    assert_eq!(answer.message(), "timeout of 300ms exceeded");
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    assert_eq!(backend.hits(), asked + 1, "nothing is sent afterwards");
}
