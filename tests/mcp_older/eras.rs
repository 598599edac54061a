//! Servers that become ones of another era.

use std::time::Duration;

use bartizan_testkit::{Recorded, Reply};
use bartizan_tests::Running;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::peers::{ACCEPT, Client, Server, answer_of_a, gateway, json_of, rpc};

/// How often a client calls until it is answered: once to find out.
const TRIES: usize = 3;

/// What a server of 2026-07-28 says, which has the tool `look`, too.
fn newer(request: &Recorded) -> Reply {
    let id = json_of(request)["id"].clone();
    let result = |mut result: Value| {
        result["resultType"] = json!("complete");
        Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
    };
    let refused = |status: u16, code: i64| {
        let error = json!({ "code": code, "message": "no" });
        let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        Reply::json(body.to_string()).with_status(status)
    };
    let method = rpc(request);
    if method == "GET" || method == "DELETE" {
        return Reply::status(405);
    }
    if request.header("mcp-protocol-version") != Some("2026-07-28") {
        return refused(400, -32022);
    }
    match &*method {
        "server/discover" => result(json!({ "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {} } })),
        "tools/list" => result(json!({ "tools": [
            { "name": "look", "inputSchema": { "type": "object" } }] })),
        "tools/call" => result(json!({ "content": [{ "type": "text", "text": "newer" }] })),
        _ => refused(404, -32601),
    }
}

/// A call of a client of 2026-07-28.
async fn newer_call(gateway: &Running, path: &str) -> Value {
    let name = if path == "/mcp" { "a__look" } else { "look" };
    let (version, method) = ("2026-07-28", "tools/call");
    let headers = [
        ("mcp-protocol-version", version),
        ("mcp-method", method),
        ("mcp-name", name),
    ];
    let headers = [&ACCEPT[..], &headers].concat();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {} });
    let params = json!({ "name": name, "arguments": {}, "_meta": meta });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = gateway.request(Method::POST, path, &headers, body.to_string());
    gateway.send(request).await.json()
}

async fn older_call(client: &Client<'_>) -> Value {
    let name = if client.path == "/mcp" {
        "a__look"
    } else {
        "look"
    };
    let params = json!({ "name": name, "arguments": {} });
    client.ask("tools/call", params).await
}

/// Calls until the answer is this one.
async fn comes_to(text: &str, call: impl AsyncFn() -> Value) {
    let mut said = Value::Null;
    for _ in 0..TRIES {
        said = call().await;
        if said["result"]["content"][0]["text"] == text {
            return;
        }
    }
    panic!("{text} is not what it says: {said}");
}

#[tokio::test]
async fn a_server_that_goes_back_to_an_older_revision_is_found_out() {
    let server = Server::start("a").await;
    server.upstream.handle(newer);
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let at_one = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    comes_to("newer", async || newer_call(&gateway, "/mcp").await).await;
    comes_to("newer", async || newer_call(&gateway, "/mcp/a").await).await;
    comes_to("newer", async || older_call(&client).await).await;
    comes_to("newer", async || older_call(&at_one).await).await;
    server.upstream.handle(answer_of_a);
    comes_to("a", async || older_call(&client).await).await;
    comes_to("a", async || newer_call(&gateway, "/mcp").await).await;
    comes_to("a", async || newer_call(&gateway, "/mcp/a").await).await;
    comes_to("a", async || older_call(&at_one).await).await;
    let anew = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    comes_to("a", async || older_call(&anew).await).await;
}

/// The code and the status are those of a newer server that lacks something, too.
#[tokio::test]
async fn nobody_waits_for_what_a_client_asks_wrongly() {
    for path in ["/mcp", "/mcp/a"] {
        let server = Server::start("a").await;
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let client = Client::begin_at(&gateway, path, "2025-06-18").await;
        comes_to("a", async || newer_call(&gateway, path).await).await;
        server.upstream.handle(|request| match &*rpc(request) {
            "server/discover" => Reply::hang(),
            "tools/call" => {
                let error = json!({ "code": -32602, "message": "no" });
                let id = &json_of(request)["id"];
                let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
                Reply::json(body.to_string()).with_status(400)
            }
            _ => answer_of_a(request),
        });
        let asked = server.heard("server/discover").len();
        let calls = async {
            for _ in 0..3 {
                let refused = older_call(&client).await;
                assert_eq!(refused["error"]["code"], -32602, "{path}: {refused}");
                let refused = newer_call(&gateway, path).await;
                assert_eq!(refused["error"]["code"], -32602, "{path}: {refused}");
            }
        };
        let calls = tokio::time::timeout(Duration::from_secs(10), calls).await;
        calls.unwrap_or_else(|_| panic!("{path}: no answer"));
        assert_eq!(
            server.hears("server/discover", asked + 1).await.len(),
            asked + 1
        );
    }
}

#[tokio::test]
async fn a_server_that_goes_on_to_the_newer_revision_is_found_out() {
    for path in ["/mcp", "/mcp/a"] {
        let server = Server::start("a").await;
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        comes_to("a", async || newer_call(&gateway, path).await).await;
        server.upstream.handle(newer);
        comes_to("newer", async || newer_call(&gateway, path).await).await;
    }

    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    comes_to("a", async || older_call(&client).await).await;
    server.upstream.handle(newer);
    comes_to("newer", async || older_call(&client).await).await;

    // Who begins is the first to be refused, or whose session was the old server's.
    let server = Server::start("a").await;
    let gateway = crate::peers::gateway(&[("a", server.upstream.url())])
        .start()
        .await;
    comes_to("a", async || newer_call(&gateway, "/mcp/a").await).await;
    let before = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    server.upstream.handle(newer);
    let call = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": { "name": "look", "arguments": {} } });
    assert_eq!(before.send(call).await.status, StatusCode::NOT_FOUND);
    comes_to("newer", async || newer_call(&gateway, "/mcp/a").await).await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    comes_to("newer", async || older_call(&client).await).await;
}
