//! `GET /mcp/{template}/health`: how instances are now.

use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Variables, until};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::server::{Registry, call, count, modern, plain};

#[tokio::test]
async fn counts_are_those_after_the_probes() {
    let (one, other) = (plain("one").await, plain("other").await);
    let dead = format!("http://{}", Upstream::nobody());
    let instances = [
        ("fs-1", &*one.url()),
        ("fs-2", &*other.url()),
        ("fs-3", &*dead),
    ];
    let gateway = Registry::of(&instances).start().await;
    let answer = gateway.get("/mcp/t/health").await;
    assert_eq!(answer.status, StatusCode::OK);
    let mut json = answer.json();
    for id in ["fs-1", "fs-2", "fs-3"] {
        let instance = json["instances"][id].as_object_mut().unwrap();
        let last = instance.remove("last_health_check").unwrap();
        assert!(last.as_str().unwrap().ends_with('Z'), "{last}");
    }
    assert!(
        json["instances"]["fs-3"]["consecutive_failures"]
            .as_u64()
            .unwrap()
            >= 1
    );
    json["instances"]["fs-3"]["consecutive_failures"] = json!(1);
    let instance = |healthy: bool, url: &str| {
        json!({
            "healthy": healthy,
            "status": if healthy { "healthy" } else { "unhealthy" },
            "endpoint": url,
            "transport": "http",
            "consecutive_failures": u32::from(!healthy)
        })
    };
    let expected = json!({
        "template_name": "t",
        "total_instances": 3,
        "healthy_instances": 2,
        "health_percentage": 66.7,
        "instances": {
            "fs-1": instance(true, &one.url()),
            "fs-2": instance(true, &other.url()),
            "fs-3": instance(false, &dead)
        }
    });
    assert_eq!(json, expected);
}

#[tokio::test]
async fn whoever_asks_at_the_same_time_has_the_same_probes() {
    let server = plain("s").await;
    let gateway = Registry::of(&[("one", &server.url())]).start().await;
    let asking = (0..20).map(|_| gateway.get("/mcp/t/health"));
    for answer in join_all(asking).await {
        assert_eq!(answer.json()["healthy_instances"], 1);
    }
    for _ in 0..5 {
        gateway.get("/mcp/t/health").await;
    }
    // One because somebody asked, and perhaps one because it was time.
    assert!(count(&server, "ping") <= 2, "{}", count(&server, "ping"));
}

#[tokio::test]
async fn nobody_waits_much_longer_than_for_one_probe() {
    let silent = modern("silent", |_, method| (method == "ping").then(Reply::hang)).await;
    let well = plain("well").await;
    let instances = [("silent", &*silent.url()), ("well", &*well.url())];
    let registry = Registry::of(&instances);
    let gateway = registry
        .variables()
        .set("MCP_SERVICE_T_HEALTH_TIMEOUT", 400)
        .start()
        .await;
    let clock = Clock::counter();
    let start = clock.now();
    let json = gateway.get("/mcp/t/health").await.json();
    assert!(
        clock.now() - start < Duration::from_secs(3),
        "{:?}",
        clock.now() - start
    );
    assert_eq!(json["healthy_instances"], 1, "{json}");
    assert_eq!(json["instances"]["silent"]["status"], "unhealthy");
}

/// Lesson 4: a probe goes past the circuit, so that who is well again is seen to be.
#[tokio::test]
async fn d4_an_open_circuit_keeps_nobody_from_looking() {
    let server = modern("s", |_, method| {
        (method == "tools/call").then(|| Reply::status(500))
    })
    .await;
    let registry = Registry::of(&[("one", &server.url())]);
    let gateway = registry
        .variables()
        .set("MCP_SERVICE_T_CB_FAILURE_THRESHOLD", 1)
        .set("MCP_SERVICE_T_CB_RECOVERY_TIMEOUT", 600_000)
        .start()
        .await;
    until("the circuit to open", async || {
        call(&gateway).await.status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let refused = call(&gateway).await;
    assert!(refused.header("retry-after").is_some());
    let json = gateway.get("/mcp/t/health").await.json();
    // D5: it does not know `ping`, and says so, which is a sign of life.
    assert_eq!(
        json["instances"]["one"]["consecutive_failures"], 0,
        "{json}"
    );
    assert!(json["instances"]["one"]["last_health_check"].is_string());
}

#[tokio::test]
async fn an_instance_that_nobody_probes_is_known_by_its_calls() {
    let server = plain("s").await;
    let gateway = Variables::default()
        .set("MCP_SERVICES", "t")
        .set("MCP_SERVICE_T_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_T_ENDPOINT", server.url())
        .start()
        .await;
    let json = gateway.get("/mcp/t/health").await.json();
    let id = server.url();
    assert_eq!(json["instances"][&id]["status"], "unknown", "{json}");
    call(&gateway).await;
    let json = gateway.get("/mcp/t/health").await.json();
    assert_eq!(json["instances"][&id]["status"], "healthy", "{json}");
    assert_eq!(json["instances"][&id]["last_health_check"], json!(null));
    assert_eq!(count(&server, "ping"), 0);
}
