//! Services whose instances are found by a cluster, an engine or a name, through every layer.
#![cfg(unix)]

use std::{path::Path, sync::Arc};

use bartizan_testkit::{Cluster, Engine, Refusal, Reply, ScriptServer, Upstream};
use bartizan_tests::{Running, Variables, until};
use serde_json::{Value, json};

/// `users`, found by `discovery`.
fn users(discovery: &str) -> Variables {
    Variables::default()
        .set("MCP_SERVICES", "users")
        .set("MCP_SERVICE_USERS_AUTH_TYPE", "none")
        .set("MCP_SERVICE_USERS_DISCOVERY", discovery)
        .set("MCP_SERVICE_USERS_IDEMPOTENT_OPERATIONS", "get*")
        .set("MCP_RETRY_INITIAL_DELAY", "10")
}

fn in_cluster(address: std::net::SocketAddr) -> Variables {
    users("kubernetes")
        .set("MCP_GATEWAY_KUBERNETES_API", format!("http://{address}"))
        .set("MCP_SERVICE_USERS_KUBERNETES_NAMESPACE", "shop")
        .set("MCP_SERVICE_USERS_KUBERNETES_PORT", "http")
}

fn in_engine(socket: &Path) -> Variables {
    users("docker").set("MCP_SERVICE_USERS_DOCKER_SOCKET", socket.display())
}

/// An instance that answers with its number.
async fn instance(number: usize) -> Upstream {
    let upstream = Upstream::start_with(move |_| Reply::json(number.to_string())).await;
    upstream.aside("/api/definition", Reply::status(404));
    upstream
}

fn container(name: &str, upstream: &Upstream) -> Value {
    let mut container = Engine::container(name, "127.0.0.1");
    container["Labels"]["bartizan.port"] = json!(upstream.address().port().to_string());
    container
}

/// The number of the instance that answers a call.
async fn called(gateway: &Running) -> Option<u64> {
    let body = json!({"service": "users", "operation": "getUser", "parameters": {}});
    let answer = gateway.post(body.to_string()).await.json();
    answer["data"].as_u64()
}

/// The number of the only instance that calls reach.
async fn until_called(gateway: &Running, number: u64) {
    until(&format!("calls reach instance {number} only"), async || {
        let calls = [called(gateway).await, called(gateway).await];
        calls == [Some(number); 2]
    })
    .await;
}

const STALE: &str = "bartizan_instances_stale";
const KNOWN: &str = "bartizan_instances";

#[tokio::test]
async fn endpoints_of_a_cluster_are_called_followed_and_kept() {
    let (one, two) = (instance(1).await, instance(2).await);
    let cluster = Cluster::new();
    cluster.put_at("users-a", &["127.0.0.1"], one.address().port());
    let (server, address) = ScriptServer::tcp(0, cluster.clone()).await;
    let gateway = in_cluster(address).start().await;
    assert_eq!(called(&gateway).await, Some(1));
    gateway.until_metric(STALE, "users", 0).await;

    cluster.watched().await;
    cluster.put_at("users-b", &["127.0.0.1"], two.address().port());
    gateway.until_metric(KNOWN, "users", 2).await;
    cluster.delete("users-a");
    until_called(&gateway, 2).await;
    assert_eq!(cluster.lists().len(), 1);

    server.kill().await;
    gateway.until_metric(STALE, "users", 1).await;
    assert_eq!(called(&gateway).await, Some(2));

    cluster.end_watches();
    cluster.put_at("users-b", &["127.0.0.1"], one.address().port());
    let (_server, _) = ScriptServer::tcp(address.port(), cluster.clone()).await;
    until_called(&gateway, 1).await;
    gateway.until_metric(STALE, "users", 0).await;
}

#[tokio::test]
async fn endpoints_of_a_cluster_go_by_the_name_of_the_endpoint() {
    let one = instance(1).await;
    let cluster = Cluster::new();
    cluster.put_at("users-a", &["127.0.0.1"], one.address().port());
    let (_server, address) = ScriptServer::tcp(0, cluster).await;
    let endpoint = "http://users.internal/base";
    let variables = in_cluster(address).set("MCP_SERVICE_USERS_ENDPOINT", endpoint);
    let gateway = variables.start().await;
    assert_eq!(called(&gateway).await, Some(1));
    let asked = one.requests().pop().unwrap();
    assert_eq!(asked.uri.path(), "/base/api/getUser");
    assert_eq!(asked.header("host"), Some("users.internal"));
}

#[tokio::test]
async fn containers_of_an_engine_are_called_followed_and_kept() {
    let (one, two) = (instance(1).await, instance(2).await);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine.sock");
    let engine = Engine::with(&[container("one", &one)]);
    let server = ScriptServer::unix(&socket, engine.clone());
    let gateway = in_engine(&socket).start().await;
    assert_eq!(called(&gateway).await, Some(1));
    gateway.until_metric(STALE, "users", 0).await;

    engine.heard().await;
    engine.run(container("two", &two));
    gateway.until_metric(KNOWN, "users", 2).await;
    engine.stop("one");
    until_called(&gateway, 2).await;

    server.kill().await;
    gateway.until_metric(STALE, "users", 1).await;
    assert_eq!(called(&gateway).await, Some(2));

    engine.quietly(|all| *all = vec![container("one", &one)]);
    let _server = ScriptServer::unix(&socket, engine.clone());
    until_called(&gateway, 1).await;
    gateway.until_metric(STALE, "users", 0).await;
}

#[tokio::test]
async fn a_sync_looks_at_what_nobody_tells_of() {
    let (one, two) = (instance(1).await, instance(2).await);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine.sock");
    let engine = Engine::with(&[container("one", &one)]);
    let server = ScriptServer::unix(&socket, engine.clone());
    let gateway = in_engine(&socket).start().await;
    assert_eq!(called(&gateway).await, Some(1));

    engine.quietly(|all| *all = vec![container("two", &two)]);
    let synced = gateway.post_to("/gateway/sync", "").await;
    assert_eq!(synced.status.as_u16(), 200, "{:?}", synced.body);
    // Its own words are heard of a moment later.
    until_called(&gateway, 2).await;

    server.kill().await;
    let synced = gateway.post_to("/gateway/sync", "").await;
    assert_eq!(synced.status.as_u16(), 200, "{:?}", synced.body);
    let warning = synced.json()["warnings"][0].to_string();
    assert!(warning.contains("service users: "), "{warning}");
    assert_eq!(called(&gateway).await, Some(2));
}

#[tokio::test]
async fn addresses_of_a_name_are_called_by_the_name() {
    let one = instance(1).await;
    let port = one.address().port();
    let endpoint = format!("http://localhost:{port}");
    let gateway = users("dns")
        .set("MCP_SERVICE_USERS_ENDPOINT", &endpoint)
        .start()
        .await;
    // There may be an address of the other family, where nobody listens.
    until("a call that is answered", async || {
        called(&gateway).await == Some(1)
    })
    .await;
    let asked = one.requests().pop().unwrap();
    assert_eq!(asked.header("host"), Some(&*format!("localhost:{port}")));
    gateway.until_metric(STALE, "users", 0).await;
}

#[tokio::test]
async fn a_source_that_has_never_answered_is_stale_and_costs_its_own_service() {
    let one = instance(1).await;
    let cluster = Cluster::new();
    cluster.refuse(Refusal::Status(403, "endpointslices is forbidden"));
    let (_server, address) = ScriptServer::tcp(0, cluster.clone()).await;
    let variables = in_cluster(address)
        .set("MCP_SERVICES", "users,orders")
        .set("MCP_SERVICE_ORDERS_ENDPOINT", one.url())
        .set("MCP_SERVICE_ORDERS_AUTH_TYPE", "none");
    let gateway = variables.start().await;
    assert_eq!(called(&gateway).await, None);
    gateway.until_metric(STALE, "users", 1).await;
    let body = json!({"service": "orders", "operation": "getOrder", "parameters": {}});
    let answer = gateway.post(body.to_string()).await.json();
    assert_eq!(answer["data"], 1, "{answer}");
    cluster.put_at("users-a", &["127.0.0.1"], one.address().port());
    cluster.refuse(None);
    until_called(&gateway, 1).await;
}

#[tokio::test]
async fn a_reload_keeps_the_source_of_a_service_that_stays() {
    let (one, two) = (instance(1).await, instance(2).await);
    let cluster = Cluster::new();
    cluster.put_at("users-a", &["127.0.0.1"], one.address().port());
    let (_server, address) = ScriptServer::tcp(0, Arc::clone(&cluster) as _).await;
    let variables = in_cluster(address);
    let gateway = variables.start().await;
    assert_eq!(called(&gateway).await, Some(1));
    cluster.watched().await;

    let more = variables
        .clone()
        .set("MCP_SERVICES", "users,orders")
        .set("MCP_SERVICE_ORDERS_ENDPOINT", two.url())
        .set("MCP_SERVICE_ORDERS_AUTH_TYPE", "none");
    let reloaded = gateway.reload(&more);
    assert_eq!(reloaded.unchanged, ["users"]);
    assert_eq!(called(&gateway).await, Some(1));
    assert_eq!(cluster.asked().len(), 2);

    // Other settings are another source, and what the old one watched is over.
    let moved = more.set("MCP_SERVICE_USERS_KUBERNETES_PORT", one.address().port());
    let reloaded = gateway.reload(&moved);
    assert_eq!(reloaded.changed, ["users"]);
    assert_eq!(called(&gateway).await, Some(1));
    assert_eq!(cluster.lists().len(), 2);
}

#[tokio::test]
async fn the_last_good_endpoints_outlive_a_change_of_settings() {
    let one = instance(1).await;
    let cluster = Cluster::new();
    cluster.put_at("users-a", &["127.0.0.1"], one.address().port());
    let (server, address) = ScriptServer::tcp(0, cluster.clone()).await;
    let variables = in_cluster(address);
    let gateway = variables.start().await;
    assert_eq!(called(&gateway).await, Some(1));
    gateway.until_metric(STALE, "users", 0).await;
    server.kill().await;
    gateway.until_metric(STALE, "users", 1).await;
    let reloaded = gateway.reload(&variables.set("MCP_SERVICE_USERS_TIMEOUT", 7_000));
    assert_eq!(reloaded.changed, ["users"]);
    assert_eq!(called(&gateway).await, Some(1));
}
