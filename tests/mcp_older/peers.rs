//! A server and a client of the older revisions, and the gateway between them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables, until};
use http::{Method, StatusCode};
use serde_json::{Value, json};

pub(crate) const ACCEPT: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

/// A server of 2025-06-18, and of 2025-03-26 for who asks for that, with one tool, `look`, and resources under its own name.
pub(crate) struct Server {
    pub(crate) upstream: Upstream,
    /// Sessions are of this age, and those of another unknown.
    pub(crate) age: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(name: &'static str) -> Self {
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
    pub(crate) fn forget(&self) {
        self.age.fetch_add(1, Ordering::Relaxed);
    }

    /// What was said of `method` so far, with the sessions in which it was.
    pub(crate) fn heard(&self, method: &str) -> Vec<(String, Value)> {
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
    pub(crate) fn heard_in(&self, session: &str, method: &str) -> Vec<Value> {
        let heard = self.heard(method).into_iter();
        let heard = heard.filter(|(it, _)| it == session);
        heard.map(|(_, params)| params).collect()
    }

    pub(crate) async fn hears(&self, method: &str, times: usize) -> Vec<(String, Value)> {
        until(method, async || self.heard(method).len() >= times).await;
        self.heard(method)
    }

    /// Some servers refuse a body that is said to be JSON and is empty.
    pub(crate) fn was_ended_without_a_body(&self) {
        let ends = self.upstream.requests().into_iter();
        for end in ends.filter(|it| it.method == Method::DELETE) {
            assert!(end.body.is_empty(), "{end:?}");
            assert_eq!(end.header("content-type"), None, "{end:?}");
        }
    }
}

/// Null if there is no body.
pub(crate) fn json_of(request: &Recorded) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

/// The method of JSON-RPC, or that of HTTP without one.
pub(crate) fn rpc(request: &Recorded) -> String {
    if request.body.is_empty() {
        return request.method.to_string();
    }
    json_of(request)["method"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn answer(name: &str, age: usize, request: &Recorded) -> Reply {
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
        let asked = json_of(request)["params"]["protocolVersion"].clone();
        let version = if asked == "2025-03-26" {
            asked
        } else {
            json!("2025-06-18")
        };
        return result(
            json!({ "protocolVersion": version, "capabilities": capabilities,
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

pub(crate) fn answer_of_a(request: &Recorded) -> Reply {
    answer("a", 0, request)
}

pub(crate) fn gateway(services: &[(&str, String)]) -> Variables {
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
pub(crate) struct Client<'a> {
    pub(crate) gateway: &'a Running,
    pub(crate) path: &'a str,
    pub(crate) session: String,
}

impl<'a> Client<'a> {
    /// One of all services.
    pub(crate) async fn begin(gateway: &'a Running) -> Self {
        Self::begin_at(gateway, "/mcp", "2025-06-18").await
    }

    pub(crate) async fn begin_at(gateway: &'a Running, path: &'a str, version: &str) -> Self {
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

    pub(crate) async fn send(&self, body: Value) -> Answer {
        let session = ("mcp-session-id", &*self.session);
        let headers = [&ACCEPT[..], &[session]].concat();
        let request = self
            .gateway
            .request(Method::POST, self.path, &headers, body.to_string());
        self.gateway.send(request).await
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        self.send(body).await.json()
    }

    pub(crate) async fn look(&self, service: &str) {
        let name = format!("{service}__look");
        let answer = self
            .ask("tools/call", json!({ "name": name, "arguments": {} }))
            .await;
        assert_eq!(answer["result"]["content"][0]["text"], service, "{answer}");
    }
}
