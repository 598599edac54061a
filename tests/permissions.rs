//! Who may change what over HTTP, and whose pages may call: nobody gets at a credential that is
//! not theirs, and no change of the configuration opens what was closed.

use std::time::Duration;

use bartizan_gateway::Gateway;
use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Answer, Files, Running, Variables};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tower::ServiceExt;

const USER: &str = "key-of-an-ordinary-caller-00001";
const OPERATOR: &str = "key-of-an-operator-000000000001";
const TOKEN: &str = "token-of-the-payments-service";

async fn backend() -> Upstream {
    let backend = Upstream::start_with(|_| Reply::json("1")).await;
    backend.aside("/api/definition", Reply::status(404));
    backend.aside("/health", Reply::status(200));
    backend
}

/// A registry that lists an instance of `pay-ments`, which speaks REST.
fn registry(files: &Files, endpoint: &str) -> Variables {
    let instance = json!({ "id": "one", "endpoint": endpoint });
    let registry = json!({ "templates": { "pay-ments": { "instances": [instance] } } });
    let path = files.write("registry.json", registry.to_string());
    Variables::default()
        .set("MCP_GATEWAY_REGISTRY_FILE", path.display())
        .set("MCP_SERVICE_PAY_MENTS_TRANSPORT", "rest")
}

fn with_token(variables: Variables) -> Variables {
    variables
        .set("MCP_SERVICE_PAY_MENTS_AUTH_TYPE", "bearer")
        .set("MCP_SERVICE_PAY_MENTS_TOKEN", TOKEN)
}

fn with_keys(variables: Variables) -> Variables {
    variables
        .set("MCP_GATEWAY_API_KEYS", USER)
        .set("MCP_GATEWAY_ADMIN_KEYS", OPERATOR)
}

fn registration(template: &str, id: &str, endpoint: &str, ttl: Option<u32>) -> Value {
    let instance = json!({ "id": id, "endpoint": endpoint });
    json!({ "template_name": template, "instance": instance, "ttl": ttl })
}

async fn send(gateway: &Running, method: Method, path: &str, key: &str, body: &str) -> Answer {
    let headers = [("x-api-key", key)];
    let body = body.to_owned();
    gateway
        .send(gateway.request(method, path, &headers, body))
        .await
}

async fn register(gateway: &Running, key: &str, registration: &Value) -> Answer {
    let body = registration.to_string();
    send(gateway, Method::POST, "/gateway/register", key, &body).await
}

#[tokio::test]
async fn no_service_gets_the_credential_of_one_of_a_like_name() {
    let (ours, theirs) = (backend().await, backend().await);
    let files = Files::new();
    let gateway = with_token(registry(&files, &ours.url())).start().await;
    for name in ["pay_ments", "PAY-MENTS", "pay.ments", "pay ments"] {
        let body = registration(name, "evil", &theirs.url(), Some(60));
        let answer = register(&gateway, "", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("`pay-ments`"), "{detail}");
        gateway.call_of(name, "pay", 1).await;
    }
    assert!(theirs.requests().is_empty(), "{:?}", theirs.requests());
    // Nor does one that a file lists after it.
    let two = json!({ "templates": {
        "pay-ments": { "instances": [{ "id": "one", "endpoint": ours.url() }] },
        "pay_ments": { "instances": [{ "id": "two", "endpoint": theirs.url() }] },
    } });
    files.write("registry.json", two.to_string());
    let synced = gateway.post_to("/gateway/sync", "").await;
    assert_eq!(synced.status, StatusCode::OK);
    gateway.call_of("pay_ments", "pay", 1).await;
    assert!(theirs.requests().is_empty(), "{:?}", theirs.requests());
    gateway.call_of("pay-ments", "pay", 1).await;
    let bearer = format!("Bearer {TOKEN}");
    let paid = ours.requests();
    assert!(
        paid.iter()
            .any(|it| it.header("authorization") == Some(&bearer)),
        "{paid:?}"
    );
}

#[tokio::test]
async fn only_an_operator_says_who_else_gets_a_credential() {
    let (ours, theirs) = (backend().await, backend().await);
    let files = Files::new();
    let open = with_token(registry(&files, &ours.url()));
    let evil = registration("pay-ments", "two", &theirs.url(), Some(60));
    let replaced = registration("pay-ments", "one", &theirs.url(), Some(60));
    for (variables, key) in [(open.clone(), ""), (with_keys(open.clone()), USER)] {
        let gateway = variables.start().await;
        for body in [&evil, &replaced] {
            let answer = register(&gateway, key, body).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("MCP_GATEWAY_ADMIN_KEYS"), "{detail}");
        }
    }
    assert!(theirs.requests().is_empty(), "{:?}", theirs.requests());
    let gateway = with_keys(open).start().await;
    let answer = register(&gateway, OPERATOR, &evil).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
}

#[tokio::test]
async fn where_there_are_operators_what_is_for_good_is_theirs() {
    let backend = backend().await;
    let files = Files::new();
    let listed = with_keys(registry(&files, &backend.url()));
    let variables = listed.set("MCP_SERVICE_PAY_MENTS_AUTH_TYPE", "none");
    let gateway = variables.start().await;
    let text = || std::fs::read_to_string(files.path("registry.json")).unwrap();
    let before = text();
    let for_good = registration("pay-ments", "two", "http://127.0.0.1:9", None);
    let in_its_place = registration("pay-ments", "one", "http://127.0.0.1:9", Some(60));
    for body in [&for_good, &in_its_place] {
        let answer = register(&gateway, USER, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{body}");
    }
    let take_out = "/gateway/deregister/pay-ments/one";
    for (method, path) in [
        (Method::DELETE, take_out),
        (Method::POST, "/gateway/reload"),
    ] {
        let answer = send(&gateway, method, path, USER, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(text(), before);
    // What an operator registered for a while is theirs, too.
    let of_operator = registration("pay-ments", "three", "http://127.0.0.1:9", Some(60));
    assert_eq!(register(&gateway, OPERATOR, &of_operator).await.status, 200);
    assert_eq!(register(&gateway, USER, &of_operator).await.status, 403);
    let theirs = "/gateway/deregister/pay-ments/three";
    let answer = send(&gateway, Method::DELETE, theirs, USER, "").await;
    assert_eq!(answer.status, 403);
    // Their own, for a while, they may have.
    let for_a_while = registration("pay-ments", "two", "http://127.0.0.1:9", Some(60));
    assert_eq!(register(&gateway, USER, &for_a_while).await.status, 200);
    let own = "/gateway/deregister/pay-ments/two";
    assert_eq!(
        send(&gateway, Method::DELETE, own, USER, "").await.status,
        200
    );
    assert_eq!(register(&gateway, OPERATOR, &for_good).await.status, 200);
    let answer = send(&gateway, Method::DELETE, take_out, OPERATOR, "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn keys_are_asked_for_as_long_as_the_network_reaches_the_port() {
    let backend = backend().await;
    let variables = Variables::user_service(&backend.url());
    let reachable = variables
        .clone()
        .set("MCP_GATEWAY_HOST", "0.0.0.0")
        .set("MCP_GATEWAY_API_KEYS", USER);
    // The test itself listens on loopback only.
    let gateway = Gateway::new(&reachable.configuration()).unwrap();
    let running = Running::serve(gateway.clone());
    assert_eq!(running.call("getUser").await.status, 401);
    let refused = gateway.reload(&variables.configuration()).unwrap_err();
    assert!(refused.to_string().contains("0.0.0.0"), "{refused}");
    assert_eq!(running.call("getUser").await.status, 401);
    let insecure = variables.set("MCP_GATEWAY_INSECURE_BIND", "true");
    running.reload(&insecure);
    assert_eq!(running.call("getUser").await.status, 200);
}

/// A file of variables that is being written, or a variable that has become empty, is no wish.
#[tokio::test]
async fn a_reload_takes_no_keys_away() {
    let open = Variables::user_service("http://127.0.0.1:9");
    let keyed = with_keys(open.clone());
    let gateway = keyed.start().await;
    let callers_only = open.clone().set("MCP_GATEWAY_API_KEYS", USER);
    let operators_only = open.clone().set("MCP_GATEWAY_ADMIN_KEYS", OPERATOR);
    for (variables, gone) in [
        (&open, "MCP_GATEWAY_API_KEYS"),
        (&operators_only, "MCP_GATEWAY_API_KEYS"),
        (&callers_only, "MCP_GATEWAY_ADMIN_KEYS"),
    ] {
        let refused = gateway.try_reload(variables).unwrap_err();
        assert!(refused.to_string().contains(gone), "{refused}");
    }
    assert_eq!(gateway.get("/mcp/services").await.status, 401);
    gateway.reload(&open.set("MCP_GATEWAY_INSECURE_BIND", "true"));
    assert_eq!(gateway.get("/mcp/services").await.status, 200);
}

/// Whose key is taken out hears nothing more either.
#[tokio::test]
async fn who_listens_is_to_come_again_when_a_key_goes() {
    let fixture = HttpFixture::bind(0, Eras::Legacy).await.unwrap();
    let base = Variables::default()
        .set("MCP_SERVICES", "things")
        .set("MCP_SERVICE_THINGS_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_THINGS_ENDPOINT", fixture.url());
    tokio::spawn(fixture.serve());
    let keys = |keys: &str| base.clone().set("MCP_GATEWAY_API_KEYS", keys);
    let both = format!("{USER},{OPERATOR}");
    let gateway = keys(&both).start().await;
    let begin = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let mut streams = Vec::new();
    for path in ["/mcp", "/mcp/things", "/mcp/sse", "/mcp/things/sse"] {
        let headers = [("accept", "text/event-stream"), ("x-api-key", OPERATOR)];
        let mut request = gateway.request(Method::GET, path, &headers, "");
        if !path.ends_with("sse") {
            let accept = "application/json, text/event-stream";
            let headers = [
                ("accept", accept),
                ("content-type", "application/json"),
                ("x-api-key", OPERATOR),
            ];
            let begun = gateway.request(Method::POST, path, &headers, begin.to_string());
            let begun = gateway.send(begun).await;
            let session = begun.headers["mcp-session-id"].clone();
            request.headers_mut().insert("mcp-session-id", session);
        }
        let stream = gateway.open(request).await;
        assert_eq!(stream.status(), StatusCode::OK, "{path}");
        streams.push((path, stream.into_body()));
    }
    // One more key ends nothing, one less does.
    let three = format!("{both},key-of-a-new-caller-0000000001");
    gateway.reload(&keys(&three));
    let headers = [("accept", "text/event-stream"), ("x-api-key", USER)];
    let later = gateway.request(Method::GET, "/mcp/sse", &headers, "");
    let later = gateway.open(later).await.into_body();
    streams.push(("/mcp/sse after it", later));
    let quiet = Duration::from_millis(200);
    let read = async |stream: &mut Incoming| while let Some(Ok(_)) = stream.frame().await {};
    for (path, stream) in &mut streams {
        let end = tokio::time::timeout(quiet, read(stream)).await;
        assert!(end.is_err(), "{path} has ended");
    }
    gateway.reload(&keys(&both));
    for (path, stream) in &mut streams {
        let end = tokio::time::timeout(Duration::from_secs(10), read(stream)).await;
        assert!(end.is_ok(), "{path} goes on");
    }
}

#[tokio::test]
async fn a_page_calls_what_it_may_read_the_answers_of() {
    let backend = backend().await;
    let variables = Variables::user_service(&backend.url());
    let call = async |gateway: &Running, origin: &str| {
        let body = json!({ "service": "user-service", "operation": "getUser" });
        let headers = [("origin", origin), ("content-type", "text/plain")];
        gateway.post_with(&headers, body.to_string()).await.status
    };
    // As documented.
    let gateway = variables.start().await;
    assert_eq!(call(&gateway, "https://evil.example").await, 200);
    for (origins, ours) in [
        ("https://app.example", "https://app.example"),
        ("none", "http://localhost:3000"),
    ] {
        let variables = variables.clone().set("MCP_GATEWAY_CORS_ORIGINS", origins);
        let gateway = variables.start().await;
        assert_eq!(call(&gateway, ours).await, 200, "{origins}");
        let before = backend.requests().len();
        for path in ["/mcp/request", "/tools/x.y", "/gateway/registry"] {
            let headers = [("origin", "https://evil.example")];
            let request = gateway.request(Method::POST, path, &headers, "{}");
            assert_eq!(gateway.send(request).await.status, 403, "{path}");
        }
        assert_eq!(backend.requests().len(), before);
    }
}

/// It sends no origin when it reads from where it believes to be.
#[tokio::test]
async fn a_page_under_a_name_of_its_own_reads_nothing_where_origins_are_listed() {
    let base = Variables::user_service("http://127.0.0.1:9");
    let variables = base
        .clone()
        .set("MCP_GATEWAY_CORS_ORIGINS", "https://app.example");
    let read = async |gateway: &Running, path: &str, host: &str| {
        let headers = [("host", host), ("x-api-key", USER)];
        let request = gateway.request(Method::GET, path, &headers, "");
        gateway.send(request).await
    };
    let gateway = variables.start().await;
    for path in ["/gateway/registry", "/metrics", "/health/services"] {
        let answer = read(&gateway, path, "evil.example:8080").await;
        assert_eq!(answer.status, 403, "{path}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("MCP_ALLOWED_HOSTS"), "{path}: {text}");
        assert_ne!(read(&gateway, path, "localhost:8080").await.status, 403);
    }
    // Whoever probes names what address it will.
    assert_eq!(read(&gateway, "/livez", "10.0.0.7:8080").await.status, 200);
    // A key is nothing that a page has, and all may read by default.
    let keyed = variables.clone().set("MCP_GATEWAY_API_KEYS", USER);
    let named = variables.set("MCP_ALLOWED_HOSTS", "evil.example");
    for variables in [keyed, base, named] {
        let gateway = variables.start().await;
        let answer = read(&gateway, "/metrics", "evil.example:8080").await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn no_page_of_a_stranger_calls_a_tool_of_this_machine() {
    let program = r#"while read -r line; do :; done"#;
    let variables = Variables::default()
        .set("MCP_SERVICES", "files")
        .set("MCP_SERVICE_FILES_TRANSPORT", "stdio")
        .set("MCP_SERVICE_FILES_COMMAND", "sh")
        .set("MCP_SERVICE_FILES_ARGS", json!(["-c", program]))
        .set("MCP_SERVICE_FILES_TIMEOUT", 500);
    let call = async |gateway: &Running, headers: &[(&str, &str)]| {
        let body = json!({ "service": "files", "operation": "wipe" });
        gateway.post_with(headers, body.to_string()).await
    };
    let gateway = variables.start().await;
    let answer = call(&gateway, &[("origin", "https://evil.example")]).await;
    assert_eq!(answer.status, 403);
    assert!(answer.message().contains("origin is not allowed"));
    let headers = [
        ("origin", "https://evil.example"),
        ("content-type", "text/plain"),
    ];
    let request = gateway.request(Method::POST, "/tools/files.wipe", &headers, "{}");
    assert_eq!(gateway.send(request).await.status, 403);
    // The gateway's own page may, over HTTP/2 as well, where no header names the host.
    for (origin, may) in [
        ("https://localhost:8443", true),
        ("https://evil.example", false),
    ] {
        let request = Request::post("https://localhost:8443/tools/files.wipe")
            .header("origin", origin)
            .header("content-type", "application/json");
        let request = request.body(Full::from("{}")).unwrap();
        let service = Gateway::new(&variables.configuration()).unwrap().service();
        let answer = service.oneshot(request).await.unwrap();
        assert_eq!(answer.status() != 403, may, "{origin}");
    }
    // Pages of this machine, programs, and whoever shows a key, may.
    assert_ne!(
        call(&gateway, &[("origin", "http://localhost:3000")])
            .await
            .status,
        403
    );
    assert_ne!(call(&gateway, &[]).await.status, 403);
    let gateway = variables.set("MCP_GATEWAY_API_KEYS", USER).start().await;
    let shown = [("origin", "https://app.example"), ("x-api-key", USER)];
    assert_ne!(call(&gateway, &shown).await.status, 403);
}

#[tokio::test]
async fn callers_without_patience_open_no_circuit() {
    let backend = Upstream::start_with(|request| match request.uri.path() {
        "/api/getUser" => Reply::json("1"),
        "/api/definition" => Reply::status(404),
        _ => Reply::json("1").after(Duration::from_secs(2)),
    })
    .await;
    let gateway = Variables::user_service(&backend.url())
        .user("CB_FAILURE_THRESHOLD", 3)
        .start()
        .await;
    for _ in 0..10 {
        let body = json!({ "service": "user-service", "operation": "slowly",
                           "metadata": { "timeout": 20 } });
        let answer = gateway.post(body.to_string()).await;
        assert!(answer.message().contains("timeout"), "{}", answer.json());
    }
    let answer = gateway.call("getUser").await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    // Given a second, it is the service that is slow.
    for _ in 0..3 {
        let body = json!({ "service": "user-service", "operation": "slowly",
                           "metadata": { "timeout": 1_100 } });
        gateway.post(body.to_string()).await;
    }
    let answer = gateway.call("getUser").await;
    assert!(
        answer.message().contains("Circuit breaker open"),
        "{}",
        answer.json()
    );
}
