//! `/health`, `/tools` and `/tools/{namespace.tool}` over real sockets: every field, status and
//! text of the document, and the faults of the original that must not come back.

use std::{path::PathBuf, sync::Arc};

use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a `registry.yaml`.
struct Place {
    _directory: TempDir,
    path: PathBuf,
}

impl Place {
    fn new(content: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.yaml");
        std::fs::write(&path, content).unwrap();
        Self {
            _directory: directory,
            path,
        }
    }

    /// Probes are frequent, and one is enough to tell.
    fn variables(&self) -> Variables {
        let mut variables = Variables::default()
            .set("REGISTRY_PATH", self.path.display())
            .set("POLL_INTERVAL", 1)
            .set("HEALTH_CHECK_INTERVAL", 1);
        for name in ["MANIFEST", "N8N"] {
            for threshold in ["HEALTHY_THRESHOLD", "UNHEALTHY_THRESHOLD"] {
                variables = variables.set(&format!("MCP_SERVICE_{name}_{threshold}"), 1);
            }
        }
        variables
    }

    async fn start(&self) -> Running {
        self.variables().start().await
    }
}

/// A `registry.yaml` as the document shows it.
fn documented(port: u16, more: &str) -> String {
    format!(
        r#"
version: "1.0"

servers:
  - namespace: manifest
    name: 127.0.0.1
    docker_image: chora-mcp-manifest:latest
    port: {port}
    tools:
      - name: list_servers
        description: List all registered MCP servers
        inputSchema: {{"type": "object", "properties": {{"filter": {{"type": "string"}}}}}}
      - name: get_server
        description: Get details of a specific server
      - name: get.dotted
{more}"#
    )
}

/// A server with the documented tools and a health of its own.
async fn manifest() -> Upstream {
    let backend = Upstream::start_with(|_| {
        Reply::json(r#"{"servers": [{"namespace": "n8n", "port": 8082, "n": 1.10}]}"#)
    })
    .await;
    backend.aside("/health", Reply::json("{}"));
    backend.aside("/api/definition", Reply::status(404));
    backend
}

async fn gateway(backend: &Upstream) -> (Place, Running) {
    let place = Place::new(&documented(backend.address().port(), ""));
    let gateway = place.start().await;
    (place, gateway)
}

fn detail(answer: &Answer) -> String {
    let json = answer.json();
    let detail = json["detail"].as_str();
    detail.unwrap_or_else(|| panic!("{json}")).to_owned()
}

fn status_is(status: &'static str) -> impl Fn(&Value) -> bool {
    move |health| health["status"] == status
}

const CALL: &str = "/tools/manifest.list_servers";

#[tokio::test]
async fn the_documented_call_reaches_the_backend_and_its_answer_the_caller() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    let body = "{\n  \"filter\": \"namespace:n8n\", \"n\": 1.10\n}";
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "of-the-caller"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("authorization", "Bearer of-the-caller"),
        ("cookie", "session=of-the-caller"),
    ];
    let request = gateway.request(Method::POST, CALL, &headers, body);
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-request-id"), Some("of-the-caller"));
    let expected = r#"{"servers": [{"namespace": "n8n", "port": 8082, "n": 1.10}]}"#;
    assert_eq!(answer.body, expected);

    let requests = backend.requests();
    let request = &requests[0];
    assert_eq!(
        (&request.method, request.uri.path()),
        (&Method::POST, "/tools/list_servers")
    );
    assert_eq!(request.body, body);
    assert_eq!(request.header("x-request-id"), Some("of-the-caller"));
    let trace = request.header("traceparent").unwrap();
    assert!(
        trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
        "{trace}"
    );
    for absent in ["authorization", "cookie"] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn a_call_without_arguments_has_none() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for body in ["", "  ", "null", "{}"] {
        let answer = gateway.post_to(CALL, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{body:?}");
    }
    let requests = backend.requests();
    let calls = requests.iter().filter(|it| it.method == Method::POST);
    assert!(calls.clone().all(|request| request.body == "{}"));
    assert_eq!(calls.count(), 4);
}

#[tokio::test]
async fn a_name_is_split_at_its_first_dot() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    let answer = gateway.post_to("/tools/manifest.get.dotted", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(backend.requests()[0].uri.path(), "/tools/get.dotted");
}

#[tokio::test]
async fn a_listed_name_may_be_any() {
    let backend = manifest().await;
    let port = backend.address().port();
    let tools = "[{name: with space}, {name: 'get:item'}, {name: 'a?b'}]";
    let registry =
        format!("servers:\n- {{namespace: a, name: 127.0.0.1, port: {port}, tools: {tools}}}\n");
    let gateway = Place::new(&registry).start().await;
    for (name, path) in [
        ("with space", "/tools/with%20space"),
        ("get:item", "/tools/get:item"),
        ("a?b", "/tools/a%3Fb"),
    ] {
        let segment = name.replace(' ', "%20").replace('?', "%3F");
        let answer = gateway.post_to(&format!("/tools/a.{segment}"), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let body = json!({"name": name}).to_string();
        let answer = gateway.post_to("/mcp/a/tools/call", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let requests = backend.requests();
        let calls = requests.iter().filter(|it| it.uri.path() == path);
        assert_eq!(calls.count(), 2, "{name}");
    }
    let unlisted = gateway.post_to("/tools/a.an%20other", "").await;
    assert_eq!(unlisted.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tool_whose_name_is_that_of_another_is_not_listed() {
    let [shorter, longer] = [manifest().await, manifest().await];
    let server = |namespace: &str, at: &Upstream, tools: &str| {
        let port = at.address().port();
        format!("- {{namespace: {namespace}, name: 127.0.0.1, port: {port}, tools: [{tools}]}}\n")
    };
    let registry = format!(
        "servers:\n{}{}",
        server("a", &shorter, "{name: b.c}, {name: b}, {name: b.d}"),
        server("a.b", &longer, "{name: c}")
    );
    let gateway = Place::new(&registry).start().await;
    let list = gateway.get("/tools").await.json();
    let tools = list["tools"].as_array().unwrap().iter();
    let listed: Vec<_> = tools.map(|it| (&it["name"], &it["namespace"])).collect();
    assert_eq!(
        listed,
        [
            (&json!("a.b"), &json!("a")),
            (&json!("a.b.c"), &json!("a.b"))
        ]
    );
    gateway.post_to("/tools/a.b.c", "").await;
    let calls = |at: &Upstream| {
        at.requests()
            .iter()
            .filter(|it| it.method == Method::POST)
            .count()
    };
    assert_eq!((calls(&shorter), calls(&longer)), (0, 1));
}

#[tokio::test]
async fn a_name_with_a_dot_is_no_part_of_a_shorter_one() {
    const OPERATOR: &str = "operators-key-0123456789abcdef";
    let [ours, theirs] = [manifest().await, manifest().await];
    let gateway = Variables::default()
        .set("MCP_SERVICES", "acme.billing")
        .set("MCP_SERVICE_ACME_BILLING_ENDPOINT", ours.url())
        .set("MCP_SERVICE_ACME_BILLING_AUTH_TYPE", "none")
        .set("MCP_GATEWAY_ADMIN_KEYS", OPERATOR)
        .start()
        .await;
    let register = async |name: &str, key: &str| {
        let instance = json!({ "id": "one", "endpoint": theirs.url() });
        let body = json!({ "template_name": name, "instance": instance, "ttl": 60 });
        let key = format!("Bearer {key}");
        let headers = [
            ("authorization", &*key),
            ("content-type", "application/json"),
        ];
        let body = body.to_string();
        let request = gateway.request(Method::POST, "/gateway/register", &headers, body);
        gateway.send(request).await
    };
    for name in ["acme", "acme.billing.eu"] {
        let refused = register(name, "another").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}");
        assert!(
            refused.json()["detail"]
                .to_string()
                .contains("`acme.billing`")
        );
    }
    // Where an operator wants both, the longer name is meant.
    let answer = register("acme", OPERATOR).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let answer = gateway
        .post_to("/tools/acme.billing.list_servers", "")
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert!(ours.hits() > 0);
    assert!(theirs.requests().iter().all(|it| it.method != Method::POST));
}

#[tokio::test]
async fn what_is_not_listed_is_not_found() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for name in [
        "manifest",
        "manifest.",
        ".list_servers",
        "nothing.list_servers",
        "manifest.delete_server",
        "manifest...",
        "manifest.list_servers.x",
    ] {
        let answer = gateway.post_to(&format!("/tools/{name}"), "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
        assert_eq!(
            answer.json(),
            json!({"detail": format!("Tool not found: {name}")})
        );
    }
    for path in ["/tools/manifest.list_servers/x", "/gateway/nothing"] {
        let answer = gateway.post_to(path, "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json(), json!({"detail": "Not Found"}));
    }
    let escaping = gateway
        .post_to("/tools/manifest.%2E%2E%2Fadmin", "{}")
        .await;
    assert_eq!(escaping.status, StatusCode::NOT_FOUND);
    assert_eq!(backend.hits(), 0);
}

/// Whatever clients make of a path, the answer is one of this door.
#[tokio::test]
async fn a_slash_at_the_end_means_nothing_and_a_path_that_is_no_text_is_refused() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for path in ["/tools/", "/health/", "/gateway/health/", "/mcp/services//"] {
        assert_eq!(gateway.get(path).await.status, StatusCode::OK, "{path}");
    }
    let answer = gateway.post_to("/tools/manifest.list_servers/", "{}").await;
    assert_eq!(answer.status, StatusCode::OK);
    for path in ["/tools/%ff.x", "/gateway/heartbeat/a/%ff", "/mcp/%ff"] {
        let answer = gateway.post_to(path, "{}").await;
        assert!(answer.status.is_client_error() || answer.status.is_server_error());
        let said = answer.json().to_string();
        assert!(said.contains("not UTF-8"), "{path}: {said}");
    }
}

/// Servers of one namespace need not have the same tools.
#[tokio::test]
async fn a_tool_is_called_at_a_server_that_lists_it() {
    let (one, two) = (manifest().await, manifest().await);
    let server = |backend: &Upstream, tools: &str| {
        let port = backend.address().port();
        format!("- namespace: m\n  name: 127.0.0.1\n  port: {port}\n  tools: [{tools}]\n")
    };
    let registry = [
        "servers:\n".to_owned(),
        server(&one, "{name: both}, {name: first}"),
        server(&two, "{name: both}, {name: second}"),
    ];
    let gateway = Place::new(&registry.concat()).start().await;
    for tool in ["first", "second", "both"] {
        for _ in 0..6 {
            let answer = gateway.post_to(&format!("/tools/m.{tool}"), "{}").await;
            assert_eq!(answer.status, StatusCode::OK);
        }
    }
    let calls = |backend: &Upstream, tool: &str| {
        let path = format!("/tools/{tool}");
        let requests = backend.requests();
        requests.iter().filter(|it| it.uri.path() == path).count()
    };
    assert_eq!((calls(&one, "first"), calls(&two, "first")), (6, 0));
    assert_eq!((calls(&one, "second"), calls(&two, "second")), (0, 6));
    assert_eq!((calls(&one, "both"), calls(&two, "both")), (3, 3));

    // Nor is a call repeated where nobody knows it.
    one.handle(|_| Reply::status(503).header("retry-after", "0"));
    gateway.post_to("/tools/m.first", "{}").await;
    assert!(calls(&one, "first") > 7, "{}", calls(&one, "first"));
    assert_eq!(calls(&two, "first"), 0);
}

/// Whoever takes the last tool off a list does not mean all of them.
#[tokio::test]
async fn of_an_empty_list_nothing_can_be_called() {
    let backend = manifest().await;
    let port = backend.address().port();
    for (tools, status) in [
        ("", StatusCode::OK),
        ("tools: []", StatusCode::NOT_FOUND),
        ("tools: [no_mapping]", StatusCode::NOT_FOUND),
        ("tools: [{name: other}]", StatusCode::NOT_FOUND),
    ] {
        let registry = format!(
            "servers:\n- namespace: manifest\n  name: 127.0.0.1\n  port: {port}\n  {tools}\n"
        );
        let gateway = Place::new(&registry).start().await;
        let answer = gateway.post_to("/tools/manifest.delete_all", "{}").await;
        assert_eq!(answer.status, status, "{tools}");
    }
    assert_eq!(backend.hits(), 1);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_with_its_place() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for (body, kind, input) in [
        ("[1]", "dict_type", json!([1])),
        ("\"text\"", "dict_type", json!("text")),
        ("{\"a\" 1}", "json_invalid", json!(null)),
        ("{\"a\": 1} {}", "json_invalid", json!(null)),
    ] {
        let answer = gateway.post_to(CALL, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let fault = &answer.json()["detail"][0];
        assert_eq!((&fault["type"], &fault["input"]), (&json!(kind), &input));
        assert_eq!(fault["loc"][0], "body");
        assert!(fault["msg"].is_string());
    }
    for (method, path) in [
        (Method::GET, CALL),
        (Method::POST, "/tools"),
        (Method::POST, "/health"),
    ] {
        let request = gateway.request(method, path, &[], "");
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
    }
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn errors_of_a_backend_pass_as_documented() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for (status, expected) in [
        (400, 400),
        (404, 404),
        (409, 409),
        (422, 422),
        (401, 502),
        (500, 500),
        (302, 502),
    ] {
        backend.reply(Reply::status(status).body("no such thing"));
        let answer = gateway.post_to(CALL, "{}").await;
        assert_eq!(answer.status.as_u16(), expected, "{status}");
        assert_eq!(
            detail(&answer),
            format!("Backend error: {status} no such thing")
        );
    }
    for body in [b"plain text".as_slice(), b"\"\xe9\""] {
        backend.reply(Reply::json(body));
        let answer = gateway.post_to(CALL, "{}").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            detail(&answer),
            "Backend error: the answer is not valid JSON"
        );
    }
    backend.reply(Reply::json("x").header("content-encoding", "gzip"));
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(
        detail(&answer),
        "Backend error: the answer is encoded as gzip, which nobody asked for"
    );
    backend.reply(Reply::close());
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(detail(&answer).starts_with("Backend error: "));
}

#[tokio::test]
async fn a_backend_that_takes_too_long_is_a_timeout() {
    let backend = manifest().await;
    let place = Place::new(&documented(backend.address().port(), ""));
    let variables = place.variables().set("MCP_SERVICE_MANIFEST_TIMEOUT", 100);
    let gateway = variables.start().await;
    backend.reply(Reply::hang());
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(detail(&answer), "Backend timeout: no answer within 100ms");
}

#[tokio::test]
async fn an_open_circuit_is_an_unhealthy_backend() {
    let backend = manifest().await;
    let place = Place::new(&documented(backend.address().port(), ""));
    let variables = place
        .variables()
        .set("MCP_SERVICE_MANIFEST_CB_FAILURE_THRESHOLD", 1);
    let gateway = variables.start().await;
    backend.reply(Reply::status(500));
    gateway.post_to(CALL, "{}").await;
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(detail(&answer), "Backend server unhealthy: manifest");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(wait > 0);
    assert_eq!(gateway.get("/health").await.json()["status"], "unhealthy");
    let list = gateway.get("/tools").await.json();
    assert_eq!(list["tools"][0]["health_status"], "unhealthy", "{list}");
}

#[tokio::test]
async fn the_documented_list_has_what_is_known_besides() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    let is_healthy = |list: &Value| list["tools"][0]["health_status"] == "healthy";
    let list = gateway.until("/tools", is_healthy).await;
    assert_eq!(
        list["tools"][0],
        json!({
            "name": "manifest.list_servers",
            "namespace": "manifest",
            "tool_name": "list_servers",
            "backend_url": backend.url(),
            "health_status": "healthy",
            "description": "List all registered MCP servers",
            "input_schema": {"type": "object", "properties": {"filter": {"type": "string"}}},
        })
    );
    let names: Vec<_> = list["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(
        names,
        [
            "manifest.list_servers",
            "manifest.get_server",
            "manifest.get.dotted"
        ]
    );
}

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

#[tokio::test]
async fn fault_12_a_connection_that_fails_is_503() {
    let nobody = Upstream::nobody();
    let place = Place::new(&documented(nobody.port(), ""));
    let gateway = place
        .variables()
        .set("HEALTH_CHECK_INTERVAL", 300)
        .start()
        .await;
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(detail(&answer), "Backend server unhealthy: manifest");
}

#[tokio::test]
async fn fault_12_cors_is_configured() {
    let backend = manifest().await;
    let place = Place::new(&documented(backend.address().port(), ""));
    let ours = [("origin", "https://app.example.com")];
    let other = [("origin", "https://evil.example")];
    let gateway = place
        .variables()
        .set("MCP_GATEWAY_CORS_ORIGINS", ours[0].1)
        .start()
        .await;
    let ask = async |headers: &[(&str, &str)]| {
        let request = gateway.request(Method::GET, "/tools", headers, "");
        gateway.send(request).await
    };
    let header = "access-control-allow-origin";
    assert_eq!(ask(&ours).await.header(header), Some(ours[0].1));
    assert_eq!(ask(&other).await.header(header), None);
    let any = place.start().await;
    let request = any.request(Method::OPTIONS, CALL, &other, "");
    let preflight = any.send(request).await;
    assert_eq!(preflight.status, StatusCode::OK);
    assert_eq!(preflight.header(header), Some("*"));
    // The original let any page spend a visitor's cookies.
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
}

/// Services that speak MCP, and one of them that answers nobody.
async fn with_mcp(eras: Eras) -> (Running, String) {
    let fixture = HttpFixture::bind(0, eras).await.unwrap();
    let url = fixture.url().to_owned();
    tokio::spawn(fixture.serve());
    let dead = Arc::new(Upstream::start_with(|_| Reply::hang()).await);
    let variables = Variables::default()
        .set("MCP_SERVICES", "fixture,dead")
        .set("MCP_LIST_TIMEOUT", 300)
        .set("MCP_SERVICE_FIXTURE_ENDPOINT", &url)
        .set("MCP_SERVICE_FIXTURE_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_DEAD_ENDPOINT", dead.url())
        .set("MCP_SERVICE_DEAD_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_DEAD_TIMEOUT", 300);
    let gateway = variables.start().await;
    tokio::spawn(async move {
        let _dead = dead;
        std::future::pending::<()>().await;
    });
    (gateway, url)
}

#[tokio::test]
async fn tools_of_mcp_are_tools_as_well_and_a_dead_service_costs_its_own_only() {
    for eras in [Eras::Legacy, Eras::Modern] {
        let (gateway, url) = with_mcp(eras).await;
        let list = gateway.get("/tools").await.json();
        let tools = list["tools"].as_array().unwrap();
        assert!(tools.len() > 3, "{list}");
        assert!(tools.iter().all(|tool| tool["namespace"] == "fixture"));
        let simple = tools
            .iter()
            .find(|tool| tool["tool_name"] == "test_simple_text")
            .unwrap_or_else(|| panic!("{list}"));
        assert_eq!(simple["name"], "fixture.test_simple_text");
        assert_eq!(simple["backend_url"], url);
        assert_eq!(simple["input_schema"]["type"], "object");
        assert!(simple["description"].is_string());

        let answer = gateway
            .post_to("/tools/fixture.test_simple_text", "{}")
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.json().is_string(), "{}", answer.json());
        let failed = gateway
            .post_to("/tools/fixture.test_error_handling", "{}")
            .await;
        assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(detail(&failed).starts_with("Backend error: "));
        let unknown = gateway.post_to("/tools/fixture.nothing", "{}").await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert_eq!(detail(&unknown), "Tool not found: fixture.nothing");
        let dead = gateway.post_to("/tools/dead.anything", "{}").await;
        assert_eq!(dead.status, StatusCode::SERVICE_UNAVAILABLE);
        let why = detail(&dead);
        assert!(
            why.starts_with("Backend error: dead did not answer"),
            "{why}"
        );
    }
}

/// A server of MCP with these tools, each of which answers with its name.
async fn mcp_server(tools: &'static [&'static str]) -> Upstream {
    Upstream::start_with(move |request: &Recorded| {
        let body = request.json();
        let result = match body["method"].as_str() {
            Some("server/discover") => json!({
                "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "resultType": "complete",
            }),
            Some("tools/list") => {
                let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
                json!({"tools": tools.iter().map(tool).collect::<Vec<_>>()})
            }
            _ => json!({"content": [{"type": "text", "text": body["params"]["name"]}]}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
        Reply::json(answer.to_string())
    })
    .await
}

#[tokio::test]
async fn tools_of_mcp_need_no_name_that_all_services_could_have() {
    let server = mcp_server(&["my tool", "ok", "list:items"]).await;
    let mut variables = Variables::default().set("MCP_SERVICES", "n,my__n");
    for service in ["N", "MY__N"] {
        let prefix = format!("MCP_SERVICE_{service}");
        variables = variables
            .set(&format!("{prefix}_ENDPOINT"), server.url())
            .set(&format!("{prefix}_TRANSPORT"), "streamable-http");
    }
    let gateway = variables.start().await;
    let list = gateway.get("/tools").await.json();
    let tools = list["tools"].as_array().unwrap().iter();
    let mut names: Vec<_> = tools.map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let of = |service: &str| ["list:items", "my tool", "ok"].map(|it| format!("{service}.{it}"));
    assert_eq!(names, [of("my__n"), of("n")].concat());
    for (path, name) in [
        ("n.list:items", "list:items"),
        ("n.my%20tool", "my tool"),
        ("my__n.ok", "ok"),
    ] {
        let answer = gateway.post_to(&format!("/tools/{path}"), "{}").await;
        assert_eq!(answer.json(), name, "{path}");
    }
}
