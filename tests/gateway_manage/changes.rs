//! Looks and reloads that are asked for, and who may ask.

use std::sync::Arc;

use bartizan_gateway::Gateway;
use bartizan_tests::{Running, Variables};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::Place;

#[tokio::test]
async fn sync_says_what_came_and_went() {
    let place = Place::new(Some(
        r#"{"templates":{"t":{"instances":[{"id":"a","endpoint":"http://127.0.0.1:1"}]}}}"#,
    ));
    let gateway = place.variables().set("POLL_INTERVAL", 3600).start().await;
    let same = gateway.post_to("/gateway/sync", "").await.json();
    let totals = json!({"templates": 1, "instances": 1, "healthy_instances": 1});
    assert_eq!(
        same,
        json!({"before": totals, "after": totals, "added": [], "removed": []})
    );
    std::fs::write(
        &place.path,
        r#"{"templates":{"u":{"instances":[{"id":"b","endpoint":"http://127.0.0.1:1"}]}}}"#,
    )
    .unwrap();
    gateway.post_to("/gateway/sync", "").await;
    let listed = gateway.get("/gateway/registry").await.json();
    assert_eq!(listed["templates"]["u"]["instances"][0]["id"], "b");
    assert_eq!(listed["templates"]["t"], Value::Null);
}

#[tokio::test]
async fn a_page_of_a_browser_that_is_not_ours_changes_nothing() {
    let place = Place::new(None);
    let gateway = place.start().await;
    let body = r#"{"template_name":"t","instance":{"endpoint":"http://127.0.0.1:1"}}"#;
    for (header, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        for (method, path) in [
            (Method::POST, "/gateway/register"),
            (Method::DELETE, "/gateway/deregister/t/i"),
            (Method::POST, "/gateway/heartbeat/t/i"),
            (Method::POST, "/gateway/sync"),
            (Method::POST, "/gateway/reload"),
        ] {
            let request = gateway.request(method, path, &[(header, value)], body);
            let answer = gateway.send(request).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{header} {path}");
        }
    }
    assert!(!place.path.exists());
    let ours = format!("http://{}", gateway.address);
    let request = gateway.request(
        Method::POST,
        "/gateway/register",
        &[("origin", &ours)],
        body,
    );
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn reload_does_what_the_signal_does_or_nothing() {
    let variables = Variables::user_service("http://127.0.0.1:1");
    let source = Arc::new(Mutex::new(variables.clone()));
    let read = {
        let source = Arc::clone(&source);
        move || source.lock().parse()
    };
    let gateway = Gateway::new(&variables.configuration()).unwrap();
    let gateway = Running::serve(gateway.configured_by(read));
    let reload = async || gateway.post_to("/gateway/reload", "").await;
    let answer = reload().await;
    assert_eq!(answer.status, StatusCode::OK);
    let json = answer.json();
    assert_eq!(
        (&json["success"], &json["unchanged"]),
        (&json!(true), &json!(["user-service"]))
    );
    for field in ["added", "removed", "changed", "moved", "needs_restart"] {
        assert_eq!(json[field], json!([]), "{field}");
    }

    *source.lock() = variables
        .clone()
        .user("TIMEOUT", "never")
        .user("ENDPOINT", "nowhere");
    let answer = reload().await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let faults = answer.json()["detail"].as_array().unwrap().clone();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0]["type"], "configuration_error");
    let services = gateway.get("/mcp/services").await.json();
    assert_eq!(services["services"][0]["endpoint"], "http://127.0.0.1:1");

    *source.lock() = variables.clone().user("ENDPOINT", "http://127.0.0.1:2");
    let answer = reload().await.json();
    assert_eq!(
        (&answer["moved"], &answer["unchanged"]),
        (&json!(["user-service"]), &json!([]))
    );

    *source.lock() = variables.clone().user("TIMEOUT", 1234);
    assert_eq!(reload().await.json()["changed"], json!(["user-service"]));
    let unsaid = variables.start().await;
    let answer = unsaid.post_to("/gateway/reload", "").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}
