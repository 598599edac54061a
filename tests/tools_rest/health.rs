//! How backends are, and who gets no calls.

use bartizan_testkit::{Reply, Upstream};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{CALL, Place, detail, documented, gateway, manifest, status_is};

#[tokio::test]
async fn health_counts_backends_and_names_none() {
    let well = manifest().await;
    let sick = manifest().await;
    let more = format!(
        "  - namespace: n8n\n    name: 127.0.0.1\n    port: {}\n    tools:\n      - name: run\n",
        sick.address().port()
    );
    let place = Place::new(&documented(well.address().port(), &more));
    let key = "key-of-an-ordinary-caller-00001";
    let gateway = place
        .variables()
        .set("MCP_GATEWAY_API_KEYS", key)
        .start()
        .await;
    // No key is needed, as health checks of containers have none.
    let health = gateway.until("/health", status_is("healthy")).await;
    assert_eq!(
        health,
        json!({"status": "healthy", "backends_total": 2, "backends_healthy": 2,
            "backends_unhealthy": 0, "app": "MCP Gateway"})
    );
    assert_eq!(gateway.get("/tools").await.status, StatusCode::UNAUTHORIZED);
    assert!(detail(&gateway.post_to(CALL, "{}").await).starts_with("authentication required"));
    sick.kill().await;
    let health = gateway.until("/health", status_is("degraded")).await;
    assert_eq!(
        (&health["backends_healthy"], &health["backends_unhealthy"]),
        (&json!(1), &json!(1))
    );
    well.kill().await;
    gateway.until("/health", status_is("unhealthy")).await;
    let empty = Place::new("version: \"1.0\"\nservers: []\n");
    let gateway = empty.start().await;
    let health = gateway.get("/health").await;
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!(health.json()["status"], "unknown");
}

#[tokio::test]
async fn health_speaks_the_dialect_that_is_configured() {
    let backend = manifest().await;
    let place = Place::new(&documented(backend.address().port(), ""));
    let start = async |dialect: &str| place.variables().set("DIALECT", dialect).start().await;
    let only = start("000").await.get("/health").await.json();
    assert_eq!(
        only,
        json!({"status": "healthy", "backends_total": 1, "backends_healthy": 1, "backends_unhealthy": 0})
    );
    let only = start("004").await.get("/health").await.json();
    assert_eq!(only, json!({"status": "ok", "app": "MCP Gateway"}));
}

#[tokio::test]
async fn fault_12_health_is_kept_when_the_registry_is_polled() {
    let backend = manifest().await;
    backend.aside("/sick", Reply::status(503));
    let port = backend.address().port();
    let text = documented(port, "").replace(
        &format!("    port: {port}\n"),
        &format!("    port: {port}\n    health_url: http://127.0.0.1:{port}/sick\n"),
    );
    let place = Place::new(&text);
    let gateway = place.start().await;
    gateway.until("/health", status_is("unhealthy")).await;
    // A change elsewhere in the file, and several polls of it.
    std::fs::write(&place.path, format!("{text}      - name: another\n")).unwrap();
    let is_there = |list: &Value| list["tools"].as_array().unwrap().len() == 4;
    let list = gateway.until("/tools", is_there).await;
    assert_eq!(list["tools"][0]["health_status"], "unhealthy");
    for _ in 0..3 {
        gateway.post_to("/gateway/sync", "").await;
        assert_eq!(gateway.get("/health").await.json()["status"], "unhealthy");
        let answer = gateway.post_to(CALL, "{}").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(detail(&answer), "Backend server unhealthy: manifest");
    }
    let calls = backend.requests();
    assert!(!calls.iter().any(|request| request.method == Method::POST));
}

#[tokio::test]
async fn fault_12_the_health_url_is_asked() {
    let backend = manifest().await;
    // What is at the usual place says nothing where another is named.
    backend.aside("/own/health", Reply::status(503));
    let port = backend.address().port();
    let text = documented(port, "").replace(
        &format!("    port: {port}\n"),
        &format!("    port: {port}\n    health_url: http://127.0.0.1:{port}/own/health\n"),
    );
    let gateway = Place::new(&text).start().await;
    gateway.until("/health", status_is("unhealthy")).await;
}

#[tokio::test]
async fn fault_12_what_cannot_be_reached_gets_no_calls_until_it_is_back() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    gateway
        .until("/tools", |list| {
            list["tools"][0]["health_status"] == "healthy"
        })
        .await;
    let address = backend.kill().await;
    let list = gateway
        .until("/tools", |list| {
            list["tools"][0]["health_status"] == "unreachable"
        })
        .await;
    assert_eq!(list["tools"][0]["name"], "manifest.list_servers");
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    let back = Upstream::start_at(address, |_| Reply::json("{}")).await;
    gateway.until("/health", status_is("healthy")).await;
    assert_eq!(gateway.post_to(CALL, "{}").await.status, StatusCode::OK);
    drop(back);
}
