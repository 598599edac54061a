//! Lists of tools and prompts, page by page, as they are and as they come to be.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_testkit::Reply;
use http::StatusCode;
use serde_json::{Value, json};

use crate::peers::{Client, Server, answer_of_a, gateway, json_of, rpc};

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

/// Nor does one wait for as many times as others ask who get no answer.
#[tokio::test]
async fn a_server_that_lists_no_tools_costs_each_caller_one_wait() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/list" => Reply::status(503).after(Duration::from_secs(1)),
        _ => answer_of_a(request),
    });
    let all = futures_util::future::join_all((0..8).map(|_| gateway.get("/mcp/a/tools/list")));
    for answer in all.await {
        assert!(answer.json()["error"].is_object(), "{answer:?}");
    }
    assert_eq!(server.heard("tools/list").len(), 1);

    // It is asked again by who comes later.
    server.upstream.handle(answer_of_a);
    let listed = gateway.get("/mcp/a/tools/list").await.json();
    assert_eq!(listed["count"], 1, "{listed}");
}

/// What one gave up waiting for is there for the next.
#[tokio::test]
async fn a_list_that_takes_long_is_asked_for_once() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| {
        let delay = if rpc(request) == "tools/list" { 600 } else { 0 };
        answer_of_a(request).after(Duration::from_millis(delay))
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    tokio::select! {
        answer = gateway.get("/mcp/a/tools/list") => panic!("{answer:?}"),
        _ = server.hears("tools/list", 1) => {}
    }
    let listed = gateway.get("/mcp/a/tools/list").await.json();
    assert_eq!(listed["count"], 1, "{listed}");
    assert_eq!(server.heard("tools/list").len(), 1);
}
