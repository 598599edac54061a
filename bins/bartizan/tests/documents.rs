//! What the documents of the gateways that this one replaces show of registries, as they show it.
//!
//! Needs `sh`, `curl` and `jq`, and fails where one is missing.

mod common;

use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::{Reply, Upstream};
use common::{Bartizan, Running, curl};
use serde_json::{Value, json};
use tokio::process::Command;

/// A `registry.yaml` as its document shows it.
const REGISTRY_YAML: &str = r#"version: "1.0"

servers:
  - namespace: manifest
    name: chora-mcp-manifest
    docker_image: chora-mcp-manifest:latest
    port: 8081
    health_url: http://chora-mcp-manifest:8081/health
    tools:
      - name: list_servers
        description: List all registered MCP servers
      - name: get_server
        description: Get details of a specific server
"#;

/// Runs a line of a document in a shell, where the gateway is at the port that documents name.
async fn shell(gateway: &Running, line: &str) -> String {
    let settings = format!(
        "connect-to = \"localhost:8080:{}\"\nnoproxy = \"*\"\nmax-time = 20\nsilent\n",
        gateway.address()
    );
    let directory = gateway.directory();
    std::fs::write(directory.join(".curlrc"), settings).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("CURL_HOME", directory);
    let output = command.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn json_of(gateway: &Running, line: &str) -> Value {
    let text = shell(gateway, line).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
}

#[tokio::test]
async fn the_documented_commands_about_the_gateway_run() {
    let backend = Upstream::start_with(|_| {
        Reply::json(r#"{"jsonrpc":"2.0","id":"bartizan-probe","result":{}}"#)
    })
    .await;
    let registry = json!({"templates": {"filesystem": {"instances": [
        {"id": "fs-1", "endpoint": backend.url(), "env_vars": {"TOKEN": "hunter2"}},
    ]}}});
    let gateway = Bartizan::new(&["serve"])
        .set("MCP_GATEWAY_PORT", 0)
        .set("MCP_GATEWAY_REGISTRY_FILE", "registry.json")
        .set("MCP_GATEWAY_HEALTH_INTERVAL", 30)
        .set("MCP_GATEWAY_HEALTH_TIMEOUT", 10)
        .set("MCP_GATEWAY_DEFAULT_STRATEGY", "round_robin")
        .set("MCP_GATEWAY_MAX_RETRIES", 3)
        .file("registry.json", &registry.to_string())
        .start()
        .await;
    let health = json_of(&gateway, "curl http://localhost:8080/gateway/health").await;
    assert_eq!(health["status"], "healthy");
    let listed = json_of(&gateway, "curl http://localhost:8080/gateway/registry").await;
    let instance = &listed["templates"]["filesystem"]["instances"][0];
    assert_eq!(instance["id"], "fs-1");
    assert!(!listed.to_string().contains("hunter2"));
    let stats = json_of(&gateway, "curl http://localhost:8080/gateway/stats | jq").await;
    assert_eq!(stats["registry"]["total_instances"], 1);
    let line = "curl http://localhost:8080/gateway/stats | jq '.health_checker'";
    let checker = json_of(&gateway, line).await;
    assert_eq!(
        (&checker["running"], &checker["check_interval"]),
        (&json!(true), &json!(30))
    );

    let line = r#"curl -X POST http://localhost:8080/gateway/register \
      -H "Content-Type: application/json" \
      -d '{"template_name": "mytemplate", "instance": {"id": "m-1", "endpoint": "http://localhost:7071"}}'"#;
    let registered = json_of(&gateway, line).await;
    assert_eq!(registered["success"], true);
    let line = "curl -X DELETE http://localhost:8080/gateway/deregister/mytemplate/m-1";
    let gone = json_of(&gateway, line).await;
    assert_eq!(
        gone["message"],
        "Deregistered instance m-1 from template mytemplate"
    );
}

#[tokio::test]
async fn the_documented_registry_of_tools_is_served() {
    let gateway = Bartizan::new(&["serve"])
        .set("REGISTRY_PATH", "registry.yaml")
        .set("PORT", 0)
        .set("POLL_INTERVAL", 60)
        .set("HEALTH_CHECK_INTERVAL", 60)
        .file("registry.yaml", REGISTRY_YAML)
        .start()
        .await;
    let list = json_of(&gateway, "curl http://localhost:8080/tools").await;
    let tool = &list["tools"][0];
    for (field, expected) in [
        ("name", "manifest.list_servers"),
        ("namespace", "manifest"),
        ("tool_name", "list_servers"),
        ("backend_url", "http://chora-mcp-manifest:8081"),
        ("description", "List all registered MCP servers"),
    ] {
        assert_eq!(tool[field], expected, "{list}");
    }
    let health = json_of(&gateway, "curl http://localhost:8080/health").await;
    assert_eq!(health["backends_total"], 1);
    // Nobody has that name here.
    let line = r#"curl -X POST http://localhost:8080/tools/manifest.list_servers \
      -H "Content-Type: application/json" \
      -d '{
  "filter": "namespace:n8n"
}'"#;
    let answer = json_of(&gateway, line).await;
    assert_eq!(
        answer,
        json!({"detail": "Backend server unhealthy: manifest"})
    );
}

#[tokio::test]
async fn a_reload_over_http_is_that_of_the_signal() {
    let backend = Upstream::start().await;
    let file = |timeout: &str| {
        format!(
            "MCP_GATEWAY_URL=http://localhost:8080\nMCP_GATEWAY_PORT=0\nMCP_SERVICES=user-service\n\
             MCP_SERVICE_USER_SERVICE_ENDPOINT={}\nMCP_SERVICE_USER_SERVICE_AUTH_TYPE=none\n\
             MCP_SERVICE_USER_SERVICE_TIMEOUT={timeout}\n",
            backend.url()
        )
    };
    let gateway = Bartizan::new(&["serve"])
        .file(".env", &file("1000"))
        .start()
        .await;
    let reload = async || curl(&["--request", "POST", &gateway.url("/gateway/reload")]).await;
    let write = |text: String| std::fs::write(gateway.directory().join(".env"), text).unwrap();
    assert_eq!(reload().await.json()["unchanged"], json!(["user-service"]));
    write(file("never"));
    let refused = reload().await;
    assert_eq!(refused.status, 422);
    let fault = &refused.json()["detail"][0];
    assert_eq!(fault["type"], "configuration_error");
    assert!(
        fault["msg"].as_str().unwrap().contains("TIMEOUT"),
        "{fault}"
    );
    write(file("2000"));
    assert_eq!(reload().await.json()["changed"], json!(["user-service"]));
    gateway.logs("configuration changed").await;
}

#[tokio::test]
async fn a_program_that_an_operator_registers_is_started_and_called() {
    let fixture = HttpFixture::bind(0, Eras::Both).await.unwrap();
    let servers = json!({"mcpServers": {"fx": {"type": "http", "url": fixture.url()}}});
    tokio::spawn(fixture.serve());
    let key = "key-of-an-operator-000000000001";
    // Any server would do that speaks over standard input and output: this one is at hand.
    let program = env!("CARGO_BIN_EXE_bartizan");
    let gateway = Bartizan::new(&["serve"])
        .set("MCP_GATEWAY_PORT", 0)
        .set("MCP_GATEWAY_REGISTRY_FILE", "registry.json")
        .set("MCP_GATEWAY_ADMIN_KEYS", key)
        .set("MCP_GATEWAY_ALLOWED_COMMANDS", program)
        .file("servers.json", &servers.to_string())
        .start()
        .await;
    let body = json!({"template_name": "programs", "instance": {
        "id": "p-1",
        "command": [program, "stdio", "--mcp-config", "servers.json"],
        "working_dir": gateway.directory(),
        "env_vars": {"LOG_LEVEL": "error"},
    }});
    let body = body.to_string();
    let url = gateway.url("/gateway/register");
    let json = "content-type: application/json";
    let refused = curl(&["--header", json, "--data", &body, &url]).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let key = format!("authorization: Bearer {key}");
    let arguments = ["--header", json, "--header", &key, "--data", &body, &url];
    let registered = curl(&arguments).await;
    assert_eq!(registered.status, 200, "{registered:?}");

    let call = gateway.url("/tools/programs.test_simple_text");
    let answer = curl(&["--request", "POST", &call]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json().is_string(), "{answer:?}");
    let listed = curl(&[&gateway.url("/gateway/registry")]).await.json();
    let instance = &listed["templates"]["programs"]["instances"][0];
    assert_eq!(instance["env_vars"], json!({"LOG_LEVEL": "[redacted]"}));
    let gone = gateway.url("/gateway/deregister/programs/p-1");
    assert_eq!(curl(&["--request", "DELETE", &gone]).await.status, 403);
    let arguments = ["--request", "DELETE", "--header", &key, &gone];
    assert_eq!(curl(&arguments).await.status, 200);
    let answer = curl(&["--request", "POST", &call]).await;
    assert_eq!(answer.status, 404, "{answer:?}");
}
