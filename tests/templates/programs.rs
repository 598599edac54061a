//! Instances that are programs.

use std::path::Path;

use bartizan_tests::{Running, until};
use http::StatusCode;
use serde_json::{Value, json};

use crate::server::{Registry, post, post_with, text};

/// Tells its process, its directory and a variable to whoever calls it; says something that
/// belongs to nobody before each answer.
const SERVER: &str = r#"
while read -r line; do
  id=${line#*'"id":'}; id=${id%%,*}
  result() { echo '{"jsonrpc":"2.0","id":'$id',"result":'$1'}'; }
  case $line in
    *'"initialize"'*) result '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}';;
    *'"tools/call"'*)
      echo '{"jsonrpc":"2.0","id":"of-nobody","result":{"content":[{"type":"text","text":"wrong"}]}}'
      result '{"content":[{"type":"text","text":"'$$' '$PWD' '$GREETING'"}]}';;
    *'"tools/list"'*) result '{"tools":[{"name":"x","inputSchema":{"type":"object"}}]}';;
    *'"server/discover"'*|*'"ping"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"Method not found"}}';;
  esac
done
"#;

fn program(directory: &Path) -> Value {
    json!({
        "id": "shell", "template_name": "t", "transport": "stdio",
        "command": ["sh", "-c", SERVER],
        "working_dir": directory, "env_vars": { "GREETING": "hello" }
    })
}

async fn told(gateway: &Running, headers: &[(&str, &str)]) -> Vec<String> {
    let answer = post_with(gateway, "/mcp/t/tools/call", headers, r#"{"name":"x"}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.json());
    text(&answer).split(' ').map(str::to_owned).collect()
}

fn runs(process: &str) -> bool {
    // A dead one that nobody has waited for yet is gone for all that matters.
    let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
    status.is_ok_and(|it| !it.contains(") Z "))
}

#[tokio::test]
async fn one_warm_process_serves_all_calls_of_a_caller_and_ends_with_its_instance() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let registry = Registry::new(&json!({ "t": { "instances": [program(&path)] } }));
    let gateway = registry.start().await;
    let first = told(&gateway, &[]).await;
    assert_eq!(first[1..], [path.to_str().unwrap(), "hello"]);
    for _ in 0..10 {
        assert_eq!(told(&gateway, &[]).await, first);
    }
    let listed = gateway.get("/mcp/t/tools/list").await.json();
    assert_eq!(
        listed["tools"][0]["parameters"],
        json!({ "type": "object" })
    );
    let health = gateway.get("/mcp/t/health").await.json();
    let instance = &health["instances"]["shell"];
    assert_eq!(instance["transport"], "stdio");
    assert_eq!(instance["endpoint"], Value::Null);
    assert_eq!(instance["healthy"], true, "{health}");

    assert!(runs(&first[0]));
    registry.write(&json!({ "t": { "instances": [] } }));
    until("the process to end", async || !runs(&first[0])).await;
    let answer = post(&gateway, "/mcp/t/tools/call", r#"{"name":"x"}"#).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

/// That nobody needs it is no illness; that it does not come up is.
#[tokio::test]
async fn a_program_that_did_not_come_up_is_not_well() {
    for command in [
        json!(["/nowhere/to/be/found"]),
        json!(["sh", "-c", "exit 1"]),
    ] {
        let instance = json!({ "id": "broken", "transport": "stdio", "command": command });
        let registry = Registry::new(&json!({ "t": { "instances": [instance] } }));
        let gateway = registry.start().await;
        let healthy = async || {
            let health = gateway.get("/mcp/t/health").await.json();
            health["instances"]["broken"]["healthy"].clone()
        };
        assert_eq!(healthy().await, true, "{command}");
        let answer = post(&gateway, "/mcp/t/tools/call", r#"{"name":"x"}"#).await;
        assert!(!answer.status.is_success());
        until("it to be found out", async || healthy().await == false).await;
    }
}

#[tokio::test]
async fn callers_have_processes_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::new(&json!({ "t": { "instances": [program(directory.path())] } }));
    let gateway = registry
        .variables()
        .set(
            "MCP_GATEWAY_API_KEYS",
            "k-7d1f2ab9c4e85603,k-8e2f3bc0d5f96714",
        )
        .start()
        .await;
    let one = told(&gateway, &[("x-api-key", "k-7d1f2ab9c4e85603")]).await;
    let other = told(&gateway, &[("x-api-key", "k-8e2f3bc0d5f96714")]).await;
    assert_ne!(one[0], other[0]);
    assert_eq!(
        told(&gateway, &[("x-api-key", "k-7d1f2ab9c4e85603")]).await,
        one
    );
}

#[tokio::test]
async fn a_program_that_does_not_start_is_left_for_one_that_does() {
    let directory = tempfile::tempdir().unwrap();
    let mut bad = program(directory.path());
    bad["id"] = json!("bad");
    bad["command"] = json!(["/no/such/program"]);
    let registry = Registry::new(&json!({
        "t": { "instances": [bad, program(directory.path())] },
        "bad": { "instances": [bad] }
    }));
    let gateway = registry.start().await;
    for _ in 0..4 {
        told(&gateway, &[]).await;
    }
    let answer = post(&gateway, "/mcp/bad/tools/call", r#"{"name":"x"}"#).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.starts_with("All attempts failed for template 'bad': "),
        "{detail}"
    );
}
