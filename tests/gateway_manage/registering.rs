//! How instances come, and which do not.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Place, detail, register};

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
