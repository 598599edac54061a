//! Clients and servers of the older revisions, many of them behind one address: what is said in a
//! session, and what becomes of it when the session is lost.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const ACCEPT: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

/// A server of 2025-06-18 with one tool, `look`, and resources under its own name.
struct Server {
    upstream: Upstream,
    /// Sessions are of this age, and those of another unknown.
    age: Arc<AtomicUsize>,
}

impl Server {
    async fn start(name: &'static str) -> Self {
        let age = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&age);
        let upstream =
            Upstream::start_with(move |request| answer(name, own.load(Ordering::Relaxed), request));
        Self {
            upstream: upstream.await,
            age,
        }
    }

    /// Forgets every session.
    fn forget(&self) {
        self.age.fetch_add(1, Ordering::Relaxed);
    }

    /// What was said of `method` so far, with the sessions in which it was.
    fn heard(&self, method: &str) -> Vec<(String, Value)> {
        let requests = self.upstream.requests().into_iter();
        let of_method = requests.filter(|it| rpc(it) == method);
        of_method
            .map(|it| {
                let session = it.header("mcp-session-id").unwrap_or_default().to_owned();
                (session, json_of(&it)["params"].clone())
            })
            .collect()
    }

    /// The parameters with which `method` was called in a session.
    fn heard_in(&self, session: &str, method: &str) -> Vec<Value> {
        let heard = self.heard(method).into_iter();
        let heard = heard.filter(|(it, _)| it == session);
        heard.map(|(_, params)| params).collect()
    }

    async fn hears(&self, method: &str, times: usize) -> Vec<(String, Value)> {
        let heard = async {
            while self.heard(method).len() < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), heard).await;
        assert!(in_time.is_ok(), "{method}: {:?}", self.heard(method));
        self.heard(method)
    }
}

/// Null if there is no body.
fn json_of(request: &Recorded) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

/// The method of JSON-RPC, or that of HTTP without one.
fn rpc(request: &Recorded) -> String {
    if request.body.is_empty() {
        return request.method.to_string();
    }
    json_of(request)["method"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn answer(name: &str, age: usize, request: &Recorded) -> Reply {
    let session = format!("{name}-{age}");
    let id = json_of(request)["id"].clone();
    let result = |result: Value| {
        Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
    };
    let error = |code: i64, message: &str| {
        let error = json!({ "code": code, "message": message });
        Reply::json(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
    };
    let method = rpc(request);
    if method == "initialize" {
        let capabilities =
            json!({ "tools": {}, "logging": {}, "resources": { "subscribe": true } });
        return result(
            json!({ "protocolVersion": "2025-06-18", "capabilities": capabilities,
            "serverInfo": { "name": name, "version": "1" } }),
        )
        .header("mcp-session-id", &session);
    }
    if method == "server/discover" || method == "GET" {
        return Reply::status(if method == "GET" { 405 } else { 400 });
    }
    if request.header("mcp-session-id") != Some(&*session) {
        return Reply::status(404);
    }
    let uri = json_of(request)["params"]["uri"].clone();
    match &*method {
        "tools/list" => result(json!({ "tools": [
            { "name": "look", "inputSchema": { "type": "object" } }] })),
        "tools/call" => result(json!({ "content": [{ "type": "text", "text": name }] })),
        "resources/subscribe" if uri.as_str().is_some_and(|uri| !uri.starts_with(name)) => {
            error(-32002, "no such resource")
        }
        "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel" => result(json!({})),
        "prompts/get" => Reply::status(200)
            .header("content-type", "text/event-stream")
            .body("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"),
        "DELETE" => Reply::status(200),
        method if method.starts_with("notifications/") => Reply::status(202),
        _ => error(-32601, "Method not found"),
    }
}

fn gateway(services: &[(&str, String)]) -> Variables {
    let names: Vec<_> = services.iter().map(|(name, _)| *name).collect();
    let mut variables = Variables::default()
        .set("MCP_SERVICES", names.join(","))
        .set("MCP_LIST_TIMEOUT", 500)
        .set("MCP_RETRY_MAX_ATTEMPTS", 0);
    for (name, endpoint) in services {
        let prefix = format!("MCP_SERVICE_{}", name.to_uppercase());
        variables = variables
            .set(&format!("{prefix}_TRANSPORT"), "streamable-http")
            .set(&format!("{prefix}_ENDPOINT"), endpoint);
    }
    variables
}

/// A client of an older revision.
struct Client<'a> {
    gateway: &'a Running,
    path: &'a str,
    session: String,
}

impl<'a> Client<'a> {
    /// One of all services.
    async fn begin(gateway: &'a Running) -> Self {
        Self::begin_at(gateway, "/mcp", "2025-06-18").await
    }

    async fn begin_at(gateway: &'a Running, path: &'a str, version: &str) -> Self {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": { "roots": { "listChanged": true } },
            "clientInfo": { "name": "t", "version": "1" } } });
        let request = gateway.request(Method::POST, path, &ACCEPT, body.to_string());
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let session = answer
            .header("mcp-session-id")
            .expect("a session")
            .to_owned();
        Self {
            gateway,
            path,
            session,
        }
    }

    async fn send(&self, body: Value) -> Answer {
        let session = ("mcp-session-id", &*self.session);
        let headers = [&ACCEPT[..], &[session]].concat();
        let request = self
            .gateway
            .request(Method::POST, self.path, &headers, body.to_string());
        self.gateway.send(request).await
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        self.send(body).await.json()
    }

    async fn look(&self, service: &str) {
        let name = format!("{service}__look");
        let answer = self
            .ask("tools/call", json!({ "name": name, "arguments": {} }))
            .await;
        assert_eq!(answer["result"]["content"][0]["text"], service, "{answer}");
    }
}

#[tokio::test]
async fn what_a_client_says_to_all_reaches_each_service_in_its_own_session() {
    let servers = [Server::start("a").await, Server::start("b").await];
    let gateway = gateway(&[
        ("a", servers[0].upstream.url()),
        ("b", servers[1].upstream.url()),
    ]);
    let gateway = gateway.start().await;
    let client = Client::begin(&gateway).await;
    client.look("a").await;
    client.look("b").await;
    let said = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    assert_eq!(client.send(said).await.status, StatusCode::ACCEPTED);
    for (server, session) in servers.iter().zip(["a-0", "b-0"]) {
        let heard = server.hears("notifications/roots/list_changed", 1).await;
        assert_eq!(heard[0].0, session, "{heard:?}");
    }

    // So does its end.
    let session = [("mcp-session-id", &*client.session)];
    let request = gateway.request(Method::DELETE, "/mcp", &session, "");
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    for (server, session) in servers.iter().zip(["a-0", "b-0"]) {
        let ended = server.hears("DELETE", 1).await;
        assert!(ended.iter().any(|(it, _)| it == session), "{ended:?}");
    }
}

#[tokio::test]
async fn a_resource_is_watched_at_the_service_that_has_it_and_again_when_a_session_is_lost() {
    let servers = [Server::start("a").await, Server::start("b").await];
    let gateway = gateway(&[
        ("a", servers[0].upstream.url()),
        ("b", servers[1].upstream.url()),
    ]);
    let gateway = gateway.start().await;
    let client = Client::begin(&gateway).await;

    // On no list: whoever does not refuse it has it, and what all refuse is refused.
    let watch = |uri: &str| client.ask("resources/subscribe", json!({ "uri": uri }));
    assert_eq!(watch("b://x").await["result"], json!({}));
    let refused = watch("c://x").await;
    assert_eq!(refused["id"], 2);
    assert_eq!(refused["error"]["code"], -32002, "{refused}");
    assert_eq!(refused["error"]["message"], "no such resource");
    let level = client
        .ask("logging/setLevel", json!({ "level": "error" }))
        .await;
    assert_eq!(level["result"], json!({}));

    servers[1].forget();
    client.look("b").await;
    let told = servers[1].hears("logging/setLevel", 2).await;
    assert_eq!(
        told.last().unwrap(),
        &("b-1".to_owned(), json!({ "level": "error" }))
    );
    let in_new = async {
        let new = ("b-1".to_owned(), json!({ "uri": "b://x" }));
        while !servers[1].heard("resources/subscribe").contains(&new) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_new = tokio::time::timeout(Duration::from_secs(10), in_new).await;
    assert!(
        in_new.is_ok(),
        "{:?}",
        servers[1].heard("resources/subscribe")
    );

    // Nobody else hears of it.
    client.look("a").await;
    let elsewhere = servers[0].heard("resources/subscribe");
    let tried = elsewhere
        .iter()
        .filter(|(_, params)| params["uri"] == "b://x");
    assert_eq!(tried.count(), 1, "{elsewhere:?}");

    assert_eq!(
        client
            .ask("resources/unsubscribe", json!({ "uri": "b://x" }))
            .await["result"],
        json!({})
    );
    servers[1].hears("resources/unsubscribe", 1).await;
    assert!(servers[0].heard("resources/unsubscribe").is_empty());
}

#[tokio::test]
async fn a_service_that_hangs_does_not_hold_up_what_concerns_all() {
    let (well, hangs) = (Server::start("well").await, Server::start("hangs").await);
    let services = [
        ("well", well.upstream.url()),
        ("hangs", hangs.upstream.url()),
    ];
    let gateway = gateway(&services).start().await;
    let client = Client::begin(&gateway).await;
    client.look("hangs").await;
    hangs.upstream.handle(|_| Reply::hang());
    let level = client.ask("logging/setLevel", json!({ "level": "error" }));
    let level = tokio::time::timeout(Duration::from_secs(5), level).await;
    assert_eq!(level.expect("an answer in time")["result"], json!({}));
    let told = well.hears("logging/setLevel", 1).await;
    assert_eq!(told[0].1, json!({ "level": "error" }));
}

/// A server that breaks off its first answer may speak any revision.
#[tokio::test]
async fn an_answer_that_broke_off_says_nothing_of_the_revision_for_long() {
    let server = Upstream::start().await;
    server.handle(|_| Reply::truncated());
    let gateway = gateway(&[("new", server.url())]).start().await;
    let ask = async || {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {} });
        let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": { "_meta": meta } });
        let own = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/list"),
        ];
        let headers = [&ACCEPT[..], &own].concat();
        let request = gateway.request(Method::POST, "/mcp/new", &headers, body.to_string());
        gateway.send(request).await.json()
    };
    assert!(ask().await["error"]["code"].is_i64());
    server.handle(|request| {
        let result = match &*rpc(request) {
            "server/discover" => json!({ "supportedVersions": ["2026-07-28"], "capabilities": {} }),
            "tools/list" => json!({ "tools": [] }),
            _ => return Reply::status(404),
        };
        let id = json_of(request)["id"].clone();
        Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
    });
    let heard = async {
        while !ask().await["result"].is_object() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
    assert!(heard.is_ok(), "{}", ask().await);
}

#[tokio::test]
async fn what_a_server_calls_an_error_is_no_status_of_ours() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let all = Client::begin(&gateway).await;
    let one = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    for code in [40_100, 40_400, 42_900, 50_302, -32_600, -32_000] {
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => {
                let error = json!({ "code": code, "message": "no", "data": { "hint": "x" } });
                let id = json_of(request)["id"].clone();
                Reply::json(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
            }
            _ => answer_of_a(request),
        });
        for (client, name) in [(&all, "a__look"), (&one, "look")] {
            let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
                "params": { "name": name, "arguments": {} } });
            let answer = client.send(call).await;
            assert_eq!(answer.status, StatusCode::OK, "{code}");
            assert_eq!(answer.json()["error"]["code"], code);
            assert_eq!(answer.json()["error"]["data"]["hint"], "x");
        }
    }
}

#[tokio::test]
async fn a_refusal_under_another_id_is_heard() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    client.look("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => {
            let error = json!({ "code": -32_600, "message": "why not" });
            let body = json!({ "jsonrpc": "2.0", "id": "server-error", "error": error });
            Reply::status(400)
                .header("content-type", "application/json")
                .body(body.to_string())
        }
        _ => answer_of_a(request),
    });
    let params = json!({ "name": "a__look", "arguments": {} });
    let answer = client.ask("tools/call", params).await;
    assert_eq!(answer["error"]["message"], "why not", "{answer}");
    assert_eq!(answer["id"], 2);
}

#[tokio::test]
async fn what_is_no_message_is_a_failure_of_the_call() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_CB_FAILURE_THRESHOLD", 100)
        .start()
        .await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    let html = |status| {
        Reply::status(status)
            .header("content-type", "text/html")
            .body("<html>")
    };
    for reply in [html(502), html(200), Reply::status(200), Reply::status(202)] {
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => reply.clone(),
            _ => answer_of_a(request),
        });
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": "look", "arguments": {} } });
        let answer = client.send(call).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["error"]["code"], 50_203);
        assert_eq!(answer.json()["id"], 2);
    }
}

/// Media types have no case.
#[tokio::test]
async fn a_message_that_is_called_a_text_is_one() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    for kind in ["text/plain", "Text/Plain; charset=UTF-8"] {
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => Reply::status(200)
                .header("content-type", kind)
                .body(result_of(request)),
            _ => answer_of_a(request),
        });
        let params = json!({ "name": "look", "arguments": {} });
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["result"]["content"], json!([]), "{kind}: {answer}");
    }
}

fn result_of(request: &Recorded) -> String {
    let id = &json_of(request)["id"];
    json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } }).to_string()
}

#[tokio::test]
async fn no_revision_is_agreed_on_that_messages_are_then_refused_for() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "initialize" => {
            let asked = json_of(request)["params"]["protocolVersion"].clone();
            let result = json!({ "protocolVersion": asked, "capabilities": {},
                "serverInfo": { "name": "a", "version": "1" } });
            let id = json_of(request)["id"].clone();
            Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
                .header("mcp-session-id", "a-0")
        }
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "DRAFT-2026-v1", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let request = gateway.request(Method::POST, "/mcp/a", &ACCEPT, body.to_string());
    let answer = gateway.send(request).await;
    assert_eq!(answer.json()["result"]["protocolVersion"], "2025-11-25");
}

/// Servers with sets of tools that are switched on in a session say so to it.
#[tokio::test]
async fn a_list_that_changed_in_a_session_is_new_there_and_nowhere_else() {
    let server = Server::start("a").await;
    let (begun, enabled) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    server.upstream.handle(move |request| {
        let session = request
            .header("mcp-session-id")
            .unwrap_or_default()
            .to_owned();
        let id = json_of(request)["id"].clone();
        let result = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
        match &*rpc(request) {
            "initialize" => {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                let begun = json!({ "protocolVersion": "2025-06-18",
                    "capabilities": { "tools": { "listChanged": true } },
                    "serverInfo": { "name": "a", "version": "1" } });
                Reply::json(result(begun).to_string())
                    .header("mcp-session-id", &format!("own-{number}"))
            }
            "tools/list" => {
                let mut tools =
                    vec![json!({ "name": "look", "inputSchema": { "type": "object" } })];
                if enabled.lock().unwrap().contains(&session) {
                    tools.push(json!({ "name": "extra", "inputSchema": { "type": "object" } }));
                }
                Reply::json(result(json!({ "tools": tools })).to_string())
            }
            "tools/call" => {
                enabled.lock().unwrap().insert(session);
                let changed =
                    json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
                let done = result(json!({ "content": [] }));
                Reply::status(200)
                    .header("content-type", "text/event-stream")
                    .body(format!("data: {changed}\n\ndata: {done}\n\n"))
            }
            "server/discover" => Reply::status(400),
            "GET" => Reply::status(405),
            method if method.starts_with("notifications/") => Reply::status(202),
            _ => answer_of_a(request),
        }
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let (one, other) = (Client::begin(&gateway).await, Client::begin(&gateway).await);
    let tools = async |client: &Client<'_>| {
        let listed = client.ask("tools/list", json!({})).await;
        listed["result"]["tools"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((tools(&one).await, tools(&other).await), (1, 1));
    let params = json!({ "name": "a__look", "arguments": {} });
    one.ask("tools/call", params).await;
    assert_eq!(tools(&one).await, 2);
    assert_eq!(tools(&other).await, 1);
}

#[tokio::test]
async fn a_cursor_goes_back_as_it_came() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/list" => {
            let body = String::from_utf8_lossy(&request.body);
            let (name, next) = if body.contains(r#""cursor":"\u00e9\/""#) {
                ("second", "")
            } else {
                ("first", r#","nextCursor":"\u00e9\/""#)
            };
            let id = json_of(request)["id"].clone();
            let tool = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
            let result = format!(r#"{{"tools":[{tool}]{next}}}"#);
            Reply::json(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
            ))
        }
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let listed = client.ask("tools/list", json!({})).await;
    let names: Vec<_> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(names.len(), 2, "{listed}");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/list" => {
            let cursor = json_of(request)["params"]["cursor"]
                .as_str()
                .map_or(0, str::len);
            let tool = json!({ "name": "look", "description": "d".repeat(50_000),
                "inputSchema": { "type": "object" } });
            let result = json!({ "tools": [tool], "nextCursor": "c".repeat(cursor + 1) });
            let id = json_of(request)["id"].clone();
            Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
        }
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_RATE_LIMIT_BURST", 1_000)
        .set("MCP_GATEWAY_MAX_RESPONSE_BYTES", 100_000)
        .start()
        .await;
    let answer = gateway.get("/mcp/a/tools/list").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.contains("more than 400000 bytes"), "{text}");
    assert!(server.heard("tools/list").len() < 10);
}

#[tokio::test]
async fn a_server_hears_why_its_answer_is_wanted_no_more() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    client.look("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => Reply::hang(),
        _ => answer_of_a(request),
    });
    let call = client.send(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": { "name": "a__look", "arguments": {} } }));
    let cancel = async {
        server.hears("tools/call", 2).await;
        let params = json!({ "requestId": 2, "reason": "the user \"changed\" her mind" });
        let said =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        assert_eq!(client.send(said).await.status, StatusCode::ACCEPTED);
        server.hears("notifications/cancelled", 1).await
    };
    let (_, heard) = tokio::join!(call, cancel);
    assert_eq!(heard[0].1["reason"], "the user \"changed\" her mind");
}

/// What it accepts of notifications says nothing of a server that answers no call.
#[tokio::test]
async fn a_server_that_answers_no_call_opens_its_circuit_though_it_accepts_that_they_are_cancelled()
{
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_TIMEOUT", 1_100)
        .set("MCP_SERVICE_A_CB_FAILURE_THRESHOLD", 2)
        .start()
        .await;
    let call = async || {
        let headers = [("content-type", "application/json")];
        let body = json!({ "name": "look", "arguments": {} }).to_string();
        let request = gateway.request(Method::POST, "/mcp/a/tools/call", &headers, body);
        gateway.send(request).await.json()
    };
    let answer = call().await;
    assert!(answer["error"].is_null(), "{answer}");
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => Reply::hang(),
        _ => answer_of_a(request),
    });
    call().await;
    server.hears("notifications/cancelled", 1).await;
    call().await;
    let refused = call().await.to_string();
    assert!(refused.contains("Circuit breaker open"), "{refused}");
}

fn answer_of_a(request: &Recorded) -> Reply {
    answer("a", 0, request)
}

/// On one connection a server does not say which of its calls a question is about: it may be over.
#[tokio::test]
async fn an_answer_arrives_though_the_call_that_it_was_asked_in_is_over() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| {
        if &*rpc(request) != "tools/call" {
            return answer_of_a(request);
        }
        let question = json!({ "jsonrpc": "2.0", "id": "q-1", "method": "roots/list" });
        let id = json_of(request)["id"].clone();
        let response = json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } });
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .body(format!("data: {question}\n\ndata: {response}\n\n"))
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let call = json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/call",
        "params": { "name": "a__look", "arguments": {} } });
    let said = client.send(call).await;
    let said = String::from_utf8_lossy(&said.body).into_owned();
    let asked = said.split("\"id\":\"bartizan-").nth(1).expect("a question");
    let number = asked.split('"').next().unwrap();
    let answer = json!({ "jsonrpc": "2.0", "id": format!("bartizan-{number}"),
        "result": { "roots": [{ "uri": "file:///here" }] } });
    assert_eq!(client.send(answer).await.status, StatusCode::ACCEPTED);
    let is_it = |request: &Recorded| {
        let json = json_of(request);
        json["id"] == "q-1" && json["result"]["roots"][0]["uri"] == "file:///here"
    };
    let heard = async {
        while !server.upstream.requests().iter().any(is_it) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(5), heard).await;
    assert!(heard.is_ok(), "{said}");
}

/// Who waits for a session that somebody else begins in vain does not wait once more.
#[tokio::test]
async fn a_server_that_begins_no_session_costs_each_caller_one_wait() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "initialize" => Reply::hang(),
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_TIMEOUT", 1_000)
        .start()
        .await;
    let call = async || {
        let headers = [("content-type", "application/json")];
        let body = json!({ "name": "look", "arguments": {} }).to_string();
        let request = gateway.request(Method::POST, "/mcp/a/tools/call", &headers, body);
        gateway.send(request).await
    };
    let all = futures_util::future::join_all((0..8).map(|_| call()));
    let all = tokio::time::timeout(Duration::from_secs(5), all).await;
    for answer in all.expect("answers in time") {
        assert!(answer.json()["error"].is_object(), "{answer:?}");
    }
}

/// Once more, as the documentation says, however often the server says that it knows no session.
#[tokio::test]
async fn a_call_whose_session_is_lost_is_sent_once_more_and_no_oftener() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => Reply::status(404),
        _ => answer_of_a(request),
    });
    let call = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": { "name": "look", "arguments": {} } });
    client.send(call).await;
    assert_eq!(server.heard("tools/call").len(), 2);
}

#[tokio::test]
async fn a_session_that_takes_the_place_of_a_lost_one_knows_what_that_knew() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    client
        .ask("logging/setLevel", json!({ "level": "info" }))
        .await;
    for uri in ["a://1", "a://2"] {
        client
            .ask("resources/subscribe", json!({ "uri": uri }))
            .await;
    }
    client
        .ask("resources/unsubscribe", json!({ "uri": "a://2" }))
        .await;
    server.forget();
    let call = client
        .ask("tools/call", json!({ "name": "look", "arguments": {} }))
        .await;
    assert!(call["error"].is_null(), "{call}");
    server.hears("resources/subscribe", 3).await;
    let level = json!({ "level": "info" });
    assert_eq!(server.heard_in("a-1", "logging/setLevel"), [level]);
    assert_eq!(
        server.heard_in("a-1", "resources/subscribe"),
        [json!({ "uri": "a://1" })]
    );

    // And the next one, what was said in that.
    for (method, uri) in [("subscribe", "a://3"), ("unsubscribe", "a://1")] {
        let method = format!("resources/{method}");
        client.ask(&method, json!({ "uri": uri })).await;
    }
    server.forget();
    client.ask("tools/list", json!({})).await;
    server.hears("resources/subscribe", 5).await;
    server.hears("logging/setLevel", 3).await;
    assert_eq!(
        server.heard_in("a-2", "resources/subscribe"),
        [json!({ "uri": "a://3" })]
    );
}

#[tokio::test]
async fn what_is_said_only_after_a_loss_outlives_the_next() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    let uri = json!({ "uri": "a://1" });
    server.forget();
    client.ask("tools/list", json!({})).await;
    client.ask("resources/subscribe", uri.clone()).await;
    server.forget();
    client.ask("tools/list", json!({})).await;
    server.hears("resources/subscribe", 2).await;
    assert_eq!(server.heard_in("a-2", "resources/subscribe"), [uri]);
}

#[tokio::test]
async fn a_session_in_use_is_not_idle_though_nothing_more_is_to_be_known_of_it() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SESSION_IDLE_TIMEOUT", 2_000)
        .set("MCP_RATE_LIMIT_ENABLED", false);
    let gateway = gateway.start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    let uri = json!({ "uri": "a://1" });
    client.ask("resources/subscribe", uri.clone()).await;
    let clock = Clock::default();
    let until = clock.now() + Duration::from_millis(2_500);
    while clock.now() < until {
        client.ask("tools/list", json!({})).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.forget();
    client.ask("tools/list", json!({})).await;
    server.hears("resources/subscribe", 2).await;
    assert_eq!(server.heard_in("a-1", "resources/subscribe"), [uri]);
}

#[tokio::test]
async fn what_a_server_refused_or_is_too_long_is_not_asked_again_of_another_session() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    let long = format!("a://{}", "x".repeat(10_000));
    for (uri, is_refused) in [("b://refused", true), (&*long, false), ("a://1", false)] {
        let uri = json!({ "uri": uri });
        let answer = client.ask("resources/subscribe", uri).await;
        assert_eq!(answer["error"].is_object(), is_refused, "{answer}");
    }
    server.forget();
    client.ask("tools/list", json!({})).await;
    let uri = json!({ "uri": "a://2" });
    client.ask("resources/unsubscribe", uri.clone()).await;
    server.hears("resources/subscribe", 4).await;
    // Whatever else it is told comes before what it is told in the next one.
    server.forget();
    client.ask("tools/list", json!({})).await;
    server.hears("resources/subscribe", 5).await;
    for session in ["a-1", "a-2"] {
        assert_eq!(
            server.heard_in(session, "resources/subscribe"),
            [json!({ "uri": "a://1" })]
        );
    }
}

/// There may be as many as a thousand, under the limit of their service.
#[tokio::test]
async fn a_call_does_not_wait_for_all_that_its_new_session_is_to_know() {
    for (path, name) in [("/mcp", "a__look"), ("/mcp/a", "look")] {
        let server = Server::start("a").await;
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let client = Client::begin_at(&gateway, path, "2025-06-18").await;
        let uri = json!({ "uri": "a://1" });
        client.ask("resources/subscribe", uri).await;
        server
            .upstream
            .handle(|request| match answer("a", 1, request) {
                reply if rpc(request) != "resources/subscribe" => reply,
                _ if request.header("mcp-session-id") != Some("a-1") => Reply::status(404),
                _ => Reply::hang(),
            });
        let call = client.ask("tools/call", json!({ "name": name, "arguments": {} }));
        let call = tokio::time::timeout(Duration::from_secs(5), call).await;
        let call = call.unwrap_or_else(|_| panic!("{path}: no answer"));
        assert!(call["error"].is_null(), "{path}: {call}");
        server.hears("resources/subscribe", 2).await;
    }
}

#[tokio::test]
async fn listeners_who_come_at_once_subscribe_once() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    server.upstream.handle(|request| {
        let reply = answer("a", 0, request);
        let takes_its_time = rpc(request) == "resources/subscribe";
        reply.after(Duration::from_millis(if takes_its_time { 300 } else { 0 }))
    });
    let gateway = &gateway;
    let listens = (0..3).map(|id| async move {
        let version = "2026-07-28";
        let params = json!({ "notifications": { "resourceSubscriptions": ["a://1"] }, "_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {} } });
        let method = "subscriptions/listen";
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let headers = [("mcp-protocol-version", version), ("mcp-method", method)];
        let headers = [&ACCEPT[..], &headers].concat();
        let request = gateway.request(Method::POST, "/mcp/a", &headers, body.to_string());
        let mut stream = gateway.open(request).await.into_body();
        let first = stream.frame().await.expect("a stream").expect("a frame");
        let first = first.into_data().expect("an event");
        let first = String::from_utf8_lossy(&first).into_owned();
        assert!(first.contains("acknowledged"), "{first}");
        stream
    });
    let streams = futures_util::future::join_all(listens).await;
    assert_eq!(server.heard("resources/subscribe").len(), 1);
    drop(streams);
    server.hears("resources/unsubscribe", 1).await;
    assert_eq!(server.heard("resources/subscribe").len(), 1);
}

/// The result of a task could not be asked for.
#[tokio::test]
async fn a_call_for_all_is_no_task() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": { "roots": {}, "tasks": { "list": {} } },
        "clientInfo": { "name": "t", "version": "1" } } });
    let request = gateway.request(Method::POST, "/mcp", &ACCEPT, body.to_string());
    let begun = gateway.send(request).await;
    let client = Client {
        gateway: &gateway,
        path: "/mcp",
        session: begun.header("mcp-session-id").unwrap().to_owned(),
    };
    let params = json!({ "name": "a__look", "arguments": {}, "task": { "ttl": 1_000 } });
    let answer = client.ask("tools/call", params).await;
    assert!(answer["error"].is_null(), "{answer}");
    let called = server.heard("tools/call");
    assert_eq!(called[0].1, json!({ "name": "look", "arguments": {} }));
    let shown = server.heard("initialize");
    let shown: Vec<_> = shown
        .iter()
        .map(|(_, params)| &params["capabilities"])
        .collect();
    assert!(shown.contains(&&json!({ "roots": {} })), "{shown:?}");
    assert!(shown.iter().all(|it| it["tasks"].is_null()), "{shown:?}");
}

#[tokio::test]
async fn every_member_of_a_batch_is_answered() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    for (path, prefix) in [("/mcp/a", ""), ("/mcp", "a__")] {
        let client = Client::begin_at(&gateway, path, "2025-03-26").await;
        // The stream that answers the first ends without a response.
        let name = format!("{prefix}x");
        let batch = json!([
            { "jsonrpc": "2.0", "id": 7, "method": "prompts/get", "params": { "name": name } },
            { "jsonrpc": "2.0", "method": "notifications/roots/list_changed" },
            { "jsonrpc": "2.0", "id": 8, "method": "tools/list" }
        ]);
        let answers = client.send(batch.clone()).await.json();
        let answers = answers.as_array().expect("a batch");
        assert_eq!(answers.len(), 2, "{path}: {answers:?}");
        let of = |id: u64| answers.iter().find(|it| it["id"] == id).expect("an answer");
        assert!(of(7)["error"]["code"].is_i64(), "{path}: {answers:?}");
        let tool = &of(8)["result"]["tools"][0]["name"];
        assert_eq!(*tool, format!("{prefix}look"), "{path}: {answers:?}");
        // Later revisions have none.
        let later = Client::begin_at(&gateway, path, "2025-06-18").await;
        assert_eq!(
            later.send(batch).await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
}

/// A server that is mounted at `/mcp/` knows no `/mcp`, and nobody here unpacks what it sends.
#[tokio::test]
async fn messages_go_to_the_very_path_that_is_configured() {
    let server = Server::start("a").await;
    let url = format!("{}/mcp/", server.upstream.url());
    let gateway = gateway(&[("a", url)]).start().await;
    Client::begin(&gateway).await.look("a").await;
    for request in server.upstream.requests() {
        assert_eq!(request.uri.path(), "/mcp/");
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
}

/// Who only listens comes again and again, and is no call that failed.
#[tokio::test]
async fn listeners_in_vain_open_no_circuit() {
    for in_vain in [Reply::status(503), Reply::close()] {
        let server = Server::start("a").await;
        server.upstream.handle(move |request| match &*rpc(request) {
            "GET" => in_vain.clone(),
            _ => answer_of_a(request),
        });
        let gateway = gateway(&[("a", server.upstream.url())])
            .set("MCP_SERVICE_A_CB_FAILURE_THRESHOLD", 2)
            .start()
            .await;
        let client = Client::begin(&gateway).await;
        let headers = [
            ("accept", "text/event-stream"),
            ("mcp-session-id", &*client.session),
        ];
        let listening = gateway.open(gateway.request(Method::GET, "/mcp", &headers, ""));
        let listening = listening.await;
        server.hears("GET", 4).await;
        client.look("a").await;
        drop(listening);
    }
}

/// What names must be is said of tools: prompts are called as they like.
#[tokio::test]
async fn a_prompt_with_any_name_is_listed_and_found() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| {
        let id = json_of(request)["id"].clone();
        let result = match &*rpc(request) {
            "prompts/list" => json!({ "prompts": [{ "name": "My prompt" }] }),
            "prompts/get" => json!({ "messages": [] }),
            _ => return answer_of_a(request),
        };
        Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let listed = client.ask("prompts/list", json!({})).await;
    let name = listed["result"]["prompts"][0]["name"].clone();
    assert_eq!(name, "a__My prompt", "{listed}");
    let got = client.ask("prompts/get", json!({ "name": name })).await;
    assert_eq!(got["result"]["messages"], json!([]), "{got}");
    assert_eq!(server.heard("prompts/get")[0].1["name"], "My prompt");
}

/// Who has no resources at all does not say that there is no such method.
#[tokio::test]
async fn who_knows_what_it_is_asked_says_why_there_is_none() {
    let (without, with) = (Server::start("without").await, Server::start("with").await);
    with.upstream.handle(|request| match &*rpc(request) {
        "resources/read" => {
            let error = json!({ "code": -32002, "message": "Resource not found" });
            let id = json_of(request)["id"].clone();
            Reply::json(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
        }
        _ => answer("with", 0, request),
    });
    let services = [
        ("without", without.upstream.url()),
        ("with", with.upstream.url()),
    ];
    let gateway = gateway(&services).start().await;
    let client = Client::begin(&gateway).await;
    let answer = client
        .ask("resources/read", json!({ "uri": "z://none" }))
        .await;
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
}

#[tokio::test]
async fn what_a_server_wants_in_the_query_is_sent_there() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", format!("{}/mcp", server.upstream.url()))])
        .set("MCP_SERVICE_A_AUTH_TYPE", "api-key")
        .set("MCP_SERVICE_A_API_KEY", "a key")
        .set("MCP_SERVICE_A_API_KEY_IN", "query")
        .set("MCP_SERVICE_A_API_KEY_NAME", "key")
        .set("MCP_SERVICE_A_QUERY", "project=7");
    let gateway = gateway.start().await;
    Client::begin(&gateway).await.look("a").await;
    let requests = server.upstream.requests();
    assert!(requests.iter().any(|it| rpc(it) == "tools/call"));
    for request in requests {
        assert_eq!(
            request.uri,
            "/mcp?project=7&key=a%20key",
            "{}",
            rpc(&request)
        );
    }
}

#[tokio::test]
async fn a_resource_is_subscribed_to_once_in_a_session_with_its_server() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let ask = async |method: &str, uri: &str| {
        let answer = client.ask(method, json!({ "uri": uri })).await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    };
    ask("resources/subscribe", "a://x").await;
    server.hears("resources/subscribe", 1).await;
    ask("resources/subscribe", "a://x").await;
    // Whatever else was said of the first would have been said before this.
    ask("resources/subscribe", "a://y").await;
    server.hears("resources/subscribe", 2).await;
    ask("resources/unsubscribe", "a://x").await;
    server.hears("resources/unsubscribe", 1).await;
    let subscribed = |session: &str| {
        let heard = server.heard("resources/subscribe").into_iter();
        let of_session = heard.filter(|(it, _)| it == session);
        of_session
            .map(|(_, params)| params["uri"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(subscribed("a-0"), ["a://x", "a://y"]);
    let dropped = server.heard("resources/unsubscribe");
    assert_eq!(dropped, [("a-0".to_owned(), json!({ "uri": "a://x" }))]);

    // In the session that takes its place, what was watched already and what is from now on.
    server.forget();
    ask("resources/subscribe", "a://x").await;
    // Two before, one in vain, and two in the new session.
    server.hears("resources/subscribe", 5).await;
    ask("resources/subscribe", "a://y").await;
    ask("resources/subscribe", "a://z").await;
    server.hears("resources/subscribe", 6).await;
    assert_eq!(subscribed("a-1"), ["a://y", "a://x", "a://z"]);
}

/// Whoever watches one more goes on to watch the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_watched_is_not_given_up_for_more_to_be_watched() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    for number in 0..20 {
        let uri = json!({ "uri": format!("a://{number}") });
        let answer = client.ask("resources/subscribe", uri).await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    }
    let uri = json!({ "uri": "a://0" });
    client.ask("resources/unsubscribe", uri.clone()).await;
    server.hears("resources/unsubscribe", 1).await;
    // Whatever was given up besides would have been before this.
    let more = json!({ "uri": "a://20" });
    client.ask("resources/subscribe", more).await;
    server.hears("resources/subscribe", 21).await;
    let given_up = server.heard("resources/unsubscribe");
    assert_eq!(given_up, [("a-0".to_owned(), uri)]);
    assert_eq!(server.heard("resources/subscribe").len(), 21);
}

/// RFC 9112, section 6.3: of a length beside chunks, the chunks are right. Sent on, it had the client
/// wait for what never comes, or take the next answer for a part of this one.
#[tokio::test]
async fn a_length_that_is_not_that_of_an_answer_goes_no_further() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let body = json!({ "jsonrpc": "2.0", "id": 1, "result": {
                    "protocolVersion": "2025-06-18", "capabilities": {},
                    "serverInfo": { "name": "s", "version": "1" } } })
                .to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\
                     transfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                     {:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    let variables = Variables::default()
        .set("MCP_SERVICES", "x")
        .set("MCP_SERVICE_X_ENDPOINT", url)
        .set("MCP_SERVICE_X_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_X_AUTH_TYPE", "none");
    let gateway = variables.start().await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let request = gateway.request(Method::POST, "/mcp/x", &ACCEPT, initialize.to_string());
    let answer = tokio::time::timeout(Duration::from_secs(5), gateway.send(request));
    let answer = answer.await.expect("an answer that ends");
    assert_eq!(answer.json()["result"]["serverInfo"]["name"], "s");
}
