//! What is kept in files, and who writes them.

use bartizan_tests::Variables;
use http::StatusCode;
use serde_json::json;

use crate::{Place, detail, register};

#[tokio::test]
async fn fault_8_a_documented_registry_loads_and_a_broken_one_is_never_overwritten() {
    let documented = r#"{
      "templates": {
        "filesystem": {
          "instances": [
            {"id": "fs-1", "endpoint": "http://127.0.0.1:1", "is_healthy": true, "n": 1.10}
          ]
        }
      }
    }"#;
    let place = Place::new(Some(documented));
    let gateway = place.start().await;
    let listed = gateway.get("/gateway/registry").await.json();
    let instance = &listed["templates"]["filesystem"]["instances"][0];
    assert_eq!(instance["is_healthy"], true);
    let warnings = &listed["stats"]["sources"][0]["warnings"];
    assert!(
        warnings[0].as_str().unwrap().contains("is_healthy"),
        "{warnings}"
    );

    let body = json!({
        "template_name": "filesystem",
        "instance": {"id": "fs-2", "endpoint": "http://127.0.0.1:2", "mine": [1]},
    });
    let answer = register(&gateway, &body).await.json();
    assert!(answer["warnings"][0].as_str().unwrap().contains("mine"));
    let text = place.text();
    assert!(text.contains(r#""is_healthy": true, "n": 1.10"#), "{text}");
    assert!(text.contains(r#""mine": [1]"#), "{text}");

    let broken = text.replace("\"fs-1\",", "\"fs-1\"");
    std::fs::write(&place.path, &broken).unwrap();
    let synced = gateway.post_to("/gateway/sync", "").await;
    assert_eq!(synced.status, StatusCode::INTERNAL_SERVER_ERROR);
    let why = detail(&synced);
    assert!(why.contains("line 5") && why.contains("column"), "{why}");
    let refused = register(&gateway, &body).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(detail(&refused).contains("line 5"));
    let refused = gateway.delete("/gateway/deregister/filesystem/fs-1").await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(place.text(), broken);
    // What it said before stands, and is said to be old.
    let listed = gateway.get("/gateway/registry").await.json();
    assert_eq!(listed["stats"]["total_instances"], 2);
    let source = &listed["stats"]["sources"][0];
    assert_eq!(
        (&source["stale"], &source["path"]),
        (&json!(true), &json!(place.path))
    );
    assert!(source["error"].as_str().unwrap().contains("line 5"));
    assert_eq!(
        gateway.get("/gateway/health").await.json()["status"],
        "degraded"
    );
}

#[tokio::test]
async fn what_the_gateway_does_not_write_it_does_not_change() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = directory.path().join("registry.yaml");
    let text =
        "version: \"1.0\"\nservers:\n  - namespace: manifest\n    name: 127.0.0.1\n    port: 1\n";
    std::fs::write(&yaml, text).unwrap();
    let json = directory.path().join("registry.json");
    let gateway = Variables::default()
        .set("REGISTRY_PATH", yaml.display())
        .set("MCP_GATEWAY_REGISTRY_FILE", json.display())
        .start()
        .await;
    let listed = gateway.get("/gateway/registry").await.json();
    let id = listed["templates"]["manifest"]["instances"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/gateway/deregister/manifest/{}", id.replace('/', "%2F"));
    let answer = gateway.delete(&path).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(
        detail(&answer).contains("registry.yaml"),
        "{}",
        detail(&answer)
    );
    let body = json!({"template_name": "manifest", "instance": {"id": "x", "endpoint": "http://127.0.0.1:2"}});
    let answer = register(&gateway, &body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        detail(&answer).contains("is listed in"),
        "{}",
        detail(&answer)
    );
    let body = json!({"template_name": "manifest", "ttl": 60,
        "instance": {"id": "x", "endpoint": "http://127.0.0.1:2"}});
    assert_eq!(register(&gateway, &body).await.status, StatusCode::OK);
    let stats = gateway.get("/gateway/stats").await.json();
    assert_eq!(
        stats["registry"]["templates"]["manifest"]["total_instances"],
        2
    );
    assert_eq!(std::fs::read_to_string(&yaml).unwrap(), text);
    assert!(!json.exists());
}

#[tokio::test]
async fn who_is_deregistered_is_gone_from_memory_and_file() {
    let place = Place::new(Some(r#"{"templates": {}}"#));
    let gateway = place.start().await;
    let instance = json!({ "id": "one", "endpoint": "http://127.0.0.1:9" });
    let body = json!({ "template_name": "users", "instance": instance, "ttl": 60 });
    assert_eq!(register(&gateway, &body).await.status, StatusCode::OK);
    let listed = json!({ "templates": { "users": { "instances": [instance] } } });
    std::fs::write(&place.path, listed.to_string()).unwrap();
    gateway.post_to("/gateway/sync", "").await;
    let answer = gateway.delete("/gateway/deregister/users/one").await;
    assert_eq!(answer.status, StatusCode::OK);
    let registry = gateway.get("/gateway/registry").await.json();
    assert_eq!(registry["templates"], json!({}), "{registry}");
    assert!(!place.text().contains("127.0.0.1"), "{}", place.text());
}

/// As when two take it out at a time.
#[tokio::test]
async fn who_is_gone_from_the_file_since_it_was_read_is_not_found_and_gone() {
    let place = Place::new(None);
    let gateway = place.variables().set("POLL_INTERVAL", 86_400).start().await;
    let instance = json!({ "id": "one", "endpoint": "http://127.0.0.1:9" });
    let body = json!({ "template_name": "users", "instance": instance });
    assert_eq!(register(&gateway, &body).await.status, StatusCode::OK);
    std::fs::write(&place.path, r#"{"templates": {}}"#).unwrap();
    let answer = gateway.delete("/gateway/deregister/users/one").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
    assert_eq!(detail(&answer), "Instance not found");
    let registry = gateway.until("/gateway/registry", |it| it["templates"] == json!({}));
    registry.await;
}

#[tokio::test]
async fn a_registration_that_cannot_be_written_is_no_fault_of_the_caller() {
    let place = Place::new(None);
    let gateway = place.start().await;
    // What must be a file is none, which stops root as well.
    std::fs::create_dir(&place.path).unwrap();
    let body = json!({ "template_name": "t", "instance": { "endpoint": "http://127.0.0.1:1" } });
    let answer = register(&gateway, &body).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let detail = detail(&answer);
    assert!(detail.starts_with("Registration failed: "), "{detail}");
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_anew_by_a_registration() {
    let place = Place::new(None);
    let gateway = place.start().await;
    let body = |id: &str| {
        let instance = json!({ "id": id, "endpoint": "http://127.0.0.1:1" });
        json!({ "template_name": "t", "instance": instance })
    };
    // As long as there was none, the first instance makes it.
    assert_eq!(register(&gateway, &body("a")).await.status, StatusCode::OK);
    let text = place.text();
    std::fs::remove_file(&place.path).unwrap();
    for answer in [
        register(&gateway, &body("b")).await,
        gateway.delete("/gateway/deregister/t/a").await,
    ] {
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let detail = detail(&answer);
        assert!(detail.contains("was there and is gone"), "{detail}");
    }
    assert!(!place.path.exists());
    let listed = gateway.get("/gateway/registry").await.json();
    assert_eq!(listed["templates"]["t"]["instances"][0]["id"], "a");
    std::fs::write(&place.path, text).unwrap();
    assert_eq!(register(&gateway, &body("b")).await.status, StatusCode::OK);
    let listed = place.json()["templates"]["t"]["instances"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
}
