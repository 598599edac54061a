//! Tools of MCP servers.

use std::sync::Arc;

use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Running, Variables};
use http::StatusCode;
use serde_json::json;

use crate::detail;

/// Services that speak MCP, and one of them that answers nobody.
async fn with_mcp(eras: Eras) -> (Running, String) {
    let fixture = HttpFixture::bind(0, eras).await.unwrap();
    let url = fixture.url().to_owned();
    tokio::spawn(fixture.serve());
    let dead = Arc::new(Upstream::start_with(|_| Reply::hang()).await);
    let variables = Variables::default()
        .set("MCP_SERVICES", "fixture,dead")
        .set("MCP_LIST_TIMEOUT", 300)
        .set("MCP_SERVICE_FIXTURE_ENDPOINT", &url)
        .set("MCP_SERVICE_FIXTURE_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_DEAD_ENDPOINT", dead.url())
        .set("MCP_SERVICE_DEAD_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_DEAD_TIMEOUT", 300);
    let gateway = variables.start().await;
    tokio::spawn(async move {
        let _dead = dead;
        std::future::pending::<()>().await;
    });
    (gateway, url)
}

#[tokio::test]
async fn tools_of_mcp_are_tools_as_well_and_a_dead_service_costs_its_own_only() {
    for eras in [Eras::Legacy, Eras::Modern] {
        let (gateway, url) = with_mcp(eras).await;
        let list = gateway.get("/tools").await.json();
        let tools = list["tools"].as_array().unwrap();
        assert!(tools.len() > 3, "{list}");
        assert!(tools.iter().all(|tool| tool["namespace"] == "fixture"));
        let simple = tools
            .iter()
            .find(|tool| tool["tool_name"] == "test_simple_text")
            .unwrap_or_else(|| panic!("{list}"));
        assert_eq!(simple["name"], "fixture.test_simple_text");
        assert_eq!(simple["backend_url"], url);
        assert_eq!(simple["input_schema"]["type"], "object");
        assert!(simple["description"].is_string());

        let answer = gateway
            .post_to("/tools/fixture.test_simple_text", "{}")
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.json().is_string(), "{}", answer.json());
        let failed = gateway
            .post_to("/tools/fixture.test_error_handling", "{}")
            .await;
        assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(detail(&failed).starts_with("Backend error: "));
        let unknown = gateway.post_to("/tools/fixture.nothing", "{}").await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert_eq!(detail(&unknown), "Tool not found: fixture.nothing");
        let dead = gateway.post_to("/tools/dead.anything", "{}").await;
        assert_eq!(dead.status, StatusCode::SERVICE_UNAVAILABLE);
        let why = detail(&dead);
        assert!(
            why.starts_with("Backend error: dead did not answer"),
            "{why}"
        );
    }
}

/// A server of MCP with these tools, each of which answers with its name.
async fn mcp_server(tools: &'static [&'static str]) -> Upstream {
    Upstream::start_with(move |request: &Recorded| {
        let body = request.json();
        let result = match body["method"].as_str() {
            Some("server/discover") => json!({
                "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "resultType": "complete",
            }),
            Some("tools/list") => {
                let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
                json!({"tools": tools.iter().map(tool).collect::<Vec<_>>()})
            }
            _ => json!({"content": [{"type": "text", "text": body["params"]["name"]}]}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
        Reply::json(answer.to_string())
    })
    .await
}

#[tokio::test]
async fn tools_of_mcp_need_no_name_that_all_services_could_have() {
    let server = mcp_server(&["my tool", "ok", "list:items"]).await;
    let mut variables = Variables::default().set("MCP_SERVICES", "n,my__n");
    for service in ["N", "MY__N"] {
        let prefix = format!("MCP_SERVICE_{service}");
        variables = variables
            .set(&format!("{prefix}_ENDPOINT"), server.url())
            .set(&format!("{prefix}_TRANSPORT"), "streamable-http");
    }
    let gateway = variables.start().await;
    let list = gateway.get("/tools").await.json();
    let tools = list["tools"].as_array().unwrap().iter();
    let mut names: Vec<_> = tools.map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let of = |service: &str| ["list:items", "my tool", "ok"].map(|it| format!("{service}.{it}"));
    assert_eq!(names, [of("my__n"), of("n")].concat());
    for (path, name) in [
        ("n.list:items", "list:items"),
        ("n.my%20tool", "my tool"),
        ("my__n.ok", "ok"),
    ] {
        let answer = gateway.post_to(&format!("/tools/{path}"), "{}").await;
        assert_eq!(answer.json(), name, "{path}");
    }
}
