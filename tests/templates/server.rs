//! Servers of MCP in a few lines, a registry that lists them, and what asks the gateway.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A `registry.json` that lasts as long as its test.
pub struct Registry {
    directory: TempDir,
}

impl Registry {
    pub fn new(templates: &Value) -> Self {
        let registry = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        registry.write(templates);
        registry
    }

    /// A template `t` with these instances.
    pub fn of(instances: &[(&str, &str)]) -> Self {
        Self::balanced("round_robin", instances)
    }

    pub fn balanced(strategy: &str, instances: &[(&str, &str)]) -> Self {
        let instances = instances.iter().map(|(id, url)| instance(id, url));
        Self::new(&json!({ "t": {
            "instances": instances.collect::<Vec<_>>(),
            "load_balancer": { "strategy": strategy }
        } }))
    }

    pub fn write(&self, templates: &Value) {
        let text = json!({ "templates": templates }).to_string();
        let next = self.directory.path().join("next.json");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("registry.json")
    }

    pub fn variables(&self) -> Variables {
        Variables::default()
            .set("MCP_GATEWAY_REGISTRY_FILE", self.path().display())
            .set("POLL_INTERVAL", 1)
    }

    pub async fn start(&self) -> Running {
        self.variables().start().await
    }
}

pub fn instance(id: &str, url: &str) -> Value {
    json!({ "id": id, "template_name": "t", "endpoint": url, "transport": "http" })
}

pub fn method(request: &Recorded) -> String {
    let json: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    json["method"].as_str().unwrap_or_default().to_owned()
}

/// How often a method was called at a server.
pub fn count(server: &Upstream, name: &str) -> usize {
    let requests = server.requests();
    requests.iter().filter(|it| method(it) == name).count()
}

/// An answer whose result is this text.
pub fn answer(request: &Recorded, result: &str) -> Reply {
    let id = request.json()["id"].to_string();
    Reply::json(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
    ))
}

pub fn error(request: &Recorded, error: &Value) -> Reply {
    let id = request.json()["id"].clone();
    Reply::json(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
}

fn not_found(request: &Recorded) -> Reply {
    error(
        request,
        &json!({ "code": -32601, "message": "Method not found" }),
    )
    .with_status(404)
}

const DISCOVERED: &str =
    r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"resultType":"complete"}"#;

/// A server of 2026-07-28 that answers other requests than those of its handshake with what
/// `says`, and with its name where that says nothing.
pub async fn modern(
    name: &'static str,
    says: impl Fn(&Recorded, &str) -> Option<Reply> + Send + Sync + 'static,
) -> Upstream {
    Upstream::start_with(move |request| {
        let method = method(request);
        if let Some(reply) = says(request, &method) {
            return reply;
        }
        match method.as_str() {
            "server/discover" => answer(request, DISCOVERED),
            "tools/call" => answer(
                request,
                &format!(r#"{{"content":[{{"type":"text","text":"{name}"}}],"isError":false}}"#),
            ),
            _ => not_found(request),
        }
    })
    .await
}

/// A server that answers with its name, and nothing else.
pub async fn plain(name: &'static str) -> Upstream {
    modern(name, |_, _| None).await
}

/// A server of 2025-11-25 whose sessions nobody else knows, and whose lists have two pages.
pub async fn legacy(name: &'static str) -> Upstream {
    let sessions: Arc<Mutex<HashSet<String>>> = Arc::default();
    let begun = AtomicUsize::new(0);
    Upstream::start_with(move |request| {
        let method = method(request);
        if method == "initialize" {
            let session = format!("{name}-{}", begun.fetch_add(1, Ordering::Relaxed));
            sessions.lock().insert(session.clone());
            let result = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#;
            return answer(request, result).header("mcp-session-id", &session);
        }
        if request.method != Method::POST {
            return Reply::status(405);
        }
        let Some(session) = request.header("mcp-session-id") else {
            let text = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#;
            return Reply::json(text).with_status(400);
        };
        if !sessions.lock().contains(session) {
            let lost = json!({ "code": -32001, "message": "Session not found" });
            return error(request, &lost).with_status(404);
        }
        let cursor = || request.json()["params"]["cursor"].clone();
        match method.as_str() {
            "tools/list" if cursor() == json!(format!("{name}-2")) => answer(
                request,
                r#"{"tools":[{"name":"b","inputSchema":{"type":"object"}}]}"#,
            ),
            "tools/list" if cursor().is_null() => answer(
                request,
                &format!(r#"{{"tools":[{{"name":"a","inputSchema":{{"type":"object"}}}}],"nextCursor":"{name}-2"}}"#),
            ),
            "tools/list" => error(request, &json!({ "code": -32602, "message": "no such cursor" })),
            "tools/call" => answer(
                request,
                &format!(r#"{{"content":[{{"type":"text","text":"{name}"}}],"n":1.10}}"#),
            ),
            "" => Reply::status(202),
            it if it.starts_with("notifications/") => Reply::status(202),
            _ => not_found(request),
        }
    })
    .await
}

/// `POST /mcp/{template}/{operation}`.
pub async fn post(gateway: &Running, path: &str, body: &str) -> Answer {
    post_with(gateway, path, &[], body).await
}

pub async fn post_with(
    gateway: &Running,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers = [&[("content-type", "application/json")], headers].concat();
    let request = gateway.request(Method::POST, path, &headers, body.to_owned());
    gateway.send(request).await
}

/// Calls the tool `x` of the template `t`.
pub async fn call(gateway: &Running) -> Answer {
    post(
        gateway,
        "/mcp/t/tools/call",
        r#"{"name":"x","arguments":{}}"#,
    )
    .await
}

/// The text that a result of a tool begins with.
pub fn text(answer: &Answer) -> String {
    let json = answer.json();
    let text = json["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text: {json}")).to_owned()
}
