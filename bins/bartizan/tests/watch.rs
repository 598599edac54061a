//! A gateway that serves goes on under what its files say now.

mod common;

use std::{fs, path::Path};

use bartizan_testkit::{Recorded, Reply, Upstream};
use common::{Bartizan, PATIENCE, Running};
use serde_json::json;
use tokio::time::timeout;

async fn backend() -> Upstream {
    Upstream::start_with(|_: &Recorded| Reply::json("{}")).await
}

fn services(names: &str, endpoint: &str) -> String {
    let mut text = format!("MCP_SERVICES={names}\n");
    for name in names.split(',') {
        let prefix = format!("MCP_SERVICE_{}", name.to_uppercase());
        text += &format!("{prefix}_ENDPOINT={endpoint}\n{prefix}_AUTH_TYPE=none\n");
    }
    text
}

/// The names of the services that it serves.
async fn served(gateway: &Running) -> Vec<String> {
    let reply = gateway.get("/mcp/services").await.json();
    let services = reply["services"].as_array().unwrap();
    let names = services
        .iter()
        .map(|it| it["name"].as_str().unwrap().to_owned());
    names.collect()
}

async fn until_it_serves(gateway: &Running, names: &[&str]) {
    let serves = async { while served(gateway).await != names {} };
    let serves = timeout(PATIENCE, serves).await;
    assert!(serves.is_ok(), "it serves {:?}", served(gateway).await);
}

/// Writes a file as programs do that know how: whole, under its name at once.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[tokio::test]
async fn a_changed_environment_file_counts_without_a_signal() {
    let backend = backend().await;
    let endpoint = backend.url();
    let gateway = Bartizan::new(&[])
        .set("MCP_GATEWAY_PORT", 0)
        .file(".env", &services("a", &endpoint))
        .start()
        .await;
    assert_eq!(served(&gateway).await, ["a"]);
    let env = gateway.directory().join(".env");
    // In place, and by renaming; once is not enough.
    fs::write(&env, services("a,b", &endpoint)).unwrap();
    until_it_serves(&gateway, &["a", "b"]).await;
    replace(&env, &services("b,c", &endpoint));
    until_it_serves(&gateway, &["b", "c"]).await;
    replace(&env, &services("c", &endpoint));
    until_it_serves(&gateway, &["c"]).await;
    assert!(
        gateway
            .log()
            .contains("configuration file changed file=.env")
    );
}

#[tokio::test]
async fn a_file_that_was_not_there_counts_when_it_comes() {
    let backend = backend().await;
    let endpoint = backend.url();
    let gateway = Bartizan::new(&[])
        .set("MCP_GATEWAY_PORT", 0)
        .set("MCP_SERVICES", "a")
        .set("MCP_SERVICE_A_ENDPOINT", &endpoint)
        .set("MCP_SERVICE_A_AUTH_TYPE", "none")
        .start()
        .await;
    let yaml = "services: {d: {endpoint: '".to_owned() + &endpoint + "', auth: {type: none}}}\n";
    replace(&gateway.directory().join("bartizan.yaml"), &yaml);
    until_it_serves(&gateway, &["a", "d"]).await;
}

#[tokio::test]
async fn a_file_of_servers_that_is_wrong_is_named_by_line_and_column_and_changes_nothing() {
    let backend = backend().await;
    let endpoint = format!("{}/mcp", backend.url());
    let good = json!({"mcpServers": {"one": {"url": endpoint}}}).to_string();
    let better = json!({"mcpServers": {"one": {"url": endpoint}, "two": {"url": endpoint}}});
    let gateway = Bartizan::new(&["serve", "--mcp-config", "servers.json"])
        .set("MCP_GATEWAY_PORT", 0)
        .file("servers.json", &good)
        .start()
        .await;
    let file = gateway.directory().join("servers.json");
    replace(&file, "{\"mcpServers\": {\n  \"one\": {\"url\": 7}}}");
    gateway.logs("configuration not changed").await;
    gateway.logs("servers.json, line 2, column").await;
    assert_eq!(served(&gateway).await, ["one"]);
    replace(&file, &better.to_string());
    until_it_serves(&gateway, &["one", "two"]).await;
}

#[tokio::test]
async fn whoever_wants_no_watching_has_signals() {
    let backend = backend().await;
    let endpoint = backend.url();
    let gateway = Bartizan::new(&[])
        .set("MCP_GATEWAY_PORT", 0)
        .set("MCP_GATEWAY_WATCH_FILES", "false")
        .file(".env", &services("a", &endpoint))
        .start()
        .await;
    replace(
        &gateway.directory().join(".env"),
        &services("a,b", &endpoint),
    );
    gateway.signal("HUP").await;
    until_it_serves(&gateway, &["a", "b"]).await;
    assert!(!gateway.log().contains("configuration file changed"));
}
