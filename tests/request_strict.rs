//! `MCP_GATEWAY_STRICT_STATUS=true`: statuses that say what happened, as problem details.

use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Variables};
use http::StatusCode;

async fn strict(backend: &Upstream) -> Variables {
    backend.aside("/api/definition", Reply::status(404));
    Variables::user_service(&backend.url()).set("MCP_GATEWAY_STRICT_STATUS", "true")
}

fn assert_problem(answer: &Answer, status: u16, code: &str, detail: &str) {
    let json = answer.json();
    assert_eq!(answer.status.as_u16(), status, "{json}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(json["type"], "about:blank");
    assert_eq!(
        json["title"],
        StatusCode::from_u16(status)
            .unwrap()
            .canonical_reason()
            .unwrap()
    );
    assert_eq!(json["status"], status);
    assert_eq!(json["success"], false);
    assert_eq!(json["code"], code);
    assert!(
        json["detail"].as_str().unwrap().starts_with(detail),
        "{json}"
    );
}

#[tokio::test]
async fn success_is_the_same_envelope() {
    let backend = Upstream::start().await;
    let gateway = strict(&backend).await.start().await;
    let answer = gateway.call("getUser").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["success"], true);
}

#[tokio::test]
async fn the_callers_errors_are_4xx() {
    let backend = Upstream::start().await;
    let gateway = strict(&backend).await.start().await;
    let answer = gateway.post("{").await;
    assert_problem(
        &answer,
        400,
        "VALIDATION_ERROR",
        "the request body is not valid JSON",
    );
    let answer = gateway.call("../x").await;
    assert_problem(&answer, 400, "VALIDATION_ERROR", "invalid operation");
    let answer = gateway.post(vec![b' '; 11 * 1024 * 1024]).await;
    assert_problem(
        &answer,
        413,
        "VALIDATION_ERROR",
        "request entity too large: the limit is",
    );
    let body = r#"{"id":7,"service":"x","operation":"o","metadata":{"correlationId":"c"}}"#;
    let answer = gateway.post(body).await;
    assert_problem(
        &answer,
        404,
        "CONFIGURATION_ERROR",
        "Service x not configured",
    );
    assert_eq!(answer.json()["requestId"], 7);
    assert_eq!(answer.json()["correlationId"], "c");
}

#[tokio::test]
async fn a_limit_is_429_and_says_when() {
    let backend = Upstream::start().await;
    let gateway = strict(&backend)
        .await
        .user("RATE_LIMIT_RPM", 1)
        .user("RATE_LIMIT_BURST", 1)
        .start()
        .await;
    gateway.call("getUser").await;
    let answer = gateway.call("getUser").await;
    assert_problem(&answer, 429, "MCP_ERROR", "Rate limit queue timeout");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((58..=60).contains(&seconds));
    assert_eq!(answer.json()["retryAfter"], seconds);
}

#[tokio::test]
async fn an_open_circuit_is_503_and_says_when() {
    let backend = Upstream::start().await;
    let gateway = strict(&backend)
        .await
        .user("CB_FAILURE_THRESHOLD", 1)
        .start()
        .await;
    backend.reply(Reply::status(500));
    backend.handle(|_| Reply::status(500));
    let answer = gateway.call("createOrder").await;
    assert_problem(
        &answer,
        502,
        "MCP_ERROR",
        "Request failed with status code 500",
    );
    assert_eq!(answer.json()["details"]["status"], 500);
    let answer = gateway.call("createOrder").await;
    assert_problem(
        &answer,
        503,
        "MCP_ERROR",
        "Circuit breaker open for service user-service",
    );
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn what_a_backend_says_about_the_request_passes() {
    let backend = Upstream::start().await;
    let variables = strict(&backend).await.set("MCP_RETRY_MAX_ATTEMPTS", 0);
    let gateway = variables.user("CB_FAILURE_THRESHOLD", 50).start().await;
    for (status, expected) in [
        (404, 404),
        (422, 422),
        (401, 502),
        (500, 502),
        (503, 503),
        (504, 504),
    ] {
        backend.handle(move |_| Reply::status(status));
        let answer = gateway.call("createOrder").await;
        let detail = format!("Request failed with status code {status}");
        assert_problem(&answer, expected, "MCP_ERROR", &detail);
    }
    backend.handle(|_| Reply::status(429).header("retry-after", "7"));
    let answer = gateway.call("createOrder").await;
    assert_problem(
        &answer,
        429,
        "MCP_ERROR",
        "Request failed with status code 429",
    );
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn timeouts_and_dead_backends_are_gateway_errors() {
    let backend = Upstream::start().await;
    let variables = strict(&backend).await.user("TIMEOUT", 100);
    let gateway = variables.start().await;
    backend.handle(|_| Reply::hang());
    let answer = gateway.call("createOrder").await;
    assert_problem(&answer, 504, "TIMEOUT_ERROR", "timeout of 100ms exceeded");
    let nobody = Upstream::refusing();
    let gateway = Variables::user_service(&format!("http://{nobody}"))
        .set("MCP_GATEWAY_STRICT_STATUS", "true")
        .set("MCP_RETRY_MAX_ATTEMPTS", 0)
        .start()
        .await;
    let answer = gateway.call("createOrder").await;
    assert_problem(
        &answer,
        502,
        "NETWORK_ERROR",
        &format!("connect ECONNREFUSED {nobody}"),
    );
}

/// A server of MCP whose tools answer with `called`.
async fn mcp_server(called: impl Fn() -> Reply + Send + Sync + 'static) -> Upstream {
    Upstream::start_with(move |request: &Recorded| {
        let result = match request.json()["method"].as_str() {
            Some("server/discover") => {
                r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"resultType":"complete"}"#
            }
            Some("tools/call") => return called(),
            _ => r#"{"tools":[]}"#,
        };
        let id = &request.json()["id"];
        Reply::json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
    })
    .await
}

fn of_mcp(url: &str) -> Variables {
    Variables::user_service(url)
        .set("MCP_GATEWAY_STRICT_STATUS", "true")
        .user("TRANSPORT", "streamable-http")
}

#[tokio::test]
async fn refusals_are_the_same_where_the_service_speaks_mcp() {
    let server = mcp_server(|| Reply::status(500)).await;
    let variables = of_mcp(&server.url())
        .user("RATE_LIMIT_RPM", 1)
        .user("RATE_LIMIT_BURST", 1);
    let gateway = variables.start().await;
    gateway.call("read").await;
    let answer = gateway.call("read").await;
    assert_problem(&answer, 429, "MCP_ERROR", "Rate limit queue timeout");
    assert_eq!(answer.header("x-ratelimit-limit"), Some("1"));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(answer.json()["retryAfter"], seconds);

    let variables = of_mcp(&server.url()).user("CB_FAILURE_THRESHOLD", 1);
    let gateway = variables.start().await;
    gateway.call("read").await;
    let answer = gateway.call("read").await;
    let detail = "Circuit breaker open for service user-service";
    assert_problem(&answer, 503, "MCP_ERROR", detail);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn failures_are_the_same_where_the_service_speaks_mcp() {
    let server = mcp_server(Reply::hang).await;
    let gateway = of_mcp(&server.url()).user("TIMEOUT", 300).start().await;
    let answer = gateway.call("read").await;
    assert_problem(&answer, 504, "TIMEOUT_ERROR", "timeout of 300ms exceeded");

    let nobody = Upstream::refusing();
    let variables = of_mcp(&format!("http://{nobody}")).set("MCP_RETRY_MAX_ATTEMPTS", 0);
    let answer = variables.start().await.call("read").await;
    let detail = format!("connect ECONNREFUSED {nobody}");
    assert_problem(&answer, 502, "NETWORK_ERROR", &detail);

    let server = mcp_server(|| Reply::status(503)).await;
    let variables = of_mcp(&server.url())
        .set("MCP_RETRY_MAX_ATTEMPTS", 2)
        .user("IDEMPOTENT_OPERATIONS", "*");
    let answer = variables.start().await.call("read").await;
    assert_eq!(answer.json()["retryCount"], 2, "{}", answer.json());
}

#[tokio::test]
async fn what_there_is_no_page_for_is_a_problem() {
    let backend = Upstream::start().await;
    let gateway = strict(&backend).await.start().await;
    let answer = gateway.get("/mcp/request").await;
    assert_problem(&answer, 405, "VALIDATION_ERROR", "Cannot GET /mcp/request");
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = gateway.get("/nowhere").await;
    assert_problem(&answer, 404, "VALIDATION_ERROR", "Cannot GET /nowhere");
}
