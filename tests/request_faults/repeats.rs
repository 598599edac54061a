//! What is sent again, and what is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::Variables;
use serde_json::json;

use crate::{backend, pass, repeatable, variables, with_time};

#[tokio::test]
async fn retries_are_done_by_the_gateway_and_counted() {
    let backend = backend().await;
    backend.reply(Reply::status(503)).reply(Reply::status(502));
    let gateway = variables(&backend).start().await;
    let json = repeatable(&gateway).await.json();
    assert_eq!(json["success"], true, "{json}");
    assert_eq!(json["metadata"]["retryCount"], 2);
    let attempts: Vec<_> = backend
        .requests()
        .iter()
        .map(|r| r.header("x-retry-attempt").map(str::to_owned))
        .collect();
    assert_eq!(attempts, [None, Some("2".to_owned()), Some("3".to_owned())]);
    let retries = gateway.metric("bartizan_retries_total", "user-service", "");
    assert_eq!(retries.await, 2);
}

#[tokio::test]
async fn a_retry_that_the_limit_refuses_is_none() {
    let backend = backend().await;
    backend.reply(Reply::status(503));
    let gateway = variables(&backend)
        .user("RATE_LIMIT_RPM", 1)
        .user("RATE_LIMIT_BURST", 1)
        .user("RATE_LIMIT_MAX_WAIT", 0)
        .start()
        .await;
    let json = repeatable(&gateway).await.json();
    assert_eq!(
        json["error"]["message"],
        "Request failed with status code 503"
    );
    assert_eq!(json["metadata"]["retryCount"], 0);
    assert_eq!(backend.hits(), 1);
    let retries = gateway.metric("bartizan_retries_total", "user-service", "");
    assert_eq!(retries.await, 0);
}

#[tokio::test]
async fn a_failed_retry_reports_its_count_as_well() {
    let backend = backend().await;
    backend.handle(|_| Reply::status(503));
    let gateway = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 50)
        .start()
        .await;
    let json = repeatable(&gateway).await.json();
    assert_eq!(json["success"], false);
    assert_eq!(
        json["error"]["message"],
        "Request failed with status code 503"
    );
    assert_eq!(
        json["metadata"]["retryCount"], 3,
        "three retries are the documented default"
    );
}

/// What the service said is worth more than that its repetition found no room.
#[tokio::test]
async fn a_retry_that_is_refused_leaves_the_answer_before_it() {
    let answered = |json: &serde_json::Value| {
        assert_eq!(
            json["error"]["message"],
            "Request failed with status code 503"
        );
        assert_eq!(json["error"]["details"]["data"], json!({ "why": "busy" }));
        json["metadata"]["retryCount"].clone()
    };
    let backend = backend().await;
    backend.handle(|_| Reply::json(r#"{"why":"busy"}"#).with_status(503));
    let opens = variables(&backend).user("CB_FAILURE_THRESHOLD", 2);
    let json = repeatable(&opens.start().await).await.json();
    assert_eq!(answered(&json), 1, "{json}");
    assert_eq!(backend.hits(), 2, "the circuit opened at the first retry");

    let limited = variables(&backend)
        .user("RATE_LIMIT_RPM", 1)
        .user("RATE_LIMIT_BURST", 1);
    let json = repeatable(&limited.start().await).await.json();
    assert_eq!(answered(&json), 0, "{json}");
    assert_eq!(backend.hits(), 3);
}

#[tokio::test]
async fn what_may_have_run_is_never_sent_again() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 50)
        .start()
        .await;
    let unsafe_replies = [
        Reply::status(500),
        Reply::status(502),
        Reply::status(503),
        Reply::status(504),
        Reply::close(),
        Reply::truncated(),
    ];
    for (index, reply) in unsafe_replies.into_iter().enumerate() {
        backend.reply(reply);
        let json = gateway.call("createOrder").await.json();
        assert_eq!(json["success"], false, "{json}");
        assert_eq!(backend.hits(), index + 1, "{json}");
    }
}

#[tokio::test]
async fn a_refusal_with_a_date_is_repeated_for_every_class() {
    let backend = backend().await;
    for status in [429, 503] {
        backend.reply(Reply::status(status).header("retry-after", "1"));
    }
    let gateway = Variables::user_service(&backend.url())
        .set("MCP_RETRY_MAX_DELAY", 5000)
        .start()
        .await;
    let (clock, start) = (Clock::default(), Clock::default().now());
    let json = gateway.call("createOrder").await.json();
    assert_eq!(json["metadata"]["retryCount"], 2, "{json}");
    assert!(
        clock.now() - start >= Duration::from_secs(2),
        "the wait asked for is kept"
    );
}

#[tokio::test]
async fn a_call_that_never_left_is_repeated_for_every_class() {
    let nobody = Upstream::nobody();
    let variables = Variables::user_service(&format!("http://{nobody}"))
        .set("MCP_RETRY_INITIAL_DELAY", 5_000)
        .set("MCP_RETRY_JITTER", false);
    let gateway = with_time(&variables);
    let late = async {
        let metrics = "/mcp/services/user-service/metrics";
        gateway
            .until(metrics, |it| it["circuitBreaker"]["failureCount"] == 1)
            .await;
        let backend = Upstream::start_at(nobody, |_| Reply::json("{}")).await;
        pass(Duration::from_secs(5)).await;
        backend
    };
    let (answer, backend) = futures_util::future::join(gateway.call("createOrder"), late).await;
    let json = answer.json();
    assert_eq!(json["success"], true, "{json}");
    assert_eq!(json["metadata"]["retryCount"], 1);
    assert_eq!(backend.hits(), 1);
}

#[tokio::test]
async fn an_idempotency_key_makes_a_call_repeatable_and_travels() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    backend.reply(Reply::status(503));
    let body = r#"{"service":"user-service","operation":"createOrder"}"#;
    let answer = gateway
        .post_with(&[("idempotency-key", "order-1")], body)
        .await;
    assert_eq!(answer.json()["success"], true);
    backend.reply(Reply::close());
    let body = r#"{"service":"user-service","operation":"createOrder","metadata":{"idempotencyKey":"order-2"}}"#;
    assert_eq!(gateway.post(body).await.json()["success"], true);
    let keys: Vec<_> = backend
        .requests()
        .iter()
        .map(|r| r.header("idempotency-key").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(keys, ["order-1", "order-1", "order-2", "order-2"]);
}

#[tokio::test]
async fn a_key_without_a_word_in_it_is_none() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    let in_body =
        r#"{"service":"user-service","operation":"createOrder","metadata":{"idempotencyKey":" "}}"#;
    let plain = r#"{"service":"user-service","operation":"createOrder"}"#;
    for (key, body) in [("", plain), (" ", in_body)] {
        backend.reply(Reply::close());
        let answer = gateway.post_with(&[("idempotency-key", key)], body).await;
        assert_eq!(answer.json()["success"], false, "{key:?}");
    }
    assert_eq!(backend.hits(), 2);
    let answer = gateway
        .post_with(&[("idempotency-key", "order-1")], in_body)
        .await;
    assert_eq!(answer.json()["success"], true);
    let requests = backend.requests();
    let keys = requests.iter().map(|it| it.header("idempotency-key"));
    assert_eq!(keys.collect::<Vec<_>>(), [None, None, Some("order-1")]);
}

#[tokio::test]
async fn the_services_definition_says_what_is_repeatable() {
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let backend = Upstream::start_with(move |request| match request.uri.path() {
        "/api/definition" => Reply::json(
            r#"{"operations":[{"name":"readUser","method":"GET"},{"name":"addUser","method":"POST"}]}"#,
        ),
        "/api/readUser" if counted.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(503),
        "/api/addUser" => Reply::status(503),
        _ => Reply::json("{}"),
    })
    .await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    gateway.get("/mcp/services/user-service/definition").await;
    let json = gateway.call("readUser").await.json();
    assert_eq!(json["metadata"]["retryCount"], 1, "{json}");
    let json = gateway.call("addUser").await.json();
    assert_eq!(
        (&json["success"], &json["metadata"]["retryCount"]),
        (&json!(false), &json!(0))
    );
}
