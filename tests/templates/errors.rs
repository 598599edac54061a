//! Every status of the contract, and the fault that made a success of every failure.

use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::Variables;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Registry, call, count, error, legacy, method, modern, plain, post, post_with};

#[tokio::test]
async fn a_template_that_is_not_there_is_not_found() {
    let server = plain("s").await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    for path in ["tools/list", "resources/list", "prompts/list", "health"] {
        let answer = gateway.get(&format!("/mcp/x/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json()["detail"], "Template 'x' not found");
        let object = &answer.json()["error"];
        assert_eq!(object["type"], "TemplateNotFound");
        assert_eq!(object["message"], "Template 'x' not found");
        assert_eq!(object["request_id"], answer.header("x-request-id").unwrap());
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    for path in ["tools/call", "resources/read", "prompts/get"] {
        let answer = post(&gateway, &format!("/mcp/x/{path}"), "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn bodies_are_judged_as_fastapi_judges_them() {
    let server = plain("s").await;
    let registry = Registry::of(&[("one", &server.url())]);
    let gateway = registry
        .variables()
        .set("MCP_GATEWAY_MAX_BODY_BYTES", 2000)
        .start()
        .await;
    let cases = [
        ("tools/call", "{}", 400, json!("Missing tool name")),
        (
            "tools/call",
            r#"{"name":null}"#,
            400,
            json!("Missing tool name"),
        ),
        ("prompts/get", "{}", 400, json!("Missing prompt name")),
        ("resources/read", "{}", 400, json!("Missing resource uri")),
        (
            "tools/call",
            r#"{"name":7}"#,
            422,
            json!([{ "type": "string_type", "loc": ["body", "name"],
                "msg": "Input should be a valid string", "input": 7 }]),
        ),
        (
            "tools/call",
            "[]",
            422,
            json!([{ "type": "dict_type", "loc": ["body"],
                "msg": "Input should be a valid dictionary", "input": [] }]),
        ),
    ];
    for (path, body, status, detail) in cases {
        let answer = post(&gateway, &format!("/mcp/t/{path}"), body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}");
        assert_eq!(answer.json()["detail"], detail, "{path} {body}");
        assert_eq!(answer.json()["error"]["type"], "ValidationError");
    }
    let nothing = post(&gateway, "/mcp/t/tools/call", "").await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(nothing.json()["detail"][0]["type"], "missing");
    for body in ["{", "nonsense", "{\"name\":\"\u{0}\"}"] {
        let answer = post(&gateway, "/mcp/t/tools/call", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body:?}");
        assert_eq!(answer.json()["detail"][0]["type"], "json_invalid");
    }
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(3000));
    let answer = post(&gateway, "/mcp/t/tools/call", &large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.json()["detail"].as_str().unwrap().contains("2000"));
    assert_eq!(count(&server, "tools/call"), 0);
}

#[tokio::test]
async fn methods_and_keys_are_refused_in_the_same_dialect() {
    let server = plain("s").await;
    let registry = Registry::of(&[("one", &server.url())]);
    let gateway = registry.start().await;
    let answer = gateway.get("/mcp/t/tools/call").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.json()["detail"], "Method Not Allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = post(&gateway, "/mcp/t/tools/list", "{}").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));

    // A page of a browser that is not ours may not call tools.
    let evil = [("origin", "http://evil.example")];
    let answer = post_with(&gateway, "/mcp/t/tools/call", &evil, r#"{"name":"x"}"#).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.json()["detail"].is_string());

    let gateway = registry
        .variables()
        .set("MCP_GATEWAY_API_KEYS", "k-7d1f2ab9c4e85603")
        .start()
        .await;
    let answer = call(&gateway).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .starts_with("authentication required")
    );
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let key = [("x-api-key", "k-7d1f2ab9c4e85603")];
    let answer = post_with(&gateway, "/mcp/t/tools/call", &key, r#"{"name":"x"}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn no_instance_is_unavailable_for_now() {
    let gateway = Registry::of(&[]).start().await;
    for answer in [call(&gateway).await, gateway.get("/mcp/t/tools/list").await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.starts_with("No instances available for template 't'"),
            "{detail}"
        );
        assert_eq!(answer.json()["error"]["type"], "NoHealthyInstances");
        assert!(answer.header("retry-after").is_some());
    }
    let health = gateway.get("/mcp/t/health").await.json();
    assert_eq!(
        (&health["total_instances"], &health["health_percentage"]),
        (&json!(0), &json!(0.0))
    );
}

#[tokio::test]
async fn an_instance_that_cannot_be_had_is_a_bad_gateway() {
    let nobody = format!("http://{}", Upstream::nobody());
    for path in ["tools/call", "tools/list", "resources/list"] {
        // Each with a circuit of its own.
        let gateway = Registry::of(&[("one", &nobody)]).start().await;
        let answer = match path {
            "tools/call" => call(&gateway).await,
            path => gateway.get(&format!("/mcp/t/{path}")).await,
        };
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.starts_with("All attempts failed for template 't': "),
            "{detail}"
        );
        assert_eq!(answer.header("x-instance-id"), Some("one"));
    }
}

#[tokio::test]
async fn an_instance_that_says_nothing_is_a_timeout() {
    let server = modern("s", |_, method| (method == "tools/call").then(Reply::hang)).await;
    let registry = Registry::of(&[("one", &server.url())]);
    let gateway = registry
        .variables()
        .set("MCP_SERVICE_T_TIMEOUT", 300)
        .start()
        .await;
    let answer = call(&gateway).await;
    assert_eq!(
        answer.status,
        StatusCode::GATEWAY_TIMEOUT,
        "{:?}",
        answer.json()
    );
    assert_eq!(answer.json()["error"]["type"], "RequestTimeout");
    assert_eq!(
        count(&server, "tools/call"),
        1,
        "nobody knows whether it ran"
    );
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_with_a_time() {
    let server = plain("s").await;
    let registry = Registry::of(&[("one", &server.url())]);
    let gateway = registry
        .variables()
        .set("MCP_SERVICE_T_RATE_LIMIT_RPM", 60)
        .set("MCP_SERVICE_T_RATE_LIMIT_BURST", 3)
        .set("MCP_SERVICE_T_RATE_LIMIT_MAX_WAIT", 1)
        .start()
        .await;
    let mut refused = None;
    for _ in 0..5 {
        let answer = call(&gateway).await;
        if answer.status != StatusCode::OK {
            refused.get_or_insert(answer);
        }
    }
    let refused = refused.expect("a call beyond the limit");
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.json()["error"]["type"], "RateLimited");
}

/// It is the server's error still, and none of the gateway's.
#[tokio::test]
async fn an_error_without_a_code_is_an_answer_that_makes_no_sense() {
    let server = modern("s", |request, method| {
        (method == "tools/call").then(|| error(request, &json!({ "message": "odd" })))
    })
    .await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    let answer = call(&gateway).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let json = answer.json();
    assert_eq!(json["detail"], "odd");
    assert_eq!(json["error"]["details"]["code"], 50203);
}

/// Fault 7: a JSON-RPC error and HTTP 500 became HTTP 200 `{"result":"success"}`.
#[tokio::test]
async fn fault_7_no_failure_is_a_success() {
    let cases: [(Value, u16); 5] = [
        (
            json!({ "code": -32602, "message": "Invalid arguments: path" }),
            400,
        ),
        (json!({ "code": -32602, "message": "Unknown tool: x" }), 404),
        (
            json!({ "code": -32601, "message": "Method not found" }),
            404,
        ),
        (
            json!({ "code": -32603, "message": "disk full", "data": { "free": 0 } }),
            502,
        ),
        (json!({ "code": -32000, "message": "whatever" }), 502),
    ];
    for (said, status) in cases {
        let reply = said.clone();
        let server = modern("s", move |request, method| {
            (method == "tools/call").then(|| error(request, &reply))
        })
        .await;
        let gateway = Registry::of(&[("one", &server.url())]).start().await;
        let answer = call(&gateway).await;
        assert_eq!(answer.status.as_u16(), status, "{said}");
        let json = answer.json();
        assert_eq!(json["detail"], said["message"]);
        assert_eq!(json["error"]["type"], "McpError");
        assert_eq!(json["error"]["details"]["code"], said["code"]);
        assert_eq!(json["error"]["details"].get("data"), said.get("data"));
        assert_eq!(count(&server, "tools/call"), 1, "{said}");
    }
    for reply in [
        Reply::status(500),
        Reply::status(500).body("Internal Server Error"),
        Reply::json(r#"{"ok":false}"#).with_status(500),
        Reply::json("[]"),
        Reply::json("nonsense"),
        Reply::status(200),
        Reply::status(302).header("location", "http://127.0.0.1/"),
    ] {
        let said = reply.clone();
        let server = modern("s", move |_, method| {
            (method == "tools/call").then(|| said.clone())
        })
        .await;
        let gateway = Registry::of(&[("one", &server.url())]).start().await;
        let answer = call(&gateway).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{reply:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.starts_with("All attempts failed for template 't': "),
            "{detail}"
        );
    }
}

/// Lesson 11: an error of a list is not an empty list.
#[tokio::test]
async fn d11_a_list_that_cannot_be_had_is_an_error() {
    let server = modern("s", |request, method| {
        method.ends_with("/list").then(|| match method {
            "tools/list" => error(
                request,
                &json!({ "code": -32603, "message": "no database" }),
            ),
            // Goes in circles.
            _ => crate::server::answer(
                request,
                r#"{"resources":[],"prompts":[],"nextCursor":"again"}"#,
            ),
        })
    })
    .await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    for path in ["tools/list", "resources/list", "prompts/list"] {
        let answer = gateway.get(&format!("/mcp/t/{path}")).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
    }
    // What was heard once is not forgotten when it could not be heard again; errors are.
    server.handle(|request| match &*method(request) {
        "tools/list" => crate::server::answer(request, r#"{"tools":[{"name":"a"}]}"#),
        _ => Reply::status(404),
    });
    assert_eq!(gateway.get("/mcp/t/tools/list").await.json()["count"], 1);
}

/// Lessons 2 and 3: a session that is lost is begun anew, and no failure of the instance.
#[tokio::test]
async fn d2_d3_a_lost_session_is_begun_anew_and_costs_nothing() {
    let server = legacy("old").await;
    let registry = Registry::of(&[("one", &server.url())]);
    let gateway = registry
        .variables()
        .set("MCP_SERVICE_T_CB_FAILURE_THRESHOLD", 2)
        .start()
        .await;
    assert_eq!(call(&gateway).await.status, StatusCode::OK);
    for round in 0..4 {
        // Forgotten: the next message finds no session.
        let lost =
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#;
        server.reply(Reply::json(lost).with_status(404));
        let answer = call(&gateway).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{round}: {:?}",
            answer.json()
        );
    }
}

/// Lesson 6: a server that wants a credential is there.
#[tokio::test]
async fn d6_an_instance_that_wants_a_credential_is_healthy_and_says_so() {
    let server = Upstream::start_with(|_| Reply::status(401)).await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    let health = gateway.get("/mcp/t/health").await.json();
    assert_eq!(health["instances"]["one"]["healthy"], true, "{health}");
    let answer = call(&gateway).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("credential")
    );
}

/// Lesson 8: one bad template costs its own answers and nothing else.
#[tokio::test]
async fn d8_a_bad_template_costs_the_others_nothing() {
    let server = plain("good").await;
    let nobody = format!("http://{}", Upstream::nobody());
    let registry = Registry::new(&json!({
        "bad": { "instances": [crate::server::instance("b", &nobody)] },
        "t": { "instances": [crate::server::instance("g", &server.url())] }
    }));
    let gateway = registry.start().await;
    assert_eq!(
        gateway.get("/mcp/bad/tools/list").await.status,
        StatusCode::BAD_GATEWAY
    );
    assert_eq!(call(&gateway).await.status, StatusCode::OK);
    assert_eq!(gateway.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_options_request_is_a_preflight() {
    let gateway = Variables::default()
        .set("MCP_SERVICES", "it")
        .set("MCP_SERVICE_IT_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_IT_ENDPOINT", "http://127.0.0.1:9")
        .start()
        .await;
    let request = gateway.request(Method::OPTIONS, "/mcp/it/tools/call", &[], "");
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
}
