//! Lesson 10: clients with open streams hear when services come and go, by a registry or by a
//! reload, at the address of all services and at that of one.

use std::time::Duration;

use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_tests::{Files, Running, Variables};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

const TOOLS: &str = "notifications/tools/list_changed";
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than a gateway waits for services to settle.
const SILENCE: Duration = Duration::from_millis(400);

const ACCEPT: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

/// Somebody who listens.
struct Listener {
    who: String,
    body: Incoming,
    heard: String,
}

impl Listener {
    /// A client of an older revision, on the stream of its session.
    async fn older(gateway: &Running, path: &str) -> Self {
        Self::of_session(gateway, path, &session(gateway, path).await).await
    }

    async fn of_session(gateway: &Running, path: &str, session: &str) -> Self {
        let session = [("accept", "text/event-stream"), ("mcp-session-id", session)];
        let stream = gateway.request(Method::GET, path, &session, "");
        Self::of(format!("older at {path}"), gateway, stream).await
    }

    /// A client of HTTP+SSE, which says nothing.
    async fn oldest(gateway: &Running, path: &str) -> Self {
        let accept = [("accept", "text/event-stream")];
        let stream = gateway.request(Method::GET, &format!("{path}/sse"), &accept, "");
        Self::of(format!("oldest at {path}"), gateway, stream).await
    }

    /// A client of 2026-07-28, which asks for a stream.
    async fn newer(gateway: &Running, path: &str) -> Self {
        let params = json!({ "notifications": { "toolsListChanged": true } });
        let stream = newer(gateway, path, "subscriptions/listen", params);
        let mut listener = Self::of(format!("newer at {path}"), gateway, stream).await;
        listener.hears("acknowledged", 1).await;
        listener
    }

    async fn of(
        who: String,
        gateway: &Running,
        request: http::Request<http_body_util::Full<bytes::Bytes>>,
    ) -> Self {
        let response = gateway.open(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{who}");
        Self {
            who,
            body: response.into_body(),
            heard: String::new(),
        }
    }

    /// Reads on; false at the end.
    async fn read(&mut self) -> bool {
        match self.body.frame().await {
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                self.heard.push_str(&String::from_utf8_lossy(&data));
                true
            }
            _ => false,
        }
    }

    /// Waits until `text` was heard so many times, and forgets all of it.
    async fn hears(&mut self, text: &str, times: usize) {
        let heard = async {
            while self.heard.matches(text).count() < times {
                assert!(
                    self.read().await,
                    "{}: the end after {}",
                    self.who,
                    self.heard
                );
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await;
        assert!(heard.is_ok(), "{}: no {text} in {}", self.who, self.heard);
        self.heard.clear();
    }

    /// Hears nothing for a while.
    async fn hears_nothing(&mut self) {
        let quiet = async {
            while self.read().await {
                assert!(!self.heard.contains(TOOLS), "{}: {}", self.who, self.heard);
            }
            panic!("{}: the stream ended", self.who);
        };
        let _ = tokio::time::timeout(SILENCE, quiet).await;
    }

    /// Reads to the end; what was said on the way.
    async fn ends(mut self) -> String {
        let end = async { while self.read().await {} };
        let end = tokio::time::timeout(PATIENCE, end).await;
        assert!(end.is_ok(), "{}: no end after {}", self.who, self.heard);
        self.heard
    }
}

/// A session of an older revision.
async fn session(gateway: &Running, path: &str) -> String {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let begun = gateway.request(Method::POST, path, &ACCEPT, body.to_string());
    let begun = gateway.send(begun).await;
    assert_eq!(begun.status, StatusCode::OK, "{:?}", begun.body);
    let session = begun.header("mcp-session-id");
    session.expect("a session").to_owned()
}

fn newer(
    gateway: &Running,
    path: &str,
    method: &str,
    mut params: Value,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    let headers = [
        &ACCEPT[..],
        &[
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
        ],
    ];
    let body = json!({ "jsonrpc": "2.0", "id": "l-1", "method": method, "params": params });
    gateway.request(Method::POST, path, &headers.concat(), body.to_string())
}

/// The prefixes of the tools at the address of all services.
async fn services(gateway: &Running) -> Vec<String> {
    let list = gateway
        .send(newer(gateway, "/mcp", "tools/list", json!({})))
        .await;
    let json = list.json();
    let tools = json["result"]["tools"].as_array().expect("tools").iter();
    let mut services: Vec<_> = tools
        .filter_map(|tool| Some(tool["name"].as_str()?.split_once("__")?.0.to_owned()))
        .collect();
    services.dedup();
    services
}

async fn fixture(eras: Eras) -> String {
    let fixture = HttpFixture::bind(0, eras).await.expect("a fixture");
    let url = fixture.url().to_owned();
    tokio::spawn(fixture.serve());
    url
}

fn registry(templates: &[(&str, &str)]) -> String {
    let templates: serde_json::Map<_, _> = templates
        .iter()
        .map(|(name, url)| {
            let instances = json!([{ "id": format!("{name}-1"), "endpoint": url }]);
            ((*name).to_owned(), json!({ "instances": instances }))
        })
        .collect();
    json!({ "templates": templates }).to_string()
}

fn variables(files: &Files, services: &[(&str, &str)], timeout: u32) -> Variables {
    let names: Vec<_> = services.iter().map(|(name, _)| *name).collect();
    let mut variables = Variables::default()
        .set("MCP_SERVICES", names.join(","))
        .set(
            "MCP_GATEWAY_REGISTRY_FILE",
            files.path("registry.json").display(),
        )
        .set("MCP_LIST_TIMEOUT", 5_000);
    for (name, url) in services {
        let prefix = format!("MCP_SERVICE_{}", name.to_uppercase());
        variables = variables
            .set(&format!("{prefix}_TRANSPORT"), "streamable-http")
            .set(&format!("{prefix}_ENDPOINT"), url)
            .set(&format!("{prefix}_TIMEOUT"), timeout);
    }
    variables
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_10_clients_of_all_services_hear_of_those_that_come_and_go() {
    let (old, new) = (fixture(Eras::Legacy).await, fixture(Eras::Modern).await);
    let files = Files::new();
    files.write("registry.json", registry(&[("one", &new)]));
    let gateway = variables(&files, &[("base", &old)], 5_000).start().await;
    assert_eq!(services(&gateway).await, ["base", "one"]);
    let mut all = [
        Listener::older(&gateway, "/mcp").await,
        Listener::newer(&gateway, "/mcp").await,
    ];

    // Several changes at once are one to hear of.
    for _ in 0..3 {
        files.write("registry.json", registry(&[("one", &new), ("two", &old)]));
        files.write("registry.json", registry(&[("one", &new), ("two", &new)]));
    }
    for listener in &mut all {
        listener.hears(TOOLS, 1).await;
        listener.hears_nothing().await;
    }
    assert_eq!(services(&gateway).await, ["base", "one", "two"]);

    files.write("registry.json", registry(&[("two", &new)]));
    for listener in &mut all {
        listener.hears(TOOLS, 1).await;
    }
    assert_eq!(services(&gateway).await, ["base", "two"]);

    // A reload that brings one, and one that changes another.
    gateway.reload(&variables(&files, &[("base", &old), ("more", &old)], 5_000));
    for listener in &mut all {
        listener.hears(TOOLS, 1).await;
    }
    assert_eq!(services(&gateway).await, ["base", "more", "two"]);
    gateway.reload(&variables(&files, &[("base", &old), ("more", &old)], 6_000));
    for listener in &mut all {
        listener.hears(TOOLS, 1).await;
    }
    // Nothing has changed: nothing is said.
    gateway.reload(&variables(&files, &[("base", &old), ("more", &old)], 6_000));
    for listener in &mut all {
        listener.hears_nothing().await;
    }

    // What came later is listened to as well as what was there: a list that changes at a server.
    let call = json!({ "name": "more__test_trigger_tool_change", "arguments": {} });
    for listener in &mut all {
        let told = async {
            loop {
                let mut request = newer(&gateway, "/mcp", "tools/call", call.clone());
                let name = "more__test_trigger_tool_change".parse().expect("a header");
                request.headers_mut().insert("mcp-name", name);
                gateway.send(request).await;
                let heard = tokio::time::timeout(Duration::from_millis(200), listener.read());
                let _ = heard.await;
                if listener.heard.contains(TOOLS) {
                    return;
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        assert!(told.is_ok(), "{}: {}", listener.who, listener.heard);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_10_a_client_of_one_service_hears_that_it_is_another_and_comes_again() {
    for eras in [Eras::Legacy, Eras::Modern] {
        let url = fixture(eras).await;
        let files = Files::new();
        let gateway = variables(&files, &[("x", &url)], 5_000).start().await;
        let mut older = Listener::older(&gateway, "/mcp/x").await;
        let mut newer = Listener::newer(&gateway, "/mcp/x").await;

        // Others are no business of theirs.
        gateway.reload(&variables(&files, &[("x", &url), ("y", &url)], 5_000));
        files.write("registry.json", registry(&[("z", &url)]));
        older.hears_nothing().await;
        newer.hears_nothing().await;

        let changed = gateway.reload(&variables(&files, &[("x", &url)], 6_000));
        assert_eq!(changed.changed, ["x"]);
        for listener in [older, newer] {
            let who = listener.who.clone();
            let said = listener.ends().await;
            assert_eq!(said.matches(TOOLS).count(), 1, "{eras:?}, {who}: {said}");
        }
        // It comes again, and hears when the service goes.
        let older = Listener::older(&gateway, "/mcp/x").await;
        let newer = Listener::newer(&gateway, "/mcp/x").await;
        gateway.reload(&variables(&files, &[("y", &url)], 6_000));
        for listener in [older, newer] {
            let said = listener.ends().await;
            assert!(said.contains(TOOLS), "{eras:?}: {said}");
        }
    }
}

/// The protocol has each message told on one stream. A client whose connection broke comes back
/// before anybody knows, and is not to be locked out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_streams_of_a_session_the_newest_hears_what_there_is_to_hear() {
    let url = fixture(Eras::Modern).await;
    let files = Files::new();
    let gateway = variables(&files, &[("x", &url)], 5_000).start().await;
    let session = session(&gateway, "/mcp").await;
    let first = Listener::of_session(&gateway, "/mcp", &session).await;
    let second = Listener::of_session(&gateway, "/mcp", &session).await;
    assert_eq!(first.ends().await.matches(TOOLS).count(), 0);
    let mut third = Listener::of_session(&gateway, "/mcp", &session).await;
    assert_eq!(second.ends().await.matches(TOOLS).count(), 0);
    gateway.reload(&variables(&files, &[("x", &url), ("y", &url)], 5_000));
    third.hears(TOOLS, 1).await;
    third.hears_nothing().await;
}

/// Load balancers still send calls then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_http_and_sse_are_heard_until_the_port_closes() {
    let url = fixture(Eras::Legacy).await;
    let files = Files::new();
    let variables = variables(&files, &[("x", &url)], 5_000).set("MCP_GATEWAY_DRAIN_DELAY", 2_000);
    let gateway = variables.start().await;
    let mut before = Listener::oldest(&gateway, "/mcp/x").await;
    gateway.stopper().stop();
    while gateway.get("/readyz").await.status == StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut after = Listener::oldest(&gateway, "/mcp/x").await;
    for listener in [&mut before, &mut after] {
        while !listener.heard.contains("\n\n") {
            assert!(listener.read().await);
        }
        let endpoint = listener.heard.split("data: ").nth(1).unwrap();
        let endpoint = endpoint.lines().next().unwrap().to_owned();
        let initialize = json!({ "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
            "protocolVersion": "2024-11-05", "capabilities": {},
            "clientInfo": { "name": "t", "version": "1" } } });
        let answer = gateway.post_to(&endpoint, initialize.to_string()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        listener.hears("serverInfo", 1).await;
    }
    gateway.stop().await;
    before.ends().await;
    after.ends().await;
}

/// Who only listens has nothing under way that a drain would have to wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_does_not_wait_for_those_who_only_listen() {
    for eras in [Eras::Legacy, Eras::Modern] {
        let url = fixture(eras).await;
        let files = Files::new();
        let gateway = variables(&files, &[("x", &url)], 5_000).start().await;
        let mut listeners = Vec::new();
        for path in ["/mcp", "/mcp/x"] {
            listeners.push(Listener::older(&gateway, path).await);
            listeners.push(Listener::newer(&gateway, path).await);
            listeners.push(Listener::oldest(&gateway, path).await);
        }
        let stopped = tokio::time::timeout(PATIENCE, gateway.stop()).await;
        let drained = stopped.expect("a drain that ends");
        assert_eq!(drained.aborted, 0, "{eras:?}");
        for listener in listeners {
            listener.ends().await;
        }
    }
}
