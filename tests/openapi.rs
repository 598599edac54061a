//! The OpenAPI document and the pages over it: what they are served with, and that the answers of
//! a running gateway are what the document says they are.

use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use http::{Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Value, json};

const KEY: &str = "a-key-of-thirty-two-characters-x";

/// A backend that defines one operation and answers calls from its queue, or with a user.
async fn backend() -> Upstream {
    let backend = Upstream::start_with(|_| Reply::json(r#"{"id":"123","name":"Ada"}"#)).await;
    let definition = r#"{"name":"users","operations":[{"name":"getUser","method":"GET"}]}"#;
    backend.aside("/api/definition", Reply::json(definition));
    backend
}

/// The document of a running gateway.
struct Document(Value);

impl Document {
    async fn of(gateway: &Running) -> Self {
        let answer = gateway.get("/openapi.json").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        Self(answer.json())
    }

    fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.0["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is not described");
        operation
    }

    /// What holds a value to a schema that stands in this document.
    fn validator(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        options.build(&schema).unwrap()
    }

    fn hold(&self, schema: &Value, value: &Value, what: &str) {
        let faults: Vec<_> = self
            .validator(schema)
            .iter_errors(value)
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{what}: {faults:#?}\n{value:#}");
    }

    /// Holds an answer to what is said of it: its status, its type, and its body.
    fn describes(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path} {}", answer.status);
        let responses = &self.operation(method, path)["responses"];
        let status = answer.status.as_str();
        let described = responses.get(status).or_else(|| responses.get("default"));
        let described = described.unwrap_or_else(|| panic!("{what} is not described"));
        let kind = answer.header("content-type").unwrap();
        let kind = kind.split(';').next().unwrap();
        let content = described["content"].get(kind);
        let content = content.unwrap_or_else(|| panic!("{what} is not {kind}: {described:#}"));
        let value = if kind == "text/plain" {
            Value::from(str::from_utf8(&answer.body).unwrap())
        } else {
            answer.json()
        };
        self.hold(&content["schema"], &value, &what);
    }
}

#[tokio::test]
async fn calls_are_answered_as_described() {
    const PATH: &str = "/mcp/request";
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .user("CB_FAILURE_THRESHOLD", 2)
        .set("MCP_RETRY_MAX_ATTEMPTS", 0)
        .start()
        .await;
    let document = Document::of(&gateway).await;

    let calls = [
        r#"{"service":"user-service","operation":"getUser"}"#,
        r#"{"id":7,"service":"user-service","operation":"getUser","parameters":[1],
            "metadata":{"correlationId":"c","timeout":5000.5,"priority":"high","agentId":null}}"#,
    ];
    let schema = &document.operation("post", PATH)["requestBody"]["content"]["application/json"];
    let schema = &schema["schema"];
    for call in calls {
        document.hold(schema, &serde_json::from_str(call).unwrap(), "a call");
        let answer = gateway.post(call).await;
        assert_eq!(answer.json()["success"], true);
        document.describes("post", PATH, &answer);
    }
    backend.reply(Reply::status(200).body("no JSON"));
    document.describes("post", PATH, &gateway.call("getUser").await);

    // Failures of the backend, with and without an answer.
    backend.reply(Reply::status(404).body("{\"error\":\"no such user\"}"));
    let failed = gateway.call("getUser").await;
    assert_eq!(failed.json()["success"], false);
    document.describes("post", PATH, &failed);
    backend.reply(Reply::status(500));
    document.describes("post", PATH, &gateway.call("getUser").await);
    backend.reply(Reply::status(500));
    document.describes("post", PATH, &gateway.call("getUser").await);

    // Refusals of the gateway. The last failure has opened the circuit.
    let open = gateway.call("getUser").await;
    assert!(open.message().starts_with("Circuit breaker open"));
    document.describes("post", PATH, &open);
    for wrong in ["", "[]", r#"{"service":"nobody","operation":"x"}"#] {
        let refused = gateway.post(wrong).await;
        assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
        document.describes("post", PATH, &refused);
    }
    for wrong in [
        json!({ "service": "user-service" }),
        json!([]),
        json!({ "service": 7, "operation": "x" }),
    ] {
        assert!(!document.validator(schema).is_valid(&wrong), "{wrong}");
    }
}

#[tokio::test]
async fn strict_statuses_are_described() {
    const PATH: &str = "/mcp/request";
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .set("MCP_GATEWAY_STRICT_STATUS", "true")
        .set("MCP_RETRY_MAX_ATTEMPTS", 0)
        .start()
        .await;
    let document = Document::of(&gateway).await;
    document.describes("post", PATH, &gateway.call("getUser").await);
    for status in [404, 429, 500, 503] {
        backend.reply(Reply::status(status).header("retry-after", "2"));
        let answer = gateway.call("getUser").await;
        assert!(!answer.status.is_success());
        document.describes("post", PATH, &answer);
    }
    let unknown = gateway.post(r#"{"id":"a","service":"nobody","operation":"x"}"#);
    let unknown = unknown.await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    document.describes("post", PATH, &unknown);
}

#[tokio::test]
async fn pages_of_services_are_as_described() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url()).start().await;
    let document = Document::of(&gateway).await;
    gateway.call("getUser").await;
    backend.reply(Reply::status(400));
    gateway.call("getUser").await;
    for path in [
        "/mcp/health",
        "/mcp/services",
        "/livez",
        "/readyz",
        "/metrics",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        document.describes("get", path, &answer);
    }
    for path in [
        "/mcp/services/{name}/definition",
        "/mcp/services/{name}/metrics",
    ] {
        for (name, status) in [
            ("user-service", StatusCode::OK),
            ("x", StatusCode::NOT_FOUND),
        ] {
            let answer = gateway.get(&path.replace("{name}", name)).await;
            assert_eq!(answer.status, status, "{path}");
            document.describes("get", path, &answer);
        }
    }
}

#[tokio::test]
async fn tools_are_as_described() {
    let backend = backend().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registry.yaml");
    let port = backend.address().port();
    let listed = format!(
        "version: '1.0'\nservers:\n  - namespace: listed\n    name: 127.0.0.1\n    port: {port}\n    \
         tools:\n      - name: read\n        description: Reads\n"
    );
    std::fs::write(&file, listed).unwrap();
    let gateway = Variables::user_service(&backend.url())
        .set("REGISTRY_PATH", file.display())
        .set("MCP_RETRY_MAX_ATTEMPTS", 0)
        .start()
        .await;
    let document = Document::of(&gateway).await;

    let tools = gateway.get("/tools").await;
    assert_eq!(tools.json()["tools"][0]["name"], "listed.read");
    document.describes("get", "/tools", &tools);
    document.describes("get", "/health", &gateway.get("/health").await);

    const PATH: &str = "/tools/{tool}";
    let call = async |tool: &str, body: &str| {
        let answer = gateway
            .post_to(&format!("/tools/{tool}"), body.to_owned())
            .await;
        document.describes("post", PATH, &answer);
        answer.status
    };
    assert_eq!(call("user-service.getUser", "{}").await, StatusCode::OK);
    assert_eq!(call("listed.read", "").await, StatusCode::OK);
    assert_eq!(call("nobody.x", "{}").await, StatusCode::NOT_FOUND);
    let status = call("user-service.getUser", "[]").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    for status in [200, 400, 403, 409, 429, 500, 503] {
        backend.reply(Reply::status(status).body("no JSON"));
        call("user-service.getUser", "{}").await;
    }
}

#[tokio::test]
async fn templates_are_as_described() {
    let fixture = HttpFixture::bind(0, Eras::Both).await.unwrap();
    let url = fixture.url().to_owned();
    tokio::spawn(fixture.serve());
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .set("MCP_SERVICES", "user-service,fixture")
        .set("MCP_SERVICE_FIXTURE_ENDPOINT", url)
        .set("MCP_SERVICE_FIXTURE_TRANSPORT", "streamable-http")
        .start()
        .await;
    let document = Document::of(&gateway).await;

    for what in ["tools/list", "resources/list", "prompts/list", "health"] {
        let path = format!("/mcp/{{template}}/{what}");
        for (template, status) in [("fixture", 200), ("user-service", 200), ("nobody", 404)] {
            let answer = gateway.get(&path.replace("{template}", template)).await;
            assert_eq!(answer.status, status, "{template} {what}");
            document.describes("get", &path, &answer);
        }
    }
    for (template, what, body, status) in [
        (
            "fixture",
            "tools/call",
            r#"{"name":"test_simple_text","arguments":{}}"#,
            200,
        ),
        (
            "fixture",
            "tools/call",
            r#"{"name":"test_error_handling"}"#,
            200,
        ),
        ("fixture", "tools/call", r#"{"name":"nothing"}"#, 404),
        ("fixture", "tools/call", "{}", 400),
        ("fixture", "tools/call", "[]", 422),
        ("user-service", "tools/call", r#"{"name":"getUser"}"#, 200),
        (
            "fixture",
            "resources/read",
            r#"{"uri":"test://static-text"}"#,
            200,
        ),
        ("fixture", "resources/read", "{}", 400),
        (
            "user-service",
            "resources/read",
            r#"{"uri":"test://a"}"#,
            404,
        ),
        (
            "fixture",
            "prompts/get",
            r#"{"name":"test_simple_prompt"}"#,
            200,
        ),
        ("fixture", "prompts/get", r#"{"name":7}"#, 422),
    ] {
        let path = format!("/mcp/{{template}}/{what}");
        let answer = gateway
            .post_to(&path.replace("{template}", template), body)
            .await;
        assert_eq!(answer.status, status, "{template} {what} {body}");
        document.describes("post", &path, &answer);
    }
}

/// Every example in the document is what its own schema asks for.
#[tokio::test]
async fn examples_are_examples() {
    let gateway = Variables::user_service("http://127.0.0.1:9").start().await;
    let document = Document::of(&gateway).await;
    let mut held = 0;
    for (path, item) in document.0["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = operation.get("requestBody");
            let responses = operation["responses"].as_object().unwrap().values();
            let contents = body.into_iter().chain(responses);
            let contents = contents.filter_map(|it| it.get("content")?.as_object());
            for content in contents.flat_map(|content| content.values()) {
                let one = content.get("example").cloned();
                let several = content.get("examples").and_then(Value::as_object);
                let several = several.into_iter().flat_map(|it| it.values());
                let several = several.map(|example| example["value"].clone());
                for example in one.into_iter().chain(several) {
                    document.hold(&content["schema"], &example, &format!("{method} {path}"));
                    held += 1;
                }
            }
        }
    }
    assert!(held >= 8, "{held}");
}

#[tokio::test]
async fn pages_are_open_and_calls_are_not() {
    let gateway = Variables::user_service("http://127.0.0.1:9")
        .set("MCP_GATEWAY_API_KEYS", KEY)
        .start()
        .await;
    let document = Document::of(&gateway).await;
    assert_eq!(document.0["security"].as_array().unwrap().len(), 2);
    let refused = gateway.call("getUser").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    document.describes("post", "/mcp/request", &refused);

    for path in ["/docs", "/redoc"] {
        let page = gateway.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let html = String::from_utf8(page.body.to_vec()).unwrap();
        let files = html.split("=\"docs/").skip(1);
        let files: Vec<_> = files.map(|it| &it[..it.find('"').unwrap()]).collect();
        assert!(files.len() >= 4, "{html}");
        for file in files {
            let gzip = [("accept-encoding", "gzip")];
            let path = format!("/docs/{file}");
            let request = gateway.request(Method::GET, &path, &gzip, "");
            let small = gateway.send(request).await;
            assert_eq!(small.header("content-encoding"), Some("gzip"), "{path}");
            let large = gateway.get(&path).await;
            assert_eq!(large.header("content-encoding"), None, "{path}");
            let caching = large.header("cache-control").unwrap();
            assert!(caching.contains("immutable"), "{caching}");
            assert!(small.body.len() < large.body.len(), "{path}");
            let head = gateway.request(Method::HEAD, &path, &[], "");
            let head = gateway.send(head).await;
            let length = large.body.len().to_string();
            assert_eq!(head.header("content-length"), Some(&*length), "{path}");
        }
        let tag = page.header("etag").unwrap();
        let again = gateway.request(Method::GET, path, &[("if-none-match", tag)], "");
        let again = gateway.send(again).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
        assert!(again.body.is_empty());
    }
    // What they load lies beside them, and not below.
    for (path, place) in [("/docs/", "../docs"), ("/redoc//", "../../redoc")] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT, "{path}");
        assert_eq!(answer.header("location"), Some(place));
    }
    for path in ["/docs/sse", "/docs/x", "/redoc/x"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn what_is_refused_before_it_is_looked_at_is_described() {
    let backend = backend().await;
    let gateway = Variables::user_service(&backend.url())
        .set("MCP_GATEWAY_CORS_ORIGINS", "https://app.example")
        .start()
        .await;
    let document = Document::of(&gateway).await;
    let page = ("origin", "https://evil.example");
    for path in ["/livez", "/mcp/services", "/tools", "/gateway/registry"] {
        let answer = gateway.send(gateway.request(Method::GET, path, &[page], ""));
        let answer = answer.await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        document.describes("get", path, &answer);
    }
    let coded = [
        ("content-encoding", "gzip"),
        ("content-type", "application/json"),
    ];
    for path in ["/mcp/request", "/gateway/register"] {
        let answer = gateway.send(gateway.request(Method::POST, path, &coded, "{}"));
        let answer = answer.await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
        document.describes("post", path, &answer);
    }
}

#[tokio::test]
async fn pages_can_be_turned_off() {
    let gateway = Variables::user_service("http://127.0.0.1:9")
        .set("MCP_GATEWAY_DOCS", "false")
        .start()
        .await;
    for path in ["/docs", "/redoc", "/openapi.json", "/docs/x"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.message(), format!("Cannot GET {path}"));
    }
}

#[tokio::test]
async fn registries_are_as_described() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registry.json");
    let gateway = Variables::default()
        .set("MCP_GATEWAY_REGISTRY_FILE", file.display())
        .start()
        .await;
    let document = Document::of(&gateway).await;

    let path = "/gateway/register";
    let examples = &document.operation("post", path)["requestBody"]["content"]["application/json"];
    let mut statuses = Vec::new();
    for example in examples["examples"].as_object().unwrap().values() {
        let body = example["value"].to_string();
        let answer = gateway.post_to(path, body).await;
        document.describes("post", path, &answer);
        statuses.push(answer.status.as_u16());
    }
    statuses.sort_unstable();
    // Nobody is an operator here, so the program is refused.
    assert_eq!(statuses, [200, 200, 403]);
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"template_name":"demo","instance":{"endpoint":"http://127.0.0.1:1"},"ttl":0}"#,
    ] {
        let answer = gateway.post_to(path, wrong).await;
        assert!(answer.status.is_client_error(), "{wrong}");
        document.describes("post", path, &answer);
    }
    for path in ["/gateway/health", "/gateway/stats", "/gateway/registry"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        document.describes("get", path, &answer);
    }
    let answer = gateway.post_to("/gateway/sync", "").await;
    document.describes("post", "/gateway/sync", &answer);
    let answer = gateway.post_to("/gateway/reload", "").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    document.describes("post", "/gateway/reload", &answer);

    let template = "{template}/{instance_id}";
    for (id, status) in [("demo-1", 204), ("nobody", 404)] {
        let answer = gateway
            .post_to(&format!("/gateway/heartbeat/demo/{id}"), "")
            .await;
        assert_eq!(answer.status, status, "{id}");
        if status != 204 {
            document.describes("post", &format!("/gateway/heartbeat/{template}"), &answer);
        }
    }
    for (id, status) in [("demo-1", 200), ("nobody", 404)] {
        let answer = gateway
            .delete(&format!("/gateway/deregister/demo/{id}"))
            .await;
        assert_eq!(answer.status, status, "{id}");
        document.describes(
            "delete",
            &format!("/gateway/deregister/{template}"),
            &answer,
        );
    }
}
