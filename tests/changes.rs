//! What a change of the configuration or of a registry brings with it, and what it must not.

use bartizan_gateway::StartError;
use bartizan_testkit::{Recorded, Reply, TokenIssuer, Upstream};
use bartizan_tests::{Answer, Files, Running, Variables, until};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn backend() -> Upstream {
    let backend = Upstream::start_with(|_: &Recorded| Reply::json(r#"{"ok":true}"#)).await;
    backend.aside("/api/definition", Reply::status(404));
    backend.aside("/health", Reply::status(200));
    backend
}

/// A gateway of whatever registers, or is in a `registry.json`, as a plain service `notes`.
fn notes(files: &Files) -> Variables {
    let registry = files.path("registry.json");
    Variables::default()
        .set("MCP_GATEWAY_REGISTRY_FILE", registry.display())
        .set("MCP_GATEWAY_HEALTH_INTERVAL", 300)
        .set("MCP_SERVICE_NOTES_TRANSPORT", "rest")
}

fn registry(instance: &Upstream) -> String {
    let instance = json!({ "id": "a", "endpoint": instance.url(), "transport": "http" });
    json!({ "templates": { "notes": { "instances": [instance] } } }).to_string()
}

async fn register(gateway: &Running, id: &str, instance: &Upstream) -> Answer {
    register_for(gateway, "notes", id, instance).await
}

async fn register_for(gateway: &Running, service: &str, id: &str, at: &Upstream) -> Answer {
    register_as(gateway, service, id, at, "http").await
}

async fn register_as(
    gateway: &Running,
    service: &str,
    id: &str,
    at: &Upstream,
    transport: &str,
) -> Answer {
    let instance = json!({ "id": id, "endpoint": at.url(), "transport": transport });
    let body = json!({ "template_name": service, "instance": instance, "ttl": 60 });
    gateway.post_to("/gateway/register", body.to_string()).await
}

async fn succeeds(gateway: &Running, service: &str) -> bool {
    let answer = gateway.call_of(service, "getIt", 1).await;
    answer.json()["success"] == true
}

#[tokio::test]
async fn a_rotated_refresh_token_outlives_a_change_of_something_else() {
    let (backend, issuer) = (backend().await, TokenIssuer::start(Some(3600)).await);
    let variables = Variables::default()
        .set("MCP_SERVICES", "pay")
        .set("MCP_SERVICE_PAY_ENDPOINT", backend.url())
        .set("MCP_SERVICE_PAY_AUTH_TYPE", "oauth2")
        .set("MCP_SERVICE_PAY_TOKEN_URL", issuer.url())
        .set("MCP_SERVICE_PAY_CLIENT_ID", "gate")
        .set("MCP_SERVICE_PAY_REFRESH_TOKEN", "refresh-0");
    let gateway = variables.start().await;
    assert!(succeeds(&gateway, "pay").await);
    // Each has the service built anew.
    for (name, value) in [
        ("MCP_GATEWAY_CONNECT_TIMEOUT", 2_500),
        ("MCP_SERVICE_PAY_TIMEOUT", 9_000),
    ] {
        let reloaded = gateway.reload(&variables.clone().set(name, value));
        assert_eq!(reloaded.changed, ["pay"]);
        assert!(succeeds(&gateway, "pay").await);
    }
    assert_eq!(issuer.hits(), 1);
    assert!(!issuer.revoked());

    // Under another secret another access token is asked for, with the refresh token that is the
    // newest.
    let other = variables.set("MCP_SERVICE_PAY_CLIENT_SECRET", "an0ther");
    gateway.reload(&other);
    assert!(succeeds(&gateway, "pay").await);
    assert_eq!(issuer.hits(), 2);
    assert!(!issuer.revoked());
}

/// A service that a user authorizes access to, and its authorization server.
async fn asking() -> Upstream {
    let upstream = Upstream::start().await;
    let base = upstream.url();
    upstream.handle(move |request: &Recorded| match request.uri.path() {
        "/.well-known/oauth-authorization-server" => {
            let description = json!({
                "issuer": base,
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            });
            Reply::json(description.to_string())
        }
        "/token" => {
            let token = json!({ "access_token": "access", "refresh_token": "refresh" });
            Reply::json(token.to_string())
        }
        path if path.starts_with("/.well-known") || path == "/api/definition" => Reply::status(404),
        "/health" => Reply::status(200),
        _ if request.header("authorization") == Some("Bearer access") => Reply::json("{}"),
        _ => Reply::status(401),
    });
    upstream
}

/// Answers for the user who is asked to open the page in this file.
async fn consent(page: &std::path::Path) {
    until("a user is asked", async || {
        std::fs::read(page).is_ok_and(|it| it.ends_with(b"\n"))
    })
    .await;
    let page = std::fs::read_to_string(page).unwrap();
    let between = |begin: &str, end: &str| {
        let (_, rest) = page.split_once(begin).unwrap();
        rest.split_once(end).unwrap().0.to_owned()
    };
    let port = between("127.0.0.1%3A", "%2Fcallback").parse().unwrap();
    let state = between("&state=", "&");
    let mut browser = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET /callback?code=c0de&state={state} HTTP/1.1\r\n\r\n");
    browser.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    browser.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_user_is_not_asked_again_for_a_change_of_something_else() {
    let (service, files) = (asking().await, Files::new());
    let page = files.path("page");
    files.write("browser", format!("echo \"$1\" >> {}", page.display()));
    let variables = Variables::default()
        .set("MCP_SERVICES", "pay")
        .set("MCP_SERVICE_PAY_ENDPOINT", service.url())
        .set("MCP_SERVICE_PAY_AUTH_TYPE", "authorize")
        .set("MCP_SERVICE_PAY_CLIENT_ID", "gate")
        .set(
            "MCP_SERVICE_PAY_AUTHORIZE_COMMAND",
            format!("sh {}", files.path("browser").display()),
        );
    let gateway = variables.start().await;
    let (let_in, ()) = tokio::join!(succeeds(&gateway, "pay"), consent(&page));
    assert!(let_in);
    let other = variables.set("MCP_SERVICE_PAY_AUTHORIZE_CALLBACK_PORT", 1);
    assert_eq!(gateway.reload(&other).changed, ["pay"]);
    assert!(succeeds(&gateway, "pay").await);
    assert_eq!(std::fs::read_to_string(&page).unwrap().lines().count(), 1);
    let requests = service.requests().into_iter();
    let tokens = requests.filter(|request| request.uri.path() == "/token");
    let grants: Vec<_> = tokens
        .map(|request| String::from_utf8(request.body.to_vec()).unwrap())
        .map(|form| form.split('&').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        grants,
        ["grant_type=authorization_code", "grant_type=refresh_token"]
    );
}

#[tokio::test]
async fn tokens_for_one_address_are_not_shown_at_another() {
    let variables = Variables::default()
        .set("MCP_SERVICES", "pay")
        .set("MCP_SERVICE_PAY_AUTH_TYPE", "authorize")
        .set("MCP_SERVICE_PAY_CLIENT_ID", "gate")
        .set("MCP_SERVICE_PAY_CLIENT_SECRET", "s3cr3t");
    let at = |url: &str| variables.clone().set("MCP_SERVICE_PAY_ENDPOINT", url);
    let gateway = at("https://a.example/api").start().await;
    let reloaded = gateway.reload(&at("https://b.example/api"));
    assert_eq!(reloaded.changed, ["pay"]);
}

#[tokio::test]
async fn who_registers_keeps_no_operator_from_changing_the_configuration() {
    let [guest, own] = [backend().await, backend().await];
    let files = Files::new();
    let variables = notes(&files).set("MCP_SERVICE_BILLING_TRANSPORT", "rest");
    let gateway = variables.start().await;
    let answer = register_for(&gateway, "billing", "guest", &guest).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert!(succeeds(&gateway, "billing").await);
    let configured = variables
        .set("MCP_SERVICES", "billing")
        .set("MCP_SERVICE_BILLING_ENDPOINT", own.url())
        .set("MCP_SERVICE_BILLING_AUTH_TYPE", "none");
    gateway.try_reload(&configured).expect("a reload");
    let asked = guest.hits();
    assert!(succeeds(&gateway, "billing").await);
    assert_eq!((guest.hits(), own.hits() > 0), (asked, true));
}

#[tokio::test]
async fn who_registers_takes_no_tool_of_a_listed_service() {
    let [guest, own] = [backend().await, backend().await];
    let files = Files::new();
    let variables = notes(&files);
    let gateway = variables.start().await;
    let answer = register_for(&gateway, "pay.refund", "guest", &guest).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let instance = json!({ "id": "a", "endpoint": own.url(), "transport": "http" });
    let both = json!({ "pay": { "instances": [instance] }, "pay.eu": { "instances": [instance] } });
    files.write("registry.json", json!({ "templates": both }).to_string());
    gateway.post_to("/gateway/sync", "{}").await;
    let asked = guest.hits();
    let _ = gateway.post_to("/tools/pay.refund.create", "{}").await;
    assert_eq!(guest.hits(), asked);
    // Services that are there take more instances, whatever they are called.
    let answer = register_for(&gateway, "pay", "another", &guest).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
}

#[tokio::test]
async fn a_wrong_setting_of_a_listed_service_changes_nothing() {
    let (first, later) = (backend().await, backend().await);
    let files = Files::new();
    files.write("registry.json", registry(&first));
    let variables = notes(&files);
    let gateway = variables.start().await;
    assert!(succeeds(&gateway, "notes").await);
    let wrong = variables.clone().set("MCP_SERVICE_NOTES_TIMEOUT", "3O00");
    let refused = gateway.try_reload(&wrong);
    assert!(matches!(refused, Err(StartError::Listed(_))), "{refused:?}");
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("MCP_SERVICE_NOTES_TIMEOUT"), "{text}");
    assert!(succeeds(&gateway, "notes").await);

    // One that nobody knew yet is left out, and others are no worse for it.
    let other =
        json!({ "instances": [{ "id": "b", "endpoint": later.url(), "transport": "http" }] });
    let mut both: serde_json::Value = serde_json::from_str(&registry(&first)).unwrap();
    both["templates"]["others"] = other;
    files.write("registry.json", both.to_string());
    let wrong = variables.set("MCP_SERVICE_OTHERS_TIMEOUT", "3O00");
    gateway.reload(&wrong);
    gateway.post_to("/gateway/sync", "{}").await;
    assert!(succeeds(&gateway, "notes").await);
    assert!(!succeeds(&gateway, "others").await);
}

/// Whoever registered it before the service had a credential.
#[tokio::test]
async fn who_is_no_operator_gets_no_credential_that_comes_later() {
    const OPERATOR: &str = "operators-key-0123456789abcdef";
    let [guest, operators] = [backend().await, backend().await];
    let files = Files::new();
    let variables = notes(&files).set("MCP_GATEWAY_ADMIN_KEYS", OPERATOR);
    let gateway = variables.start().await;
    let answer = register(&gateway, "guest", &guest).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let instance = json!({ "id": "own", "endpoint": operators.url() });
    let body = json!({ "template_name": "notes", "instance": instance, "ttl": 60 }).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-admin-key", OPERATOR),
        ("authorization", &*format!("Bearer {OPERATOR}")),
    ];
    let request = gateway.request(Method::POST, "/gateway/register", &headers, body);
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);

    gateway.reload(
        &variables
            .set("MCP_SERVICE_NOTES_AUTH_TYPE", "bearer")
            .set("MCP_SERVICE_NOTES_TOKEN", "s3cr3t-of-the-operator"),
    );
    for _ in 0..4 {
        assert!(succeeds(&gateway, "notes").await);
    }
    let shown = |backend: &Upstream| {
        let requests = backend.requests().into_iter();
        requests
            .filter(|it| it.header("authorization").is_some())
            .count()
    };
    assert_eq!((shown(&guest), shown(&operators)), (0, 4));
    // It is not there any more, and cannot come back.
    let heard = gateway.post_to("/gateway/heartbeat/notes/guest", "").await;
    assert_eq!(heard.status, StatusCode::NOT_FOUND);
    let answer = register(&gateway, "guest", &guest).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

/// Whether an operator listed it by mistake or somebody registered it.
#[tokio::test]
async fn an_instance_that_leads_back_to_the_gateway_ends_at_the_first_return() {
    let files = Files::new();
    let first = notes(&files).start().await;
    let second = notes(&files).start().await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let register = async |gateway: &Running, name: &str, at: &Running| {
        let endpoint = format!("http://{}/mcp/{name}", at.address);
        let instance = json!({ "id": "one", "endpoint": endpoint, "transport": "http" });
        let body = json!({ "template_name": name, "instance": instance, "ttl": 60 });
        let answer = gateway.post_to("/gateway/register", body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    };
    // Straight back, and through another.
    register(&first, "self", &first).await;
    register(&first, "round", &second).await;
    register(&second, "round", &first).await;
    for (name, turns) in [("self", 2), ("round", 2)] {
        let path = format!("/mcp/{name}");
        let answer = first.post_to(&path, initialize.to_string()).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            text.contains("been here before") || text.contains("508"),
            "{name}: {text}"
        );
        let calls = "bartizan_service_calls_total";
        let page = first.get("/metrics").await;
        let page = String::from_utf8_lossy(&page.body);
        let of_service = format!("service=\"{name}\"");
        let lines = page
            .lines()
            .filter(|it| it.starts_with(calls) && it.contains(&of_service));
        let count: u64 = lines
            .filter_map(|it| it.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        assert!(count <= 10 * turns, "{name}: {count}");
    }
}

#[tokio::test]
async fn an_instance_that_is_spoken_to_otherwise_is_so_at_once() {
    let server = Upstream::start_with(|_: &Recorded| Reply::status(418)).await;
    let files = Files::new();
    let write = |transport: &str| {
        let endpoint = format!("{}/stream", server.url());
        let instance = json!({ "id": "a", "endpoint": endpoint, "transport": transport });
        let registry = json!({ "templates": { "it": { "instances": [instance] } } });
        files.write("registry.json", registry.to_string());
    };
    write("http");
    let gateway = notes(&files).start().await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let asked = async || {
        let before = server.requests().len();
        gateway.post_to("/mcp/it", initialize.to_string()).await;
        let methods = server.requests().into_iter().skip(before);
        methods.map(|it| it.method).collect::<Vec<_>>()
    };
    assert!(!asked().await.contains(&Method::GET));
    write("sse");
    gateway.post_to("/gateway/sync", "{}").await;
    assert!(asked().await.contains(&Method::GET));
}

/// Or whoever registers could have the rate limit begin anew.
#[tokio::test]
async fn an_instance_that_is_spoken_to_otherwise_changes_nothing_for_others() {
    let server = Upstream::start_with(|_: &Recorded| Reply::status(418)).await;
    let files = Files::new();
    files.write("registry.json", registry(&server).replace("notes", "it"));
    let variables = notes(&files)
        .set("MCP_SERVICE_IT_RATE_LIMIT_RPM", 1)
        .set("MCP_SERVICE_IT_RATE_LIMIT_BURST", 1)
        .set("MCP_SERVICE_IT_RATE_LIMIT_MAX_WAIT", 0);
    let gateway = variables.start().await;
    register_as(&gateway, "it", "guest", &server, "http").await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let is_limited = async || {
        let answer = gateway.post_to("/mcp/it", initialize.to_string()).await;
        String::from_utf8_lossy(&answer.body).contains("rate limited")
    };
    let mut tries = 0;
    while !is_limited().await {
        tries += 1;
        assert!(tries < 10);
    }
    for transport in ["sse", "http", "sse"] {
        let answer = register_as(&gateway, "it", "guest", &server, transport).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        assert!(is_limited().await, "{transport}");
    }
}

#[tokio::test]
async fn services_with_a_variable_or_in_a_file_have_series_of_their_own() {
    let backend = backend().await;
    let files = Files::new();
    let gateway = notes(&files).start().await;
    let passing = (0..520).map(|n| format!("passing-{n}"));
    for service in passing.chain(["late", "notes"].map(str::to_owned)) {
        let answer = register_for(&gateway, &service, "a", &backend).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    }
    let counted = async |service: &str| {
        succeeds(&gateway, service).await;
        let page = gateway.get("/metrics").await;
        String::from_utf8_lossy(&page.body).contains(&format!("service=\"{service}\""))
    };
    assert!(counted("notes").await);
    assert!(!counted("late").await);
    files.write("registry.json", registry(&backend).replace("notes", "late"));
    gateway.post_to("/gateway/sync", "{}").await;
    assert!(counted("late").await);
}

#[tokio::test]
async fn a_registry_that_is_wrong_keeps_nobody_from_leaving_and_no_other_from_being_read() {
    let backend = backend().await;
    let files = Files::new();
    files.write("registry.json", registry(&backend));
    let namespaces = "version: '1.0'\nservers:\n- {namespace: ns, name: 127.0.0.1, port: 9}\n";
    let yaml = files.write("registry.yaml", namespaces);
    let variables = notes(&files).set("REGISTRY_PATH", yaml.display());
    let gateway = variables.start().await;
    let answer = register(&gateway, "guest", &backend).await;
    assert_eq!(answer.status, StatusCode::OK);

    files.write("registry.json", "{ \"templates\": {");
    let left = gateway.delete("/gateway/deregister/notes/guest").await;
    assert_eq!(left.status, StatusCode::OK, "{:?}", left.body);
    // What it lists itself cannot be taken out.
    let left = gateway.delete("/gateway/deregister/notes/a").await;
    assert_eq!(left.status, StatusCode::INTERNAL_SERVER_ERROR);

    files.write("registry.yaml", "servers: [");
    let mut more = registry(&backend);
    more = more.replace("\"a\"", "\"b\"");
    files.write("registry.json", more);
    let synced = gateway.post_to("/gateway/sync", "{}").await;
    let text = String::from_utf8_lossy(&synced.body);
    assert!(
        text.contains("notes/b") && text.contains("registry.yaml"),
        "{text}"
    );
}

/// Whatever counts begins at zero in a service that is built anew, and the metrics do not.
#[tokio::test]
async fn counters_go_on_over_a_change_of_their_service() {
    let variables = |turn: u64| {
        Variables::default()
            .set("MCP_SERVICES", "pay")
            .set("MCP_SERVICE_PAY_ENDPOINT", "http://127.0.0.1:1")
            .set("MCP_SERVICE_PAY_HEALTH_PATH", "/health")
            .set("MCP_SERVICE_PAY_HEALTH_INTERVAL", 20)
            .set("MCP_SERVICE_PAY_UNHEALTHY_THRESHOLD", 1)
            .set("MCP_SERVICE_PAY_AUTH_TYPE", "oauth2")
            .set("MCP_SERVICE_PAY_TOKEN_URL", "http://127.0.0.1:1/token")
            .set("MCP_SERVICE_PAY_CLIENT_ID", format!("gate-{turn}"))
            .set("MCP_SERVICE_PAY_CLIENT_SECRET", "s3cr3t")
    };
    let gateway = variables(1).start().await;
    let counted = async |name: &str, label: &str| gateway.metric(name, "pay", label).await;
    for turn in 1..=3 {
        if turn > 1 {
            assert_eq!(gateway.reload(&variables(turn)).changed, ["pay"]);
        }
        assert!(!succeeds(&gateway, "pay").await);
        let all = async || {
            let transitions = counted("bartizan_health_transitions_total", ",to=\"unhealthy\"");
            let tokens = counted("bartizan_token_refreshes_total", ",outcome=\"failure\"");
            [transitions.await, tokens.await]
        };
        until(&format!("{turn} of each"), async || {
            all().await == [turn; 2]
        })
        .await;
    }

    // What nobody has looked at before a change is not lost by it, nor is it counted twice where
    // tokens come from where they came from.
    gateway.reload(&variables(4));
    assert!(!succeeds(&gateway, "pay").await);
    let other = variables(4).set("MCP_SERVICE_PAY_TIMEOUT", 9_000);
    assert_eq!(gateway.reload(&other).changed, ["pay"]);
    let failures = counted("bartizan_token_refreshes_total", ",outcome=\"failure\"").await;
    assert_eq!(failures, 4);
}

/// Calls under way may take long, and nobody needs to know meanwhile how the instances are of a
/// service that has another in its place.
#[tokio::test]
async fn a_service_that_is_replaced_is_probed_no_more_and_its_probes_count() {
    let upstream = backend().await;
    let variables = |path: &str| {
        Variables::default()
            .set("MCP_SERVICES", "pay")
            .set("MCP_SERVICE_PAY_ENDPOINT", upstream.url())
            .set("MCP_SERVICE_PAY_AUTH_TYPE", "none")
            .set("MCP_SERVICE_PAY_HEALTH_PATH", path)
            .set("MCP_SERVICE_PAY_HEALTH_INTERVAL", 20)
    };
    let probes = |path: &str| {
        let asked = upstream.requests().into_iter();
        asked.filter(|it| it.uri.path() == path).count()
    };
    let probed = async |path: &str, number: usize| {
        until(path, async || probes(path) >= number).await;
    };
    let checks = async |gateway: &Running| {
        let stats = gateway.get("/gateway/stats").await.json();
        stats["health_checker"]["total_checks"].as_u64().unwrap()
    };
    let gateway = variables("/old").start().await;
    probed("/old", 5).await;
    let before = checks(&gateway).await;
    assert!(before >= 4);
    assert_eq!(gateway.reload(&variables("/new")).changed, ["pay"]);
    probed("/new", 1).await;
    let old = probes("/old");
    probed("/new", 20).await;
    // One that was under way may have come a moment late.
    assert!(probes("/old") <= old + 1, "{} after {old}", probes("/old"));
    let new = probes("/new") as u64;
    assert!(checks(&gateway).await >= before + new - 1);
}
