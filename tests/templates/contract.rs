//! What the document shows, as it shows it.

use std::sync::Arc;

use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::Upstream;
use bartizan_tests::{Variables, until};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    server::{
        Registry, answer, call, count, instance, legacy, modern, plain, post, post_with, text,
    },
    streaming,
};

const READ_FILE: &str = r#"{"name":"read_file","description":"Read the contents of a file","inputSchema":{"type":"object","properties":{"path":{"type":"string","description":"File path"}}}}"#;

/// The server of the document's examples.
async fn filesystem() -> Upstream {
    modern("fs", |request, method| match method {
        "tools/list" => Some(answer(
            request,
            &format!(r#"{{"tools":[{READ_FILE}],"resultType":"complete"}}"#),
        )),
        "tools/call" => {
            assert_eq!(request.json()["params"]["name"], "read_file");
            assert_eq!(
                request.json()["params"]["arguments"],
                json!({ "path": "/etc/hosts" })
            );
            Some(answer(
                request,
                r#"{"content":[{"type":"text","text":"127.0.0.1 localhost\n..."}],"isError":false}"#,
            ))
        }
        _ => None,
    })
    .await
}

fn documented(url: &str) -> Registry {
    Registry::new(&json!({ "filesystem": { "instances": [
        { "id": "fs-1", "template_name": "filesystem", "endpoint": url, "transport": "http" }
    ] } }))
}

#[tokio::test]
async fn the_documented_examples_are_answered_as_documented() {
    let server = filesystem().await;
    let gateway = documented(&server.url()).start().await;

    let listed = gateway.get("/mcp/filesystem/tools/list").await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(listed.header("content-type"), Some("application/json"));
    let mut json = listed.json();
    let schema = json["tools"][0]
        .as_object_mut()
        .unwrap()
        .remove("inputSchema");
    assert_eq!(schema.as_ref(), Some(&json["tools"][0]["parameters"]));
    let shown = json!({
        "tools": [{
            "name": "read_file",
            "description": "Read the contents of a file",
            "parameters": {
                "type": "object",
                "properties": { "path": { "type": "string", "description": "File path" } }
            }
        }],
        "count": 1
    });
    assert_eq!(json, shown);

    // As curl sends it, spaces and all.
    let body =
        "{\n    \"name\": \"read_file\",\n    \"arguments\": {\"path\": \"/etc/hosts\"}\n  }";
    let called = post(&gateway, "/mcp/filesystem/tools/call", body).await;
    assert_eq!(called.status, StatusCode::OK);
    let mut json = called.json();
    let info = json
        .as_object_mut()
        .unwrap()
        .remove("_gateway_info")
        .unwrap();
    let shown = json!({
        "content": [{ "type": "text", "text": "127.0.0.1 localhost\n..." }],
        "isError": false
    });
    assert_eq!(json, shown);
    assert_eq!(info["instance_id"], "fs-1");
    assert_eq!(info["endpoint"], server.url());
    assert_eq!(info["load_balancer_strategy"], "round_robin");
    assert!(info["execution_time_ms"].is_u64());

    // And as aiohttp does.
    let headers = [("accept", "*/*"), ("user-agent", "Python/3.12 aiohttp/3.9")];
    let body = r#"{"name": "read_file", "arguments": {"path": "/etc/hosts"}}"#;
    let called = post_with(&gateway, "/mcp/filesystem/tools/call", &headers, body).await;
    assert!(text(&called).starts_with("127.0.0.1"));
}

#[tokio::test]
async fn every_answer_has_the_documented_headers() {
    let server = filesystem().await;
    let gateway = documented(&server.url()).start().await;
    let id = [("x-request-id", "mine-7")];
    for path in ["tools/list", "tools/list", "resources/list", "health"] {
        let path = format!("/mcp/filesystem/{path}");
        let request = gateway.request(Method::GET, &path, &id, "");
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("x-request-id"), Some("mine-7"));
        assert_eq!(
            answer.header("x-gateway-version"),
            Some(env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(
            answer.header("x-load-balancer-strategy"),
            Some("round_robin")
        );
        let instance = (!path.ends_with("health")).then_some("fs-1");
        assert_eq!(answer.header("x-instance-id"), instance, "{path}");
    }
    let missing = gateway.get("/mcp/nothing/tools/list").await;
    assert!(missing.header("x-request-id").is_some());
    assert!(missing.header("x-gateway-version").is_some());
}

#[tokio::test]
async fn a_result_passes_byte_for_byte() {
    let raw = r#"{ "content" : [] , "big":123456789012345678901234567890, "n":1.10,"e":"\u00e9","structuredContent":{"a":1e3},"isError":true,"_meta":{"x/y":0.0}}"#;
    let server = modern("s", move |request, method| {
        (method == "tools/call").then(|| answer(request, raw))
    })
    .await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    let answer = call(&gateway).await;
    assert_eq!(answer.status, StatusCode::OK);
    let said = String::from_utf8(answer.body.to_vec()).unwrap();
    let kept = raw.strip_suffix('}').unwrap();
    assert!(said.starts_with(kept), "{said}");
    assert!(said[kept.len()..].starts_with(r#","_gateway_info":{"instance_id":"one""#));

    // A client that admits no other members does without.
    let headers = [("x-gateway-info", "false")];
    let body = r#"{"name":"x"}"#;
    let bare = post_with(&gateway, "/mcp/t/tools/call", &headers, body).await;
    assert_eq!(bare.body, raw);
    assert_eq!(bare.header("x-instance-id"), Some("one"));
}

#[tokio::test]
async fn arguments_arrive_as_they_were_written() {
    let server = plain("s").await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    let arguments = r#"{ "big":123456789012345678901234567890, "n":1.10, "e":"\u00e9"}"#;
    let body = format!(r#"{{"name":"x","arguments":{arguments}}}"#);
    post(&gateway, "/mcp/t/tools/call", &body).await;
    let requests = server.requests();
    let call = requests
        .iter()
        .find(|it| crate::server::method(it) == "tools/call");
    let sent = String::from_utf8(call.unwrap().body.to_vec()).unwrap();
    assert!(sent.contains(arguments), "{sent}");
    // Instances are where servers of MCP are, if the registry names no path.
    assert_eq!(call.unwrap().uri.path(), "/mcp");
}

#[tokio::test]
async fn an_older_server_is_shown_in_its_own_words_and_in_all_its_pages() {
    let server = legacy("old").await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    let listed = gateway.get("/mcp/t/tools/list").await;
    assert_eq!(
        listed.body,
        r#"{"tools":[{"name":"a","inputSchema":{"type":"object"},"parameters":{"type":"object"}},{"name":"b","inputSchema":{"type":"object"},"parameters":{"type":"object"}}],"count":2}"#
    );
    let headers = [("x-gateway-info", "false")];
    let called = post_with(&gateway, "/mcp/t/tools/call", &headers, r#"{"name":"x"}"#).await;
    assert_eq!(
        called.body,
        r#"{"content":[{"type":"text","text":"old"}],"n":1.10,"isError":false}"#
    );
    // One session serves every call.
    call(&gateway).await;
    call(&gateway).await;
    assert_eq!(count(&server, "tools/call"), 3);
    assert!(
        count(&server, "initialize") <= 2,
        "the caller's, and one that listens"
    );
}

#[tokio::test]
async fn pages_of_one_list_come_from_one_instance() {
    let (one, other) = (legacy("one").await, legacy("other").await);
    let instances = [("one", &*one.url()), ("other", &*other.url())];
    let gateway = Registry::of(&instances).start().await;
    for _ in 0..4 {
        // Each caller has a list of its own, and each list its own turn.
        let listed = gateway.get("/mcp/t/tools/list").await;
        assert_eq!(listed.json()["count"], 2, "{:?}", listed.json());
    }
}

#[tokio::test]
async fn tools_resources_and_prompts_of_both_eras() {
    for eras in [Eras::Legacy, Eras::Modern] {
        let fixture = HttpFixture::bind(0, eras).await.unwrap();
        let url = fixture.url().to_owned();
        let serving = tokio::spawn(fixture.serve());
        let gateway = Registry::of(&[("one", &url)]).start().await;

        let tools = gateway.get("/mcp/t/tools/list").await.json();
        assert_eq!(
            tools["count"].as_u64().unwrap() as usize,
            tools["tools"].as_array().unwrap().len()
        );
        let body = r#"{"name":"test_structured_content","arguments":{}}"#;
        let called = post(&gateway, "/mcp/t/tools/call", body).await;
        assert_eq!(called.status, StatusCode::OK, "{eras:?}");
        assert!(called.json()["structuredContent"].is_object());

        let resources = gateway.get("/mcp/t/resources/list").await.json();
        assert!(resources["count"].as_u64().unwrap() > 0);
        let uri = resources["resources"][0]["uri"].as_str().unwrap();
        let body = json!({ "uri": uri }).to_string();
        let read = post(&gateway, "/mcp/t/resources/read", &body).await;
        assert_eq!(read.status, StatusCode::OK);
        assert_eq!(read.json()["contents"][0]["uri"], uri);
        assert_eq!(read.json()["_gateway_info"]["instance_id"], "one");

        let prompts = gateway.get("/mcp/t/prompts/list").await.json();
        assert!(prompts["count"].as_u64().unwrap() > 0);
        let plain = prompts["prompts"].as_array().unwrap();
        let plain = plain
            .iter()
            .find(|it| it["arguments"].as_array().is_none_or(Vec::is_empty));
        let body = json!({ "name": plain.unwrap()["name"] }).to_string();
        let got = post(&gateway, "/mcp/t/prompts/get", &body).await;
        assert_eq!(got.status, StatusCode::OK, "{:?}", got.json());
        assert!(got.json()["messages"].is_array());

        // A tool that fails is a result, a tool that is not there is none.
        let failing = r#"{"name":"test_error_handling"}"#;
        let failed = post(&gateway, "/mcp/t/tools/call", failing).await;
        assert_eq!(
            (failed.status, &failed.json()["isError"]),
            (StatusCode::OK, &json!(true))
        );
        let unknown = post(&gateway, "/mcp/t/tools/call", r#"{"name":"nothing"}"#).await;
        assert_eq!(
            unknown.status,
            StatusCode::NOT_FOUND,
            "{:?}",
            unknown.json()
        );
        assert_eq!(unknown.json()["error"]["details"]["code"], -32602);
        let body = r#"{"uri":"test://nowhere"}"#;
        let nowhere = post(&gateway, "/mcp/t/resources/read", body).await;
        assert_eq!(
            nowhere.status,
            StatusCode::NOT_FOUND,
            "{:?}",
            nowhere.json()
        );
        serving.abort();
    }
}

#[tokio::test]
async fn an_instance_of_http_and_sse_serves_as_well() {
    // The gateway speaks HTTP+SSE to its clients: another plays the server.
    let server = plain("behind").await;
    let inner = Variables::default()
        .set("MCP_SERVICES", "it")
        .set("MCP_SERVICE_IT_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_IT_ENDPOINT", server.url())
        .start()
        .await;
    let registry = Registry::new(&json!({ "t": { "instances": [{
        "id": "stream", "template_name": "t", "transport": "sse",
        "endpoint": format!("http://{}/mcp/it/sse", inner.address)
    }] } }));
    let gateway = registry.start().await;
    for _ in 0..3 {
        let answer = call(&gateway).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.json());
        assert_eq!(text(&answer), "behind");
        assert_eq!(answer.header("x-instance-id"), Some("stream"));
    }
    let health = gateway.get("/mcp/t/health").await.json();
    assert_eq!(health["instances"]["stream"]["transport"], "sse");
    assert_eq!(health["instances"]["stream"]["healthy"], true);
}

#[tokio::test]
async fn a_configured_service_is_a_template_too() {
    let server = plain("s").await;
    let gateway = Variables::default()
        .set("MCP_SERVICES", "my docs")
        .set("MCP_SERVICE_MY_DOCS_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_MY_DOCS_ENDPOINT", server.url())
        .start()
        .await;
    // Names are decoded once.
    let answer = post(&gateway, "/mcp/my%20docs/tools/call", r#"{"name":"x"}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.json());
    assert_eq!(answer.header("x-instance-id"), Some(&*server.url()));
    let twice = post(&gateway, "/mcp/my%2520docs/tools/call", r#"{"name":"x"}"#).await;
    assert_eq!(twice.json()["detail"], "Template 'my%20docs' not found");
}

#[tokio::test]
async fn lists_of_tools_are_kept_until_they_change() {
    let server = filesystem().await;
    let registry = documented(&server.url());
    let gateway = registry.start().await;
    for _ in 0..5 {
        let listed = gateway.get("/mcp/filesystem/tools/list").await;
        assert_eq!(listed.json()["count"], 1);
    }
    assert_eq!(count(&server, "tools/list"), 1);

    // The service changes: nothing of what was known of the old one is left.
    let other = modern("other", |request, method| {
        (method == "tools/list").then(|| answer(request, r#"{"tools":[]}"#))
    })
    .await;
    registry.write(&json!({ "filesystem": {
        "instances": [instance("fs-1", &other.url())],
        "load_balancer": { "strategy": "random" }
    } }));
    until("the other list", async || {
        gateway.get("/mcp/filesystem/tools/list").await.json()["count"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_service_that_says_so_has_its_tools_asked_for_again() {
    let pens: Arc<Mutex<Vec<streaming::Pen>>> = Arc::default();
    let handed = Arc::clone(&pens);
    let server = streaming::Server::start(move |heard| {
        streaming::modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "subscriptions/listen" => {
                let (pen, say) = streaming::events();
                handed.lock().push(pen);
                say
            }
            _ => streaming::result(heard, &json!({ "tools": [], "resultType": "complete" })),
        })
    })
    .await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    let listed = async || {
        assert_eq!(
            gateway.get("/mcp/t/tools/list").await.status,
            StatusCode::OK
        );
        server.count("tools/list")
    };
    listed().await;
    let listens = server.until(|it| it.rpc() == "subscriptions/listen").await;
    assert_eq!(listed().await, listed().await);
    let before = listed().await;
    pens.lock()[0].event(&json!({
        "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": { "_meta": { "io.modelcontextprotocol/subscriptionId": listens.json()["id"] } }
    }));
    until("another question", async || listed().await > before).await;
}

#[tokio::test]
async fn callers_share_no_list() {
    let server = filesystem().await;
    let registry = documented(&server.url());
    let gateway = registry
        .variables()
        .set(
            "MCP_GATEWAY_API_KEYS",
            "k-7d1f2ab9c4e85603,k-8e2f3bc0d5f96714",
        )
        .start()
        .await;
    for key in ["k-7d1f2ab9c4e85603", "k-8e2f3bc0d5f96714"] {
        for _ in 0..2 {
            let path = "/mcp/filesystem/tools/list";
            let request = gateway.request(Method::GET, path, &[("x-api-key", key)], "");
            assert_eq!(gateway.send(request).await.status, StatusCode::OK);
        }
    }
    assert_eq!(count(&server, "tools/list"), 2);
}

#[tokio::test]
async fn other_doors_keep_their_paths() {
    let server = plain("s").await;
    let operations = Upstream::start().await;
    // Only plain HTTP can have a name with another meaning below `/mcp/`.
    let gateway = Registry::of(&[("one", &server.url())])
        .variables()
        .set("MCP_SERVICES", "tools")
        .set("MCP_SERVICE_TOOLS_ENDPOINT", operations.url())
        .set("MCP_SERVICE_TOOLS_AUTH_TYPE", "none")
        .start()
        .await;
    assert_eq!(gateway.get("/mcp/health").await.status, StatusCode::OK);
    let services = gateway.get("/mcp/services").await.json();
    assert_eq!(
        services["services"].as_array().map(Vec::len),
        Some(2),
        "{services}"
    );
    // What is nobody's stays nobody's, in the words of who was there first.
    for path in [
        "/mcp/services/tools/list",
        "/mcp/tools/tools/list",
        "/mcp/request/health",
        "/mcp/jobs/tools/list",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.message(), format!("Cannot GET {path}"));
    }
    // A service of a reserved name is served elsewhere.
    let body = r#"{"service":"tools","operation":"x"}"#;
    assert_eq!(
        gateway.post(body).await.json()["success"],
        Value::Bool(true)
    );
}
