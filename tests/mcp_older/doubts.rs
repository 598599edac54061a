//! Answers that may mean that a session is lost, or something else.

use std::time::Duration;

use bartizan_testkit::{Recorded, Reply};
use http::{Method, StatusCode};
use serde_json::json;

use crate::peers::{Client, Server, answer, answer_of_a, gateway, json_of, rpc};

fn refusal(request: &Recorded, status: u16, code: i64, message: &str) -> Reply {
    let error = json!({ "code": code, "message": message });
    let body = json!({ "jsonrpc": "2.0", "id": json_of(request)["id"], "error": error });
    Reply::json(body.to_string()).with_status(status)
}

/// It ran, and the session that it speaks of is one of its own.
#[tokio::test]
async fn a_tool_that_fails_for_a_session_of_its_own_runs_once() {
    for (path, name) in [("/mcp", "a__look"), ("/mcp/a", "look")] {
        let server = Server::start("a").await;
        server.upstream.handle(|request| match &*rpc(request) {
            "tools/call" => refusal(request, 200, -32001, "browser session closed"),
            _ => answer_of_a(request),
        });
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let client = Client::begin_at(&gateway, path, "2025-06-18").await;
        client.ask("ping", json!({})).await;
        let params = json!({ "name": name, "arguments": {} });
        for times in 1..=2 {
            let failed = client.ask("tools/call", params.clone()).await;
            assert_eq!(failed["error"]["code"], -32001, "{path}: {failed}");
            let calls = server.heard("tools/call");
            assert_eq!(calls.len(), times, "{path}: {calls:?}");
            assert!(calls.iter().all(|(session, _)| session == "a-0"));
        }
    }
}

/// The server says in an answer of success that it does not know the session, or something else of
/// one: a tool may have run.
#[tokio::test]
async fn a_call_after_a_loss_that_looks_like_a_failure_finds_another_session() {
    let paths = [("/mcp", "a__look"), ("/mcp/a", "look")];
    let ways = [
        ("Session not found", true),
        ("checkout session closed", false),
    ];
    for ((path, name), (words, is_plain)) in paths.iter().flat_map(|it| ways.map(|way| (*it, way)))
    {
        let server = Server::start("a").await;
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let client = Client::begin_at(&gateway, path, "2025-06-18").await;
        let params = json!({ "name": name, "arguments": {} });
        client.ask("tools/call", params.clone()).await;
        server.forget();
        server
            .upstream
            .handle(|request| match request.header("mcp-session-id") {
                Some("a-0") if rpc(request) == "ping" => {
                    refusal(request, 200, -32001, "Session not found")
                }
                Some("a-0") => refusal(request, 200, -32001, words),
                _ => answer("a", 1, request),
            });
        if !is_plain {
            let failed = client.ask("tools/call", params.clone()).await;
            assert_eq!(failed["error"]["code"], -32001, "{path}: {failed}");
        }
        let called = client.ask("tools/call", params).await;
        assert!(called["error"].is_null(), "{path}: {called}");
        let sessions = server.heard("tools/call").into_iter();
        let sessions: Vec<_> = sessions.map(|(session, _)| session).collect();
        assert_eq!(sessions, ["a-0", "a-0", "a-1"], "{path}");
    }
}

#[tokio::test]
async fn an_answer_to_a_question_reaches_no_other_session() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    server.forget();
    let body = json!({ "jsonrpc": "2.0", "id": 7, "result": { "action": "accept" } });
    assert_eq!(client.send(body).await.status, StatusCode::ACCEPTED);
    // A server that begins anew numbers its questions anew.
    client.ask("tools/list", json!({})).await;
    let answers = server.upstream.requests();
    let answers = answers.iter().filter(|it| json_of(it)["id"] == 7);
    let sessions: Vec<_> = answers.map(|it| it.header("mcp-session-id")).collect();
    assert_eq!(sessions, [Some("a-0")]);
}

#[tokio::test]
async fn a_server_without_a_route_for_streams_keeps_its_sessions() {
    for path in ["/mcp", "/mcp/a"] {
        let server = Server::start("a").await;
        server.upstream.handle(|request| match &*rpc(request) {
            "GET" => Reply::status(404).body("Cannot GET /mcp"),
            _ => answer_of_a(request),
        });
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let client = Client::begin_at(&gateway, path, "2025-06-18").await;
        client.ask("tools/list", json!({})).await;
        let headers = [
            ("accept", "text/event-stream"),
            ("mcp-session-id", &*client.session),
        ];
        let listens = gateway.request(Method::GET, path, &headers, "");
        let listens = gateway.open(listens).await;
        server.hears("ping", 1).await;
        // Longer than the first pause before a stream is opened again.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = server.heard("initialize").len();
        let streams = server.heard("GET").len();
        // At the address of all, the gateway listens for itself as well.
        let expected = if path == "/mcp" { 2 } else { 1 };
        assert_eq!((begun, streams), (expected, expected), "{path}");
        drop(listens);
    }
}

#[tokio::test]
async fn a_session_whose_server_is_gone_goes_on_at_another_in_whatever_words_that_knows_it_not() {
    for path in ["/mcp", "/mcp/a"] {
        let mut servers = two_servers().await;
        let urls: Vec<_> = servers.iter().map(|it| it.upstream.url()).collect();
        let gateway = gateway(&[("a", urls.join(","))]).set("MCP_RETRY_MAX_ATTEMPTS", 2);
        let gateway = gateway.start().await;
        let client = Client::begin_at(&gateway, path, "2025-06-18").await;
        let name = if path == "/mcp" { "a__look" } else { "look" };
        let params = json!({ "name": name, "arguments": {} });
        client.ask("tools/call", params.clone()).await;
        if servers[1].heard("tools/call").len() == 1 {
            servers.swap(0, 1);
        }
        let [gone, _other] = servers;
        gone.upstream.kill().await;
        let called = client.ask("tools/call", params).await;
        assert!(called["error"].is_null(), "{path}: {called}");
    }
}

/// It may be kept where it was begun, where nobody comes back to it.
#[tokio::test]
async fn a_session_that_goes_on_elsewhere_is_ended_where_it_was_begun() {
    let mut servers = two_servers().await;
    let urls: Vec<_> = servers.iter().map(|it| it.upstream.url()).collect();
    let gateway = gateway(&[("a", urls.join(","))]).set("MCP_RETRY_MAX_ATTEMPTS", 2);
    let gateway = gateway.start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    client.ask("tools/list", json!({})).await;
    if servers[1].heard("tools/list").len() == 1 {
        servers.swap(0, 1);
    }
    let [ill, _other] = servers;
    ill.upstream.handle(|request| match &*rpc(request) {
        "DELETE" => Reply::status(200),
        _ => Reply::status(503),
    });
    let listed = client.ask("tools/list", json!({})).await;
    assert!(listed["error"].is_null(), "{listed}");
    ill.hears("DELETE", 1).await;
    ill.was_ended_without_a_body();
}

/// Two instances of one service, of which neither knows the sessions of the other.
async fn two_servers() -> [Server; 2] {
    let servers = [Server::start("a").await, Server::start("a").await];
    for (age, server) in servers.iter().enumerate() {
        let own = format!("a-{age}");
        server.upstream.handle(move |request| {
            match (&*rpc(request), request.header("mcp-session-id")) {
                ("initialize" | "server/discover" | "GET", _) => answer("a", age, request),
                (_, Some(session)) if session == own => answer("a", age, request),
                _ => refusal(request, 400, -32000, "Bad Request: No valid session ID"),
            }
        });
    }
    servers
}
