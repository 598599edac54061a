//! The documented API of `/mcp/request`, over real sockets: every endpoint, header, body and
//! default of the contract.

use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_testkit::{Reply, TokenIssuer, Upstream};
use bartizan_tests::Variables;
use http::{Method, StatusCode};
use serde_json::{Value, json};

const DOCUMENTED: &str = r#"{
  "id": "request-123",
  "timestamp": "2025-01-21T10:30:00Z",
  "service": "user-service",
  "operation": "getUser",
  "parameters": { "userId": "123", "big": 123456789012345678901234567890, "n": 1.10, "é": "\u00e9" },
  "metadata": {
    "correlationId": "corr-123",
    "timeout": 30000,
    "priority": "normal",
    "agentId": "chatbot-agent"
  }
}"#;

/// A backend that defines nothing and answers calls from its queue, or with a user.
async fn backend() -> Upstream {
    let backend = Upstream::start_with(|_| Reply::json(r#"{"id":"123","name":"Ada"}"#)).await;
    backend.aside("/api/definition", Reply::status(404));
    backend
}

fn is_timestamp(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && &text[10..11] == "T" && &text[19..20] == "."
}

#[tokio::test]
async fn a_call_reaches_the_backend_as_documented() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    let inbound = [
        ("authorization", "Bearer of-the-caller"),
        ("x-api-key", "of-the-caller"),
        ("cookie", "session=of-the-caller"),
        ("x-custom", "1"),
    ];
    gateway.post_with(&inbound, DOCUMENTED).await;

    let requests = backend.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(
        (&request.method, request.uri.path()),
        (&Method::POST, "/api/getUser")
    );
    // Byte for byte what the caller wrote, numbers and escapes included.
    let parameters =
        r#"{ "userId": "123", "big": 123456789012345678901234567890, "n": 1.10, "é": "\u00e9" }"#;
    assert_eq!(request.body, parameters);
    assert_eq!(request.header("authorization"), Some("Bearer s3cr3t-token"));
    assert_eq!(request.header("x-correlation-id"), Some("corr-123"));
    assert_eq!(request.header("x-agent-id"), Some("chatbot-agent"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("user-agent"), Some("MCP-Gateway/1.0.0"));
    assert_eq!(
        request.header("accept"),
        Some("application/json, text/plain, */*")
    );
    assert_eq!(
        request.header("host"),
        Some(backend.address().to_string().as_str())
    );
    for absent in ["x-api-key", "cookie", "x-custom"] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn a_success_is_the_documented_envelope() {
    let backend = backend().await;
    let raw = "{\"n\":1.10,\"big\":123456789012345678901234567890,\"e\":\"\\u00e9\"}";
    backend.reply(Reply::json(raw));
    let gateway = Variables::user_service(&backend.url()).start().await;
    let answer = gateway.post(DOCUMENTED).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(&format!("\"data\":{raw}")), "{text}");
    let json = answer.json();
    assert!(json["id"].as_str().unwrap().starts_with("response_"));
    assert_eq!(json["requestId"], "request-123");
    assert!(is_timestamp(&json["timestamp"]), "{json}");
    assert_eq!(json["success"], true);
    assert_eq!(json.get("error"), None);
    let metadata = &json["metadata"];
    assert!(metadata["processingTime"].is_u64());
    assert_eq!(metadata["serviceEndpoint"], backend.url());
    assert_eq!(metadata["retryCount"], 0);
    assert_eq!(metadata["cacheHit"], false);
}

#[tokio::test]
async fn the_endpoint_of_an_instance_with_a_name_is_where_it_is() {
    let backend = backend().await;
    let nobody = Upstream::refusing();
    let instances = json!({"templates": {
        "users": {"instances": [{"id": "users-1", "endpoint": backend.url()}]},
        "dead": {"instances": [{"id": "dead-1", "endpoint": format!("http://{nobody}")}]},
    }});
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    std::fs::write(&path, instances.to_string()).unwrap();
    let variables = Variables::default()
        .set("MCP_GATEWAY_REGISTRY_FILE", path.display())
        .set("MCP_RETRY_MAX_ATTEMPTS", 0)
        .set("MCP_SERVICE_USERS_TRANSPORT", "rest")
        .set("MCP_SERVICE_DEAD_TRANSPORT", "rest");
    let gateway = variables.start().await;
    for (service, endpoint) in [
        ("users", backend.url()),
        ("dead", format!("http://{nobody}")),
    ] {
        let body = json!({"service": service, "operation": "getUser"});
        let json = gateway.post(body.to_string()).await.json();
        assert_eq!(json["metadata"]["serviceEndpoint"], endpoint, "{json}");
    }
}

#[tokio::test]
async fn data_that_is_not_json_is_a_string() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    for (body, expected) in [("plain \"text\"", json!("plain \"text\"")), ("", json!(""))] {
        backend.reply(Reply::status(200).body(body));
        assert_eq!(gateway.call("getUser").await.json()["data"], expected);
    }
}

#[tokio::test]
async fn a_large_answer_passes_unchanged() {
    let backend = backend().await;
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(3_000_000));
    backend.reply(Reply::json(large.clone()));
    let gateway = Variables::user_service(&backend.url()).start().await;
    let answer = gateway.call("getUser").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json()["data"]["text"].as_str().unwrap().len(),
        3_000_000
    );
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(&large));
}

#[tokio::test]
async fn an_id_of_any_type_comes_back_as_it_was() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    for id in ["7", "\"a\\\"b\"", "1e400", "null", "{\"deep\":[1]}"] {
        let body = format!(r#"{{"id":{id},"service":"user-service","operation":"getUser"}}"#);
        let text = String::from_utf8(gateway.post(body).await.body.to_vec()).unwrap();
        assert!(text.contains(&format!("\"requestId\":{id},")), "{text}");
    }
}

#[tokio::test]
async fn metadata_may_be_absent() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    let answer = gateway.call("getUser").await;
    assert_eq!(answer.json()["success"], true);
    let request = &backend.requests()[0];
    assert_eq!(request.body, "{}");
    assert_eq!(request.header("x-agent-id"), None);
    // Every call can be followed, whether or not the caller brought an id.
    assert_eq!(
        request.header("x-correlation-id"),
        answer.header("x-request-id")
    );
}

#[tokio::test]
async fn an_api_key_goes_into_its_header() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("AUTH_TYPE", "api-key")
        .user("API_KEY", "k3y")
        .start()
        .await;
    gateway.call("getUser").await;
    let request = &backend.requests()[0];
    assert_eq!(request.header("x-api-key"), Some("k3y"));
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn an_oauth2_token_goes_into_authorization() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("AUTH_TYPE", "oauth2")
        .user("ACCESS_TOKEN", "acc3ss")
        .user("REFRESH_TOKEN", "r3fresh")
        .start()
        .await;
    gateway.call("getUser").await;
    assert_eq!(
        backend.requests()[0].header("authorization"),
        Some("Bearer acc3ss")
    );
}

#[tokio::test]
async fn oauth2_is_really_refreshed() {
    let backend = backend().await;
    let issuer = TokenIssuer::start(Some(3600)).await;
    let gateway = Variables::user_service(&backend.url())
        .user("AUTH_TYPE", "oauth2")
        .user("ACCESS_TOKEN", "expired-long-ago")
        .user("REFRESH_TOKEN", "refresh-0")
        .user("TOKEN_URL", issuer.url())
        .user("CLIENT_ID", "gateway")
        .user("CLIENT_SECRET", "cl1ent")
        .user("SCOPES", "read write")
        .start()
        .await;
    backend.handle(|request| match request.header("authorization") {
        Some("Bearer access-1") => Reply::json(r#"{"ok":true}"#),
        _ => Reply::status(401),
    });
    let body =
        r#"{"service":"user-service","operation":"getUser","metadata":{"idempotencyKey":"k"}}"#;
    let answer = gateway.post(body).await;
    assert_eq!(answer.json()["data"]["ok"], true, "{:?}", answer.json());
    assert_eq!(issuer.hits(), 1);
    let form = &issuer.records()[0].form;
    assert_eq!(form["grant_type"], "refresh_token");
    assert_eq!(form["refresh_token"], "refresh-0");
    assert_eq!(form["scope"], "read write");
    assert!(!issuer.revoked());
}

#[tokio::test]
async fn a_rotated_refresh_token_survives_a_restart() {
    let backend = backend().await;
    let issuer = TokenIssuer::start(Some(3600)).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = Variables::user_service(&backend.url())
        .user("AUTH_TYPE", "oauth2")
        .user("REFRESH_TOKEN", "refresh-0")
        .user(
            "REFRESH_TOKEN_STORE",
            folder.path().join("refresh").display(),
        )
        .user("TOKEN_URL", issuer.url())
        .user("CLIENT_ID", "gateway");
    for _ in 0..2 {
        let gateway = variables.start().await;
        assert_eq!(gateway.call("getUser").await.json()["success"], true);
        gateway.stop().await;
    }
    assert_eq!(issuer.hits(), 2);
    assert!(
        !issuer.revoked(),
        "the second start used the token that replaced the first"
    );
}

#[tokio::test]
async fn client_credentials_need_no_token_to_begin_with() {
    let backend = backend().await;
    let issuer = TokenIssuer::start(Some(3600)).await;
    let gateway = Variables::user_service(&backend.url())
        .user("AUTH_TYPE", "oauth2")
        .user("TOKEN_URL", issuer.url())
        .user("CLIENT_ID", "gateway")
        .user("CLIENT_SECRET", "cl1ent")
        .start()
        .await;
    gateway.call("getUser").await;
    assert_eq!(
        backend.requests()[0].header("authorization"),
        Some("Bearer access-1")
    );
    assert_eq!(issuer.records()[0].form["grant_type"], "client_credentials");
}

#[tokio::test]
async fn auth_none_sends_no_credential() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("AUTH_TYPE", "none")
        .start()
        .await;
    gateway.call("getUser").await;
    assert_eq!(backend.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_backend_error_is_a_documented_failure_with_status_200() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    for (status, reason) in [
        (404, "Not Found"),
        (500, "Internal Server Error"),
        (400, "Bad Request"),
    ] {
        backend.reply(Reply::json(r#"{"why":1.10}"#).with_status(status));
        let answer = gateway.post(DOCUMENTED).await;
        assert_eq!(answer.status, StatusCode::OK);
        let json = answer.json();
        assert_eq!(json["success"], false);
        assert_eq!(json["requestId"], "request-123");
        assert_eq!(json.get("data"), None);
        let error = &json["error"];
        assert_eq!(error["code"], "MCP_ERROR");
        assert_eq!(
            error["message"],
            format!("Request failed with status code {status}")
        );
        assert_eq!(error["details"]["status"], status);
        assert_eq!(error["details"]["statusText"], reason);
        assert_eq!(error["details"]["data"]["why"], 1.10);
        assert!(is_timestamp(&error["timestamp"]));
        assert_eq!(error["correlationId"], "corr-123");
        assert_eq!(json["metadata"]["retryCount"], 0);
    }
}

#[tokio::test]
async fn a_timeout_is_a_documented_failure() {
    let backend = backend().await;
    backend.handle(|_| Reply::hang());
    let gateway = Variables::user_service(&backend.url()).start().await;
    let body = r#"{"service":"user-service","operation":"getUser","metadata":{"timeout":200}}"#;
    let json = gateway.post(body).await.json();
    assert_eq!(json["success"], false);
    assert_eq!(json["error"]["message"], "timeout of 200ms exceeded");
    assert_eq!(json["error"]["details"], json!({}));
}

#[tokio::test]
async fn the_services_timeout_is_the_default_and_the_most() {
    let backend = backend().await;
    backend.handle(|_| Reply::hang());
    let gateway = Variables::user_service(&backend.url())
        .user("TIMEOUT", 150)
        .start()
        .await;
    for metadata in ["{}", r#"{"timeout":60000}"#, r#"{"timeout":0}"#] {
        let body =
            format!(r#"{{"service":"user-service","operation":"getUser","metadata":{metadata}}}"#);
        assert_eq!(
            gateway.post(body).await.message(),
            "timeout of 150ms exceeded"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_documented_failure() {
    let nobody = Upstream::refusing();
    let gateway = Variables::user_service(&format!("http://{nobody}"))
        .set("MCP_RETRY_MAX_ATTEMPTS", 0)
        .start()
        .await;
    let json = gateway.call("getUser").await.json();
    assert_eq!(json["success"], false);
    assert_eq!(
        json["error"]["message"],
        format!("connect ECONNREFUSED {nobody}")
    );
    assert_eq!(json["error"]["details"], json!({}));
}

#[tokio::test]
async fn the_gateways_own_errors_are_500_in_the_documented_form() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    let cases = [
        (
            r#"{"service":"nobody","operation":"o"}"#,
            "Service nobody not configured",
        ),
        (
            r#"{"service":"__proto__","operation":"o"}"#,
            "Service __proto__ not configured",
        ),
        (
            r#"{"service":"constructor","operation":"o"}"#,
            "Service constructor not configured",
        ),
        ("{", "the request body is not valid JSON"),
        (
            r#"{"service":1,"operation":"o"}"#,
            "service must be a string, not a number",
        ),
    ];
    for (body, message) in cases {
        let answer = gateway.post(body).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{body}");
        let json = answer.json();
        assert_eq!(json["success"], false);
        assert_eq!(json["error"]["code"], "MCP_ERROR");
        assert!(answer.message().starts_with(message), "{json}");
        assert!(is_timestamp(&json["error"]["timestamp"]));
    }
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn health_lists_the_services() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("CB_FAILURE_THRESHOLD", 1)
        .start()
        .await;
    let answer = gateway.get("/mcp/health").await;
    assert_eq!(answer.status, StatusCode::OK);
    let json = answer.json();
    assert_eq!(json["status"], "healthy");
    assert!(is_timestamp(&json["timestamp"]));
    assert_eq!(
        json["services"],
        json!([{"name": "user-service", "status": "healthy"}])
    );

    backend.reply(Reply::status(500));
    gateway.call("getUser").await;
    let answer = gateway.get("/mcp/health").await;
    assert_eq!(answer.status, StatusCode::OK);
    let json = answer.json();
    assert_eq!(
        json["status"], "healthy",
        "a backend's trouble is not the gateway's"
    );
    assert_eq!(json["services"][0]["status"], "unhealthy");
}

#[tokio::test]
async fn services_are_listed_with_their_endpoints() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    let expected = json!({"services": [
        {"name": "user-service", "endpoint": backend.url(), "status": "healthy"},
    ]});
    assert_eq!(gateway.get("/mcp/services").await.json(), expected);
}

#[tokio::test]
async fn a_definition_is_the_services_own() {
    let backend = Upstream::start().await;
    let definition = r#"{"name":"users","version":"1.10","operations":[{"name":"getUser"}]}"#;
    backend.handle(move |_| Reply::json(definition));
    let gateway = Variables::user_service(&backend.url()).start().await;
    let answer = gateway.get("/mcp/services/user-service/definition").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, definition);
    let request = &backend.requests()[0];
    assert_eq!(request.method, Method::GET);
    assert_eq!(request.header("authorization"), Some("Bearer s3cr3t-token"));

    let unknown = gateway.get("/mcp/services/nobody/definition").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.message(), "Service nobody not found");

    backend.handle(|_| Reply::status(500));
    let failed = gateway.get("/mcp/services/user-service/definition").await;
    assert_eq!(failed.status, StatusCode::NOT_FOUND);
    assert_eq!(
        failed.message(),
        "Failed to get service definition for user-service: Request failed with status code 500"
    );
    assert_eq!(failed.json()["error"]["code"], "MCP_ERROR");
}

#[tokio::test]
async fn metrics_show_breaker_and_bucket() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("CB_FAILURE_THRESHOLD", 2)
        .user("RATE_LIMIT_BURST", 5)
        .start()
        .await;
    let path = "/mcp/services/user-service/metrics";
    let json = gateway.get(path).await.json();
    assert_eq!(json["serviceName"], "user-service");
    let breaker = json!({
        "state": "CLOSED", "failureCount": 0, "lastFailureTime": null, "halfOpenAttempts": 0
    });
    assert_eq!(json["circuitBreaker"], breaker);
    assert_eq!(json["rateLimiter"]["tokens"], 5);
    assert_eq!(json["rateLimiter"]["queueLength"], 0);
    assert!(is_timestamp(&json["rateLimiter"]["lastRefill"]));

    backend.reply(Reply::status(500)).reply(Reply::status(500));
    gateway.call("getUser").await;
    let json = gateway.get(path).await.json();
    assert_eq!(json["circuitBreaker"]["failureCount"], 1);
    assert_eq!(json["circuitBreaker"]["state"], "CLOSED");
    assert!(is_timestamp(&json["circuitBreaker"]["lastFailureTime"]));
    assert_eq!(json["rateLimiter"]["tokens"], 4);
    gateway.call("getUser").await;
    assert_eq!(
        gateway.get(path).await.json()["circuitBreaker"]["state"],
        "OPEN"
    );

    let unknown = gateway.get("/mcp/services/nobody/metrics").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.message(), "Service not found");
}

#[tokio::test]
async fn any_options_request_is_a_preflight() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    for path in ["/mcp/request", "/anything"] {
        let request = gateway.request(
            Method::OPTIONS,
            path,
            &[("origin", "https://a.example")],
            "",
        );
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body, "OK");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            answer.header("access-control-allow-methods"),
            Some("GET, POST, PUT, DELETE, OPTIONS")
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("Origin, X-Requested-With, Content-Type, Accept, Authorization, X-API-Key")
        );
    }
    let answer = gateway.call("getUser").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    // A client of MCP in a browser.
    let page = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "content-type,mcp-session-id",
        ),
    ];
    let preflight = gateway.send(gateway.request(Method::OPTIONS, "/mcp", &page, ""));
    let preflight = preflight.await;
    let allowed = preflight.header("access-control-allow-headers").unwrap();
    assert!(
        allowed.ends_with("content-type,mcp-session-id"),
        "{allowed}"
    );
    assert_eq!(preflight.header("access-control-expose-headers"), Some("*"));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    let answer = gateway.get("/nowhere").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.message(), "Cannot GET /nowhere");
    let answer = gateway.get("/mcp/request").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(answer.message(), "Cannot GET /mcp/request");
}

#[tokio::test]
async fn ids_and_traces_are_carried_through() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let headers = [
        ("x-request-id", "my-request-7"),
        ("traceparent", &*format!("00-{trace}-b7ad6b7169203331-01")),
        ("tracestate", "vendor=1"),
    ];
    let answer = gateway.post_with(&headers, DOCUMENTED).await;
    assert_eq!(answer.header("x-request-id"), Some("my-request-7"));
    let request = &backend.requests()[0];
    assert_eq!(request.header("x-request-id"), Some("my-request-7"));
    assert_eq!(request.header("tracestate"), Some("vendor=1"));
    let parent = request.header("traceparent").unwrap();
    assert!(
        parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"),
        "{parent}"
    );
    assert!(
        !parent.contains("b7ad6b7169203331"),
        "the gateway is a span of its own"
    );
    let left: u64 = request
        .header("x-request-timeout-ms")
        .unwrap()
        .parse()
        .unwrap();
    assert!((29_000..=30_000).contains(&left));

    let answer = gateway.call("getUser").await;
    assert!(
        answer
            .header("x-request-id")
            .is_some_and(|id| id.len() >= 32)
    );
    assert!(backend.requests()[1].header("traceparent").is_some());
}

#[tokio::test]
async fn eight_parallel_calls_on_a_burst_of_three_all_get_through() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("RATE_LIMIT_RPM", 600)
        .user("RATE_LIMIT_BURST", 3)
        .start()
        .await;
    let (clock, start) = (Clock::default(), Clock::default().now());
    let answers = futures_util::future::join_all((0..8).map(|_| gateway.call("getUser"))).await;
    let took = clock.now() - start;
    for answer in answers {
        assert_eq!(answer.json()["success"], true, "{}", answer.json());
    }
    // Three at once, five at ten a second.
    assert!(
        (Duration::from_millis(450)..Duration::from_millis(1500)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test]
async fn high_priority_is_admitted_first_and_shed_last() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("RATE_LIMIT_RPM", 300)
        .user("RATE_LIMIT_BURST", 1)
        .start()
        .await;
    gateway.call("first").await;
    let call = |operation: &str, priority: &str| {
        gateway.post(format!(
            r#"{{"service":"user-service","operation":"{operation}","metadata":{{"priority":"{priority}"}}}}"#
        ))
    };
    let low = call("low", "low");
    let normal = call("normal", "normal");
    let high = call("high", "high");
    let late = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        high.await
    };
    futures_util::future::join3(low, normal, late).await;
    let order: Vec<_> = backend
        .requests()
        .iter()
        .map(|r| r.uri.path().to_owned())
        .collect();
    assert_eq!(
        order,
        ["/api/first", "/api/high", "/api/normal", "/api/low"]
    );
}
