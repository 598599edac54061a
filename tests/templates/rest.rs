//! Services that are plain HTTP, behind the same door.

use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Running, Variables};
use http::StatusCode;
use serde_json::json;

use crate::server::{post, post_with, text};

async fn configured(server: &Upstream) -> Running {
    Variables::user_service(&server.url()).start().await
}

const CALL: &str = "/mcp/user-service/tools/call";

#[tokio::test]
async fn operations_are_tools() {
    let server = Upstream::start().await;
    let definition = r#"{"name":"user-service","operations":[
        {"name":"getUser","description":"One user","x-cost":1.10,"parameters":[
            {"name":"userId","type":"string","required":true,"description":"whose"}]},
        {"name":"ping"}]}"#;
    server.aside("/api/definition", Reply::json(definition));
    let gateway = configured(&server).await;
    let listed = gateway.get("/mcp/user-service/tools/list").await;
    assert_eq!(listed.status, StatusCode::OK);
    let json = listed.json();
    assert_eq!(json["count"], 2);
    let schema = json!({
        "type": "object",
        "properties": { "userId": { "type": "string", "description": "whose" } },
        "required": ["userId"]
    });
    assert_eq!(json["tools"][0]["inputSchema"], schema);
    assert_eq!(json["tools"][0]["parameters"], schema);
    assert_eq!(json["tools"][1]["inputSchema"], json!({ "type": "object" }));
    let said = String::from_utf8(listed.body.to_vec()).unwrap();
    assert!(said.contains(r#""x-cost":1.10"#), "{said}");
}

#[tokio::test]
async fn a_call_is_a_post_and_its_answer_a_result() {
    let server = Upstream::start().await;
    server.aside("/api/definition", Reply::status(404));
    let gateway = configured(&server).await;
    let user = r#"{"id":"123","n":1.10,"big":123456789012345678901234567890}"#;
    server.reply(Reply::json(user));
    let arguments = r#"{ "userId": "123", "n": 1.10 }"#;
    let body = format!(r#"{{"name":"getUser","arguments":{arguments}}}"#);
    let headers = [("x-gateway-info", "false"), ("x-agent-id", "a-1")];
    let answer = post_with(&gateway, CALL, &headers, &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let quoted = json!(user);
    let expected = format!(
        r#"{{"content":[{{"text":{quoted},"type":"text"}}],"structuredContent":{user},"isError":false}}"#
    );
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("x-instance-id"), Some(&*server.url()));
    let request = &server.requests()[0];
    assert_eq!(request.uri.path(), "/api/getUser");
    assert_eq!(request.body, arguments);
    assert_eq!(request.header("x-agent-id"), Some("a-1"));

    server.reply(Reply::status(200).body("plain"));
    let answer = post(&gateway, CALL, r#"{"name":"getUser"}"#).await;
    assert_eq!(text(&answer), "plain");
    assert!(answer.json().get("structuredContent").is_none());
    let info = &answer.json()["_gateway_info"];
    assert_eq!(info["instance_id"], server.url());
}

#[tokio::test]
async fn a_session_keeps_calls_together_and_is_nobody_elses_to_know() {
    let servers = [Upstream::start().await, Upstream::start().await];
    for server in &servers {
        server.aside("/api/definition", Reply::status(404));
    }
    let urls = servers.each_ref().map(Upstream::url).join(",");
    let variables = Variables::user_service(&urls).user("STRATEGY", "consistent-hash");
    let gateway = variables.start().await;
    for number in 0..8 {
        let correlation = format!("corr-{number}");
        let headers = [
            ("x-correlation-id", &*correlation),
            ("mcp-session-id", "sess-1"),
        ];
        post_with(&gateway, CALL, &headers, r#"{"name":"getUser"}"#).await;
    }
    let long = "c".repeat(513);
    let headers = [("x-correlation-id", &*long), ("x-request-id", "r-1")];
    post_with(&gateway, CALL, &headers, r#"{"name":"getUser"}"#).await;
    let [mut one, other] = servers.each_ref().map(Upstream::requests);
    assert!(one.len().abs_diff(other.len()) >= 7, "{}", one.len());
    one.extend(other);
    let id = |it: &Recorded| it.header("x-correlation-id").unwrap_or_default().to_owned();
    let mut ids: Vec<_> = one.iter().map(id).collect();
    ids.sort_unstable();
    let given = (0..8).map(|number| format!("corr-{number}"));
    assert_eq!(ids, given.chain(["r-1".to_owned()]).collect::<Vec<_>>());
}

/// Fault 7 for REST: what a backend refuses is an error of the tool.
#[tokio::test]
async fn fault_7_a_failure_is_an_error_of_the_tool() {
    let server = Upstream::start().await;
    server.aside("/api/definition", Reply::status(404));
    let gateway = configured(&server).await;
    for (status, body) in [
        (404, r#"{"reason":"no such user"}"#),
        (500, "broken"),
        (500, ""),
    ] {
        server.reply(Reply::json(body).with_status(status));
        let answer = post(&gateway, CALL, r#"{"name":"getUser"}"#).await;
        assert_eq!(answer.status, StatusCode::OK);
        let json = answer.json();
        assert_eq!(json["isError"], true, "{json}");
        let said = text(&answer);
        assert!(
            said.starts_with(&format!("Request failed with status code {status}")),
            "{said}"
        );
        assert!(said.ends_with(body), "{said}");
        assert_eq!(
            json.get("structuredContent").is_some(),
            body.starts_with('{')
        );
    }
    let list = gateway.get("/mcp/user-service/tools/list").await;
    assert_eq!(
        list.status,
        StatusCode::BAD_GATEWAY,
        "an error is not an empty list"
    );
}

#[tokio::test]
async fn there_are_no_resources_and_prompts() {
    let server = Upstream::start().await;
    let gateway = configured(&server).await;
    let resources = gateway.get("/mcp/user-service/resources/list").await;
    assert_eq!(resources.body, r#"{"resources":[],"count":0}"#);
    let prompts = gateway.get("/mcp/user-service/prompts/list").await;
    assert_eq!(prompts.body, r#"{"prompts":[],"count":0}"#);
    for (path, body) in [
        ("resources/read", r#"{"uri":"a:b"}"#),
        ("prompts/get", r#"{"name":"p"}"#),
    ] {
        let answer = post(&gateway, &format!("/mcp/user-service/{path}"), body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("plain HTTP"), "{detail}");
    }
    for name in ["../health", "a?b", ""] {
        let body = json!({ "name": name }).to_string();
        let answer = post(&gateway, CALL, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
    }
}

#[tokio::test]
async fn a_yaml_registry_says_which_tools_there_are() {
    let server = Upstream::start_with(|_| Reply::json(r#"{"ok":true}"#)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.yaml");
    let registry = format!(
        "version: \"1.0\"\nservers:\n  - namespace: docs\n    name: 127.0.0.1\n    port: {}\n    \
         tools:\n      - name: search\n        description: Finds\n        inputSchema:\n          \
         type: object\n          required: [q]\n      - name: read\n",
        server.address().port()
    );
    std::fs::write(&path, registry).unwrap();
    let gateway = Variables::default()
        .set("REGISTRY_PATH", path.display())
        .start()
        .await;
    let json = gateway.get("/mcp/docs/tools/list").await.json();
    assert_eq!(json["count"], 2, "{json}");
    assert_eq!(json["tools"][0]["name"], "search");
    assert_eq!(json["tools"][0]["description"], "Finds");
    let schema = json!({ "type": "object", "required": ["q"] });
    assert_eq!(json["tools"][0]["inputSchema"], schema);
    assert_eq!(json["tools"][0]["parameters"], schema);
    let path = "/mcp/docs/tools/call";
    let answer = post(&gateway, path, r#"{"name":"search","arguments":{"q":"a"}}"#).await;
    assert_eq!(answer.json()["structuredContent"], json!({ "ok": true }));
    let requests = server.requests();
    let call = requests.iter().find(|it| it.uri.path() == "/tools/search");
    assert_eq!(call.unwrap().body, r#"{"q":"a"}"#);
    let unknown = post(&gateway, path, r#"{"name":"nothing"}"#).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(
        unknown.json()["detail"],
        "Tool 'nothing' not found in template 'docs'"
    );
}
