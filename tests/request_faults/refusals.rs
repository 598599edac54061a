//! Calls that are refused before a service is asked: the circuit is open, or the rate used up.

use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_testkit::Reply;
use http::StatusCode;

use crate::{backend, pass, variables, with_time};

#[tokio::test]
async fn the_breaker_opens_tests_and_heals() {
    let backend = backend().await;
    backend.handle(|_| Reply::status(500));
    let variables = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 3)
        .user("CB_RECOVERY_TIMEOUT", 5_000)
        .user("CB_HALF_OPEN_MAX_CALLS", 2);
    let gateway = with_time(&variables);
    for _ in 0..3 {
        gateway.call("createOrder").await;
    }
    let refused = gateway.call("createOrder").await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        refused.message(),
        "Circuit breaker open for service user-service"
    );
    assert!(refused.header("retry-after").is_some());
    let metrics = gateway.get("/mcp/services/user-service/metrics").await;
    let tokens = &metrics.json()["rateLimiter"]["tokens"];
    assert_eq!(tokens, 17, "a call to an open circuit costs no token");
    assert_eq!(backend.hits(), 3, "an open circuit asks nobody");

    backend.handle(|_| Reply::json("{}"));
    pass(Duration::from_secs(6)).await;
    let state = async || {
        let path = "/mcp/services/user-service/metrics";
        gateway.get(path).await.json()["circuitBreaker"]["state"].clone()
    };
    gateway.call("createOrder").await;
    assert_eq!(state().await, "HALF_OPEN", "one success is not enough");
    gateway.call("createOrder").await;
    assert_eq!(state().await, "CLOSED");
}

#[tokio::test]
async fn half_open_lets_no_more_through_than_it_may() {
    let backend = backend().await;
    backend.reply(Reply::status(500));
    let variables = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 1)
        .user("CB_RECOVERY_TIMEOUT", 5_000)
        .user("CB_HALF_OPEN_MAX_CALLS", 3);
    let gateway = with_time(&variables);
    gateway.call("createOrder").await;
    backend.handle(|_| Reply::json("{}").after(Duration::from_millis(200)));
    pass(Duration::from_secs(6)).await;
    let answers =
        futures_util::future::join_all((0..20).map(|_| gateway.call("createOrder"))).await;
    let through = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::OK)
        .count();
    assert_eq!(through, 3);
    assert_eq!(backend.hits(), 1 + 3);
}

#[tokio::test]
async fn a_backend_that_hangs_opens_its_circuit() {
    let backend = backend().await;
    backend.handle(|_| Reply::hang());
    let gateway = variables(&backend)
        .user("TIMEOUT", 100)
        .user("CB_FAILURE_THRESHOLD", 2)
        .start()
        .await;
    for _ in 0..2 {
        let message = gateway.call("createOrder").await.message();
        assert_eq!(message, "timeout of 100ms exceeded");
    }
    let message = gateway.call("createOrder").await.message();
    assert_eq!(message, "Circuit breaker open for service user-service");
}

#[tokio::test]
async fn the_callers_mistakes_do_not_count_against_a_service() {
    let backend = backend().await;
    backend.handle(|_| Reply::status(404));
    let gateway = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 1)
        .start()
        .await;
    for _ in 0..5 {
        gateway.call("getUser").await;
        gateway.post("{}").await;
        gateway.call("../x").await;
    }
    let health = gateway.get("/mcp/health").await.json();
    assert_eq!(health["services"][0]["status"], "healthy");
}

#[tokio::test]
async fn a_full_queue_says_so_at_once() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .user("RATE_LIMIT_RPM", 1)
        .user("RATE_LIMIT_BURST", 1)
        .start()
        .await;
    gateway.call("getUser").await;
    let (clock, start) = (Clock::default(), Clock::default().now());
    let refused = gateway.call("getUser").await;
    assert!(
        clock.now() - start < Duration::from_secs(5),
        "a wait that cannot end is not begun"
    );
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refused.message(), "Rate limit queue timeout");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((58..=60).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("x-ratelimit-limit"), Some("1"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
}
