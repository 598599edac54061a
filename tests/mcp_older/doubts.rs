//! Answers that may mean that a session is lost, or something else.

use std::time::Duration;

use bartizan_testkit::{Recorded, Reply};
use http::{Method, StatusCode};
use serde_json::json;

use crate::peers::{Client, Server, answer, answer_of_a, gateway, json_of, rpc};

/// Where a client may be, and what the tool is called there.
const DOORS: [(&str, &str); 2] = [("/mcp", "a__look"), ("/mcp/a", "look")];

fn refusal(request: &Recorded, status: u16, code: i64, message: &str) -> Reply {
    let error = json!({ "code": code, "message": message });
    let body = json!({ "jsonrpc": "2.0", "id": json_of(request)["id"], "error": error });
    Reply::json(body.to_string()).with_status(status)
}

/// It ran, and the session that it speaks of is one of its own.
#[tokio::test]
async fn a_tool_that_fails_for_a_session_of_its_own_runs_once() {
    for (path, name) in DOORS {
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

/// It ran, whatever the status of its answer is.
#[tokio::test]
async fn a_tool_whose_own_answer_is_a_404_runs_once() {
    let refusals: [fn(&Recorded) -> Reply; 6] = [
        |it| {
            refusal(
                it,
                404,
                -32000,
                "order placed, but its coupon was not found",
            )
        },
        |it| refusal(it, 404, -32001, "Session not found"),
        |it| {
            refusal(
                it,
                400,
                -32001,
                "card charged, then the checkout session expired",
            )
        },
        |_| Reply::json(r#"{"detail":"no such coupon"}"#).with_status(404),
        |_| {
            let error = r#"{"code":-32000,"message":"no such coupon"}"#;
            let body = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#);
            Reply::json(body).with_status(404)
        },
        |it| {
            let result = json!({ "content": [], "isError": true });
            let body = json!({ "jsonrpc": "2.0", "id": json_of(it)["id"], "result": result });
            Reply::json(body.to_string()).with_status(404)
        },
    ];
    for (path, name) in DOORS {
        for (at, failed) in refusals.into_iter().enumerate() {
            let server = Server::start("a").await;
            server.upstream.handle(move |request| match &*rpc(request) {
                "tools/call" => failed(request),
                _ => answer_of_a(request),
            });
            let gateway = gateway(&[("a", server.upstream.url())]).start().await;
            let client = Client::begin_at(&gateway, path, "2025-06-18").await;
            client.ask("ping", json!({})).await;
            let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
                "params": { "name": name, "arguments": {} } });
            for times in 1..=2 {
                let answer = client.send(call.clone()).await;
                assert_ne!(answer.status, StatusCode::NOT_FOUND, "{path} {at}");
                let calls = server.heard("tools/call");
                assert_eq!(calls.len(), times, "{path} {at}: {calls:?}");
                assert!(calls.iter().all(|(session, _)| session == "a-0"));
            }
        }
    }
}

/// Its client would take a 404 for the end of its own session, and say again in another what was done.
#[tokio::test]
async fn the_answer_of_a_tool_that_ran_while_its_session_was_lost_is_one() {
    for (path, name) in DOORS {
        let server = Server::start("a").await;
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let client = Client::begin_at(&gateway, path, "2025-06-18").await;
        client.ask("ping", json!({})).await;
        server.upstream.handle(|request| match &*rpc(request) {
            "tools/call" => refusal(
                request,
                404,
                -32000,
                "order placed, but no coupon was found",
            ),
            "ping" => Reply::status(404),
            _ => answer_of_a(request),
        });
        for times in 1..=2 {
            let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
                "params": { "name": name, "arguments": {} } });
            let answer = client.send(call).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {times}");
            assert_eq!(answer.json()["error"]["code"], -32000, "{path} {times}");
            assert_eq!(server.heard("tools/call").len(), times, "{path}");
        }
    }
}

/// As the SDKs of TypeScript, Python (older and newer), C#, Java and Go have it.
#[tokio::test]
async fn a_call_in_a_session_that_is_lost_in_the_words_of_an_sdk_is_sent_again() {
    let error = |id: &str, code: i64, message: &str| {
        let error = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
    };
    let own = "\"{id}\"";
    let bodies = [
        error("null", -32001, "Session not found"),
        error("null", -32600, "Session not found"),
        error("\"server-error\"", -32600, "Session not found"),
        error(own, -32001, "Session not found"),
        r#"{"jsonRpcError":{"code":-32603,"message":"Session not found: 1"}}"#.to_owned(),
        "session not found\n".to_owned(),
    ];
    for (path, name) in DOORS {
        for body in bodies.clone() {
            let server = Server::start("a").await;
            let gateway = gateway(&[("a", server.upstream.url())]).start().await;
            let client = Client::begin_at(&gateway, path, "2025-06-18").await;
            let params = json!({ "name": name, "arguments": {} });
            client.ask("tools/call", params.clone()).await;
            server.forget();
            let lost = body.clone();
            server
                .upstream
                .handle(move |request| match request.header("mcp-session-id") {
                    Some("a-0") => {
                        let id = json_of(request)["id"].to_string();
                        let body = lost.replace(own, &id);
                        Reply::json(body).with_status(404)
                    }
                    _ => answer("a", 1, request),
                });
            let called = client.ask("tools/call", params).await;
            assert!(called["error"].is_null(), "{path}: {body}: {called}");
            let sessions = server.heard("tools/call").into_iter();
            let sessions: Vec<_> = sessions.map(|(session, _)| session).collect();
            assert_eq!(sessions, ["a-0", "a-0", "a-1"], "{path}: {body}");
        }
    }
}

/// The server says in an answer of success that it does not know the session, or something else of
/// one: a tool may have run.
#[tokio::test]
async fn a_call_after_a_loss_that_looks_like_a_failure_finds_another_session() {
    let ways = [
        ("Session not found", true),
        ("checkout session closed", false),
    ];
    for ((path, name), (words, is_plain)) in
        DOORS.into_iter().flat_map(|it| ways.map(|way| (it, way)))
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
