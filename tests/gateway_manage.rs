//! `/gateway/*` over real sockets: every endpoint, field, status and text of the document, and
//! the faults of the original that must not come back.

use std::{path::PathBuf, sync::Arc};

use bartizan_gateway::Gateway;
use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a `registry.json`.
struct Place {
    _directory: TempDir,
    path: PathBuf,
}

impl Place {
    fn new(content: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.json");
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        Self {
            _directory: directory,
            path,
        }
    }

    fn variables(&self) -> Variables {
        Variables::default()
            .set("MCP_GATEWAY_REGISTRY_FILE", self.path.display())
            .set("MCP_GATEWAY_HEALTH_INTERVAL", 1)
    }

    async fn start(&self) -> Running {
        self.variables().start().await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

async fn register(gateway: &Running, body: &Value) -> Answer {
    gateway.post_to("/gateway/register", body.to_string()).await
}

fn detail(answer: &Answer) -> String {
    let json = answer.json();
    let detail = json["detail"].as_str();
    detail.unwrap_or_else(|| panic!("{json}")).to_owned()
}

/// A server that answers whatever it is asked.
async fn backend() -> Upstream {
    Upstream::start_with(|_| Reply::json(r#"{"jsonrpc":"2.0","id":"bartizan-probe","result":{}}"#))
        .await
}

#[tokio::test]
async fn an_instance_is_registered_listed_and_taken_out() {
    let place = Place::new(None);
    let gateway = place.start().await;
    let body = json!({
        "template_name": "demo",
        "instance": {"id": "demo-1", "endpoint": "http://127.0.0.1:1", "metadata": {"weight": 3}},
    });
    let answer = register(&gateway, &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let registered = answer.json();
    assert_eq!(
        registered,
        json!({
            "success": true,
            "message": "Registered instance demo-1 for template demo",
            "instance_id": "demo-1",
            "template_name": "demo",
            "replaced": false,
            "ttl": null,
            "warnings": [],
        })
    );
    let written = place.json();
    assert_eq!(written["templates"]["demo"]["instances"][0]["id"], "demo-1");
    let again = register(&gateway, &body).await.json();
    assert_eq!(again["replaced"], true);

    let listed = gateway.get("/gateway/registry").await.json();
    let template = &listed["templates"]["demo"];
    assert_eq!(template["instances"].as_array().unwrap().len(), 1);
    assert_eq!(template["instances"][0]["metadata"], json!({"weight": 3}));
    assert_eq!(template["load_balancer"]["strategy"], "round_robin");
    assert_eq!(listed["stats"]["total_instances"], 1);

    let answer = gateway.delete("/gateway/deregister/demo/demo-1").await;
    assert_eq!(answer.status, StatusCode::OK);
    let message = &answer.json()["message"];
    assert_eq!(message, "Deregistered instance demo-1 from template demo");
    let gone = gateway.delete("/gateway/deregister/demo/demo-1").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(gone.json(), json!({"detail": "Instance not found"}));
    // A template goes with its last instance.
    let listed = gateway.get("/gateway/registry").await.json();
    assert_eq!(listed["templates"], json!({}));
    assert_eq!(place.json()["templates"], json!({}));
}

#[tokio::test]
async fn an_instance_without_an_id_is_called_after_template_and_time() {
    let place = Place::new(None);
    let gateway = place.start().await;
    let mut ids = Vec::new();
    for port in 1..=3 {
        let endpoint = format!("http://127.0.0.1:{port}");
        let body = json!({"template_name": "demo", "instance": {"endpoint": endpoint}});
        let answer = register(&gateway, &body).await.json();
        ids.push(answer["instance_id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        let second = id.strip_prefix("demo-").unwrap();
        assert!(second.parse::<u64>().unwrap() > 1_700_000_000, "{id}");
    }
    let listed = gateway.get("/gateway/registry").await.json();
    assert_eq!(listed["stats"]["total_instances"], 3, "{ids:?}");
}

#[tokio::test]
async fn two_gateways_with_one_file_give_no_name_twice() {
    let place = Place::new(None);
    let gateways = [place.start().await, place.start().await];
    for port in 1..=3 {
        for gateway in &gateways {
            let endpoint = format!("http://127.0.0.1:{port}");
            let body = json!({"template_name": "demo", "instance": {"endpoint": endpoint}});
            let answer = register(gateway, &body).await.json();
            assert_eq!(answer["replaced"], false, "{answer}");
        }
    }
    let instances = &place.json()["templates"]["demo"]["instances"];
    assert_eq!(instances.as_array().unwrap().len(), 6, "{instances}");
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_said_and_changes_nothing() {
    let place = Place::new(None);
    let gateway = place.start().await;
    let long = "x".repeat(129);
    for (body, part) in [
        (
            json!({"template_name": "t", "instance": {}}),
            "no `endpoint`",
        ),
        (
            json!({"template_name": "t", "instance": {"endpoint": "nonsense"}}),
            "`endpoint`",
        ),
        (
            json!({"template_name": "t", "instance": {"endpoint": "http://u:p@127.0.0.1"}}),
            "user name or password",
        ),
        (
            json!({"template_name": "t", "instance": {"endpoint": "ftp://127.0.0.1"}}),
            "http",
        ),
        (
            json!({"template_name": "t", "instance": {"endpoint": "http://169.254.169.254"}}),
            "link-local",
        ),
        (
            json!({"template_name": "t", "instance": {"endpoint": "http://[fe80::1]:80"}}),
            "link-local",
        ),
        (
            json!({"template_name": "t", "instance":
                {"endpoint": "http://127.0.0.1", "health_url": "http://169.254.169.254/x"}}),
            "health_url",
        ),
        (
            json!({"template_name": "t", "instance": {"endpoint": "http://127.0.0.1", "weight": 0}}),
            "weight",
        ),
        (
            json!({"template_name": "", "instance": {"endpoint": "http://127.0.0.1"}}),
            "cannot be the name of a template",
        ),
        (
            json!({"template_name": long, "instance": {"endpoint": "http://127.0.0.1"}}),
            "cannot be the name of a template",
        ),
        (
            json!({"template_name": "tools", "instance": {"endpoint": "http://127.0.0.1"}}),
            "the gateway's own",
        ),
        (
            json!({"template_name": "t", "instance": {"endpoint": "http://127.0.0.1"}, "ttl": 0}),
            "ttl must be a positive number",
        ),
        (json!({"template_name": "t", "instance": 7}), "an instance"),
        (
            json!({"template_name": "t", "instance": {"id": "a\nb", "endpoint": "http://127.0.0.1"}}),
            "no control characters",
        ),
        (
            json!({"template_name": "a\u{202e}b", "instance": {"endpoint": "http://127.0.0.1"}}),
            "turn the text around",
        ),
        (
            json!({"template_name": "t", "instance":
                {"endpoint": "http://127.0.0.1", "x": "x".repeat(70_000)}}),
            "more than 65536 bytes",
        ),
    ] {
        let answer = register(&gateway, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let detail = detail(&answer);
        assert!(detail.starts_with("Registration failed: "), "{detail}");
        assert!(detail.contains(part), "{body}: {detail}");
    }
    assert!(!place.path.exists());
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_answered_with_places() {
    let gateway = Place::new(None).start().await;
    let faults = async |body: &str| {
        let answer = gateway.post_to("/gateway/register", body.to_owned()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        answer.json()["detail"].clone()
    };
    let both = faults("{}").await;
    assert_eq!(
        both,
        json!([
            {"type": "missing", "loc": ["body", "template_name"], "msg": "Field required", "input": null},
            {"type": "missing", "loc": ["body", "instance"], "msg": "Field required", "input": null},
        ])
    );
    assert_eq!(faults("").await[0]["type"], "missing");
    assert_eq!(faults("{").await[0]["type"], "json_invalid");
    assert_eq!(faults("[1]").await[0]["type"], "dict_type");
    let wrong = faults(r#"{"template_name": 7, "instance": {}}"#).await;
    assert_eq!(wrong[0]["type"], "value_error");
    let answer = gateway.get("/gateway/register").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
}

#[tokio::test]
async fn a_program_needs_an_operator_and_an_allowed_command() {
    let place = Place::new(None);
    let program = |command: Value, env: Value| json!({"template_name": "t", "instance": {"id": "p", "command": command, "env_vars": env}});
    let allowed = program(json!(["demo-server", "--any", "thing"]), json!({}));
    let closed = place.start().await;
    let answer = register(&closed, &allowed).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(detail(&answer).contains("MCP_GATEWAY_ADMIN_KEYS is not set"));

    let variables = place.variables();
    let gateway = variables
        .set("MCP_GATEWAY_API_KEYS", "key-of-an-ordinary-caller-00001")
        .set("MCP_GATEWAY_ADMIN_KEYS", "key-of-an-operator-000000000001")
        .set("MCP_GATEWAY_ALLOWED_COMMANDS", "demo-server")
        .start()
        .await;
    let send = async |body: &Value, headers: &[(&str, &str)]| {
        let body = body.to_string();
        let request = gateway.request(Method::POST, "/gateway/register", headers, body);
        gateway.send(request).await
    };
    let nobody = send(&allowed, &[]).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(detail(&nobody).starts_with("authentication required"));
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    let ordinary = [("x-api-key", "key-of-an-ordinary-caller-00001")];
    let answer = send(&allowed, &ordinary).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(detail(&answer).contains("only with one of MCP_GATEWAY_ADMIN_KEYS"));

    let operator = [("authorization", "Bearer key-of-an-operator-000000000001")];
    for command in [
        json!(["sh", "-c", "true"]),
        json!("/tmp/demo-server --x"),
        json!("./demo-server"),
    ] {
        let answer = send(&program(command.clone(), json!({})), &operator).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{command}");
        assert!(detail(&answer).contains("MCP_GATEWAY_ALLOWED_COMMANDS"));
    }
    for name in ["LD_PRELOAD", "PATH", "NODE_OPTIONS", "PYTHONPATH"] {
        let body = program(json!(["demo-server"]), json!({name: "/tmp/x"}));
        let answer = send(&body, &operator).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        assert!(detail(&answer).contains(name));
    }
    let body = program(json!("demo-server --port 1"), json!({"TOKEN": "hunter2"}));
    let answer = send(&body, &operator).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    let request = gateway.request(Method::GET, "/gateway/registry", &ordinary, "");
    let listed = gateway.send(request).await.json();
    let instance = &listed["templates"]["t"]["instances"][0];
    assert_eq!(instance["env_vars"], json!({"TOKEN": "[redacted]"}));
    assert_eq!(instance["command"], "demo-server --port 1");
    assert!(!listed.to_string().contains("hunter2"));
    assert!(place.text().contains("hunter2"));
}

#[tokio::test]
async fn an_instance_with_a_ttl_stays_while_it_is_heard_of() {
    let place = Place::new(None);
    let gateway = place.start().await;
    let body = json!({
        "template_name": "demo",
        "instance": {"id": "a", "endpoint": "http://127.0.0.1:1"},
        "ttl": 0.5,
    });
    let answer = register(&gateway, &body).await.json();
    assert_eq!(answer["ttl"], 0.5);
    let beat = gateway.post_to("/gateway/heartbeat/demo/a", "").await;
    assert_eq!(beat.status, StatusCode::NO_CONTENT);
    assert_eq!(beat.header("x-instance-ttl"), Some("0.5"));
    // Kept in memory, since nobody would take it out of the file.
    assert!(!place.path.exists());
    gateway
        .until("/gateway/stats", |stats| {
            stats["registry"]["total_instances"] == 0
        })
        .await;
    let late = gateway.post_to("/gateway/heartbeat/demo/a", "").await;
    assert_eq!(late.status, StatusCode::NOT_FOUND);
    assert_eq!(detail(&late), "Instance not found");
}

#[tokio::test]
async fn an_instance_may_change_between_for_good_and_for_a_while() {
    let place = Place::new(None);
    let gateway = place.start().await;
    let body = |ttl: Value| {
        json!({"template_name": "demo", "ttl": ttl,
            "instance": {"id": "a", "endpoint": "http://127.0.0.1:1"}})
    };
    let is_written = || place.text().contains("127.0.0.1:1");
    register(&gateway, &body(Value::Null)).await;
    assert!(is_written());
    let beat = gateway.post_to("/gateway/heartbeat/demo/a", "").await;
    assert_eq!(
        (beat.status, beat.header("x-instance-ttl")),
        (StatusCode::NO_CONTENT, None)
    );
    let replaced = register(&gateway, &body(json!(60))).await.json();
    assert_eq!(replaced["replaced"], true);
    assert!(!is_written());
    let beat = gateway.post_to("/gateway/heartbeat/demo/a", "").await;
    assert_eq!(beat.header("x-instance-ttl"), Some("60"));
    let replaced = register(&gateway, &body(Value::Null)).await.json();
    assert_eq!(replaced["replaced"], true);
    assert!(is_written());
    let listed = gateway.get("/gateway/registry").await.json();
    assert_eq!(listed["stats"]["total_instances"], 1);

    // A broken file is not written to, and nothing is kept beside it.
    std::fs::write(&place.path, place.text().replace(':', "")).unwrap();
    let refused = register(&gateway, &body(json!(60))).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    let listed = gateway.get("/gateway/registry").await.json();
    assert_eq!(listed["stats"]["total_instances"], 1);
    assert_eq!(listed["stats"]["sources"][1]["instances"], 0);
}

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
async fn fault_9_statistics_register_and_deregister_work() {
    let gateway = Place::new(None).start().await;
    assert_eq!(gateway.get("/gateway/stats").await.status, StatusCode::OK);
    let body =
        json!({"template_name": "t", "instance": {"id": "i", "endpoint": "http://127.0.0.1:1"}});
    assert_eq!(register(&gateway, &body).await.status, StatusCode::OK);
    let answer = gateway.delete("/gateway/deregister/t/i").await;
    assert_eq!(answer.status, StatusCode::OK);
}

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
