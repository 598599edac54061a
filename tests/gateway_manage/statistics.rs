//! What the gateway says of itself.

use bartizan_mcp_fixture::{Eras, HttpFixture};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Place, backend, register};

#[tokio::test]
async fn statistics_have_every_documented_field() {
    let backend = backend().await;
    let registry = json!({"templates": {"demo": {
        "instances": [{"id": "demo-1", "endpoint": backend.url()}],
        "load_balancer": {"strategy": "weighted", "health_check_interval": 5, "max_retries": 2, "pool_size": 4, "timeout": 30},
    }}});
    let place = Place::new(Some(&registry.to_string()));
    let gateway = place.start().await;
    // The original's checks never ran.
    let checked = |stats: &Value| stats["health_checker"]["total_checks"] != 0;
    let stats = gateway.until("/gateway/stats", checked).await;
    assert!(stats["gateway"]["uptime_seconds"].is_f64());
    for (place, fields) in [
        (
            "gateway",
            &[
                "uptime_seconds",
                "total_requests",
                "request_timeout",
                "max_retries",
            ][..],
        ),
        (
            "registry",
            &[
                "total_templates",
                "total_instances",
                "healthy_instances",
                "unhealthy_instances",
                "templates",
                "sources",
            ],
        ),
        (
            "health_checker",
            &[
                "running",
                "check_interval",
                "timeout",
                "max_concurrent_checks",
                "total_checks",
                "successful_checks",
                "failed_checks",
                "success_rate_percent",
                "last_check_time",
                "uptime_seconds",
            ],
        ),
        (
            "load_balancer",
            &[
                "default_strategy",
                "available_strategies",
                "total_requests",
                "requests_per_instance",
                "strategy_stats",
            ],
        ),
    ] {
        for field in fields {
            assert!(!stats[place][field].is_null(), "{place}.{field}: {stats}");
        }
    }
    assert_eq!(stats["gateway"]["request_timeout"], 60.0);
    assert_eq!(stats["gateway"]["max_retries"], 3);
    assert_eq!(stats["health_checker"]["running"], true);
    assert_eq!(stats["health_checker"]["success_rate_percent"], 100.0);
    assert_eq!(stats["health_checker"]["max_concurrent_checks"], 10);
    let template = &stats["registry"]["templates"]["demo"];
    assert_eq!(template["load_balancer_strategy"], "weighted");
    assert_eq!(template["total_instances"], 1);
    assert_eq!(stats["load_balancer"]["default_strategy"], "round_robin");
    assert_eq!(stats["load_balancer"]["requests_per_instance"]["demo-1"], 0);
    let random = &stats["load_balancer"]["strategy_stats"]["random"];
    assert_eq!(
        (&random["name"], &random["type"]),
        (&json!("random"), &json!("RandomStrategy"))
    );

    let health = gateway.get("/gateway/health").await.json();
    assert_eq!(health["status"], "healthy");
    for field in [
        "uptime_seconds",
        "total_requests",
        "registry_stats",
        "health_checker_stats",
        "load_balancer_stats",
    ] {
        assert!(!health[field].is_null(), "{field}");
    }
    let listed = gateway.get("/gateway/registry").await.json();
    let balancing = &listed["templates"]["demo"]["load_balancer"];
    assert_eq!(
        *balancing,
        json!({"strategy": "weighted", "health_check_interval": 5.0, "max_retries": 2, "pool_size": 4, "timeout": 30.0})
    );
    let instance = &listed["templates"]["demo"]["instances"][0];
    assert!(
        instance["last_health_check"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    assert_eq!(instance["consecutive_failures"], 0);
}

#[tokio::test]
async fn fault_6_background_checks_run_and_a_new_instance_is_routable_at_once() {
    let backend = backend().await;
    let gateway = Place::new(None).start().await;
    let body = json!({"template_name": "demo", "instance": {"id": "a", "endpoint": backend.url()}});
    register(&gateway, &body).await;
    // Nobody has looked at it yet, and it is no worse for that.
    let stats = gateway.get("/gateway/stats").await.json();
    assert_eq!(stats["registry"]["healthy_instances"], 1);
    let fixture = HttpFixture::bind(0, Eras::Both).await.unwrap();
    let body =
        json!({"template_name": "fixture", "instance": {"id": "f", "endpoint": fixture.url()}});
    tokio::spawn(fixture.serve());
    register(&gateway, &body).await;
    let call = async || {
        gateway
            .post_to("/tools/fixture.test_simple_text", "{}")
            .await
    };
    assert_eq!(call().await.status, StatusCode::OK);
    let listed = gateway.get("/gateway/registry").await.json();
    let live = &listed["templates"]["fixture"]["instances"][0]["live"];
    assert!(live["requests"].as_u64().unwrap() > 0, "{live}");
    gateway.delete("/gateway/deregister/fixture/f").await;
    assert_eq!(call().await.status, StatusCode::NOT_FOUND);
    let health = |json: &Value| json["templates"]["demo"]["instances"][0]["status"].clone();
    gateway
        .until("/gateway/registry", |json| health(json) == "healthy")
        .await;
}

#[tokio::test]
async fn fault_9_statistics_register_and_deregister_work() {
    let gateway = Place::new(None).start().await;
    assert_eq!(gateway.get("/gateway/stats").await.status, StatusCode::OK);
    let body =
        json!({"template_name": "t", "instance": {"id": "i", "endpoint": "http://127.0.0.1:1"}});
    assert_eq!(register(&gateway, &body).await.status, StatusCode::OK);
    let answer = gateway.delete("/gateway/deregister/t/i").await;
    assert_eq!(answer.status, StatusCode::OK);
}
