//! The faults of the original gateway, each shown absent, and what a gateway must survive.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_testkit::{Recorded, Reply, TokenIssuer, Upstream};
use bartizan_tests::{Running, Variables};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A backend without a definition that answers its queue, then `{}`.
async fn backend() -> Upstream {
    let backend = Upstream::start().await;
    backend.aside("/api/definition", Reply::status(404));
    backend
}

/// Calls an operation that the operator declared idempotent.
async fn repeatable(gateway: &Running) -> bartizan_tests::Answer {
    gateway.call("getUser").await
}

fn variables(backend: &Upstream) -> Variables {
    Variables::user_service(&backend.url()).user("IDEMPOTENT_OPERATIONS", "get*, list?")
}

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
    let gateway = Variables::user_service(&format!("http://{nobody}"))
        .set("MCP_RETRY_INITIAL_DELAY", 150)
        .set("MCP_RETRY_STRATEGY", "linear")
        .set("MCP_RETRY_MAX_ATTEMPTS", 8)
        .user("CB_FAILURE_THRESHOLD", 50)
        .start()
        .await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        Upstream::start_at(nobody, |_| Reply::json("{}")).await
    };
    let (answer, backend) = futures_util::future::join(gateway.call("createOrder"), late).await;
    let json = answer.json();
    assert_eq!(json["success"], true, "{json}");
    assert!(json["metadata"]["retryCount"].as_u64() >= Some(1));
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

#[tokio::test]
async fn an_operation_cannot_leave_api() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    for operation in [
        "../health",
        "users/123?x=1",
        "a/../../b",
        "%2e%2e/health",
        "a#b",
        "//evil.example/x",
        "a\\\\..\\\\b",
        "x\\r\\nHost: evil",
        "",
    ] {
        let answer = gateway.call(operation).await;
        assert_eq!(
            answer.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{operation}"
        );
        assert!(
            answer.message().starts_with("invalid operation"),
            "{operation}"
        );
    }
    assert_eq!(backend.hits(), 0);
    gateway.call("users/123/orders").await;
    assert_eq!(backend.requests()[0].uri.path(), "/api/users/123/orders");
}

#[tokio::test]
async fn ids_cannot_smuggle_headers() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    for member in ["correlationId", "agentId", "idempotencyKey"] {
        let body = format!(
            r#"{{"service":"user-service","operation":"o","metadata":{{"{member}":"a\r\nX-Evil: 1"}}}}"#
        );
        let message = gateway.post(body).await.message();
        assert_eq!(
            message,
            format!("metadata.{member} must not contain control characters")
        );
    }
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn the_breaker_opens_tests_and_heals() {
    let backend = backend().await;
    backend.handle(|_| Reply::status(500));
    let gateway = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 3)
        .user("CB_RECOVERY_TIMEOUT", 300)
        .user("CB_HALF_OPEN_MAX_CALLS", 2)
        .start()
        .await;
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
    tokio::time::sleep(Duration::from_millis(450)).await;
    let state = async || {
        let path = "/mcp/services/user-service/metrics";
        gateway.get(path).await.json()["circuitBreaker"]["state"].clone()
    };
    gateway.call("createOrder").await;
    assert_eq!(state().await, "HALF_OPEN", "one success is not enough");
    gateway.call("createOrder").await;
    assert_eq!(state().await, "CLOSED");
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
async fn half_open_lets_no_more_through_than_it_may() {
    let backend = backend().await;
    backend.reply(Reply::status(500));
    let gateway = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 1)
        .user("CB_RECOVERY_TIMEOUT", 200)
        .user("CB_HALF_OPEN_MAX_CALLS", 3)
        .start()
        .await;
    gateway.call("createOrder").await;
    backend.handle(|_| Reply::json("{}").after(Duration::from_millis(200)));
    tokio::time::sleep(Duration::from_millis(300)).await;
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

#[tokio::test]
async fn every_dash_of_a_name_becomes_an_underscore() {
    let backend = backend().await;
    let gateway = Variables::default()
        .set("MCP_SERVICES", "my-cool-service")
        .set("MCP_SERVICE_MY_COOL_SERVICE_ENDPOINT", backend.url())
        .set("MCP_SERVICE_MY_COOL_SERVICE_AUTH_TYPE", "none")
        .start()
        .await;
    let answer = gateway
        .post(r#"{"service":"my-cool-service","operation":"o"}"#)
        .await;
    assert_eq!(answer.json()["success"], true);
}

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
async fn a_body_above_the_limit_is_refused_and_named() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    let answer = gateway.post(vec![b' '; 11 * 1024 * 1024]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.message(),
        "request entity too large: the limit is 10485760 bytes"
    );
    assert_eq!(backend.hits(), 0);
}

/// 256 MiB, of which four of 60 MiB leave room for small ones only.
#[tokio::test]
async fn large_bodies_take_up_a_bounded_part_of_the_memory_together() {
    const MIB: usize = 1024 * 1024;
    let backend = backend().await;
    backend.handle(|request| match request.body.len() {
        ..MIB => Reply::json("{}"),
        _ => Reply::hang(),
    });
    let gateway = variables(&backend)
        .set("MCP_GATEWAY_MAX_BODY_BYTES", 64 * MIB)
        .user("TIMEOUT", 60_000)
        .start()
        .await;
    let filler = "x".repeat(60 * MIB);
    let large = json!({ "service": "user-service", "operation": "import", "id": "1",
        "parameters": { "filler": filler } })
    .to_string();
    let large = bytes::Bytes::from(large);

    let four = async {
        let calls = [(); 4].map(|()| gateway.post(large.clone()));
        futures_util::future::join_all(calls).await
    };
    let fifth = async {
        backend.arrived(4).await;
        let small = gateway.call("getUser").await;
        (gateway.post(large.clone()).await, small)
    };
    tokio::select! {
        answers = four => panic!("{:?}", answers.iter().map(bartizan_tests::Answer::message).collect::<Vec<_>>()),
        (refused, small) = fifth => {
            assert_eq!(small.json()["success"], true);
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(refused.header("retry-after"), Some("1"));
        }
    }

    // The four have gone, and their room is free.
    backend.handle(|_| Reply::json("{}"));
    let served = async { while gateway.post(large.clone()).await.status != StatusCode::OK {} };
    let served = tokio::time::timeout(Duration::from_secs(20), served).await;
    assert!(served.is_ok());
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_such() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    let body = "{\"service\":\"user-service\",\"operation\":\"getUser\"}";
    for path in ["/mcp/request", "/mcp", "/tools/call"] {
        for coding in ["gzip", "identity, br"] {
            let headers = [("content-encoding", coding)];
            let request = gateway.request(Method::POST, path, &headers, body);
            let answer = gateway.send(request).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(text.contains("is compressed"), "{path}: {text}");
        }
    }
    assert_eq!(backend.hits(), 0);
    let answer = gateway.post_with(&[("content-encoding", "identity")], body);
    assert_eq!(answer.await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_half_sent_body_ends_in_time() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .set("MCP_GATEWAY_BODY_READ_TIMEOUT", 300)
        .start()
        .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"POST /mcp/request HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"ser")
        .await
        .unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("the request body did not arrive in time"),
        "{answer}"
    );
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn hostile_headers_are_refused_and_the_gateway_lives_on() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    let huge = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(200_000)
    );
    let many = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "a: b\r\n".repeat(500)
    );
    for (request, expected) in [
        (
            "GET /livez HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (
            "GET /livez HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (
            "POST /mcp/request HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (&huge, "HTTP/1.1 431"),
        (&many, "HTTP/1.1 431"),
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 64];
        let read = stream.read(&mut answer);
        let length = tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .unwrap()
            .unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..length]);
        let request = &request[..request.len().min(60)];
        assert!(answer.starts_with(expected), "{request:?}: {answer:?}");
    }
    assert_eq!(gateway.get("/livez").await.body, "ok\n");
}

#[tokio::test]
async fn a_caller_that_leaves_takes_its_call_along() {
    let backend = backend().await;
    backend.handle(|_| Reply::hang());
    let gateway = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 1)
        .start()
        .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = r#"{"service":"user-service","operation":"createOrder"}"#;
    let request = format!(
        "POST /mcp/request HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    backend.arrived(1).await;
    drop(stream);
    let in_flight = "bartizan_service_in_flight";
    gateway.until_metric(in_flight, "user-service", 0).await;
    let health = gateway.get("/mcp/health").await.json();
    assert_eq!(
        health["services"][0]["status"], "healthy",
        "leaving is no failure"
    );
}

#[tokio::test]
async fn probes_answer_and_metrics_are_prometheus() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    gateway.call("getUser").await;
    assert_eq!(gateway.get("/livez").await.status, StatusCode::OK);
    assert_eq!(gateway.get("/readyz").await.status, StatusCode::OK);
    let metrics = gateway.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("service=\"user-service\""), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[tokio::test]
async fn callers_need_a_key_where_keys_are_configured() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .set(
            "MCP_GATEWAY_API_KEYS",
            "first-key-1234567890,second-key-1234567890",
        )
        .start()
        .await;
    let body = r#"{"service":"user-service","operation":"getUser"}"#;
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("x-api-key", "first-key-123456789")],
        vec![("authorization", "Basic first-key-1234567890")],
    ] {
        let answer = gateway.post_with(&headers, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(
        gateway.get("/mcp/services").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(gateway.get("/livez").await.status, StatusCode::OK);
    assert_eq!(backend.hits(), 0);
    for headers in [
        [("authorization", "Bearer second-key-1234567890")],
        [("x-api-key", "first-key-1234567890")],
    ] {
        assert_eq!(
            gateway.post_with(&headers, body).await.status,
            StatusCode::OK
        );
    }
    assert_eq!(
        backend.requests()[0].header("authorization"),
        Some("Bearer s3cr3t-token")
    );
}

#[tokio::test]
async fn a_drain_finishes_what_was_begun() {
    let backend = backend().await;
    backend.handle(|_| Reply::json("{}").after(Duration::from_millis(400)));
    let gateway = Arc::new(variables(&backend).start().await);
    let caller = Arc::clone(&gateway);
    let call = tokio::spawn(async move {
        let answer = caller.call("getUser").await;
        drop(caller);
        answer
    });
    backend.arrived(1).await;
    let address = gateway.address;
    let stop = gateway.stopper();
    stop.stop();
    let answer = call.await.unwrap();
    assert_eq!(answer.json()["success"], true);
    let gateway = Arc::into_inner(gateway).unwrap();
    let drained = gateway.stop().await;
    assert_eq!(drained.aborted, 0);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nothing listens any more"
    );
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

#[tokio::test]
async fn a_drain_is_announced_before_the_port_closes() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .set("MCP_GATEWAY_DRAIN_DELAY", 600)
        .start()
        .await;
    assert_eq!(gateway.get("/readyz").await.status, StatusCode::OK);
    let stopper = gateway.stopper();
    stopper.stop();
    while gateway.get("/readyz").await.status != StatusCode::SERVICE_UNAVAILABLE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // New connections are still served, by then of callers who have not heard yet.
    TcpStream::connect(gateway.address).await.unwrap();
    assert_eq!(gateway.call("getUser").await.json()["success"], true);
    let address = gateway.address;
    assert_eq!(gateway.stop().await.aborted, 0);
    assert!(TcpStream::connect(address).await.is_err());
}

/// Over HTTP/1.1, where RFC 9112, section 3.2, wants a request refused that is for no host, or for
/// several: who stands before the gateway may have gone by another than the gateway does.
#[tokio::test]
async fn a_request_names_one_host() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    for (version, hosts, status) in [
        ("1.1", "host: a.example\r\n", "200"),
        ("1.1", "host:\r\n", "200"),
        ("1.0", "", "200"),
        ("1.1", "", "400"),
        ("1.1", "host: a.example\r\nhost: b.example\r\n", "400"),
        ("1.1", "host: a b\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = format!("GET /livez HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.contains(status), "{version} {hosts:?}: {answer}");
    }
}
