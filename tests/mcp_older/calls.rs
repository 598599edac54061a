//! What clients say to all services or to one, and where it goes.

use std::{sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bartizan_gateway::Gateway;
use bartizan_testkit::Reply;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tower::ServiceExt;

use crate::peers::{ACCEPT, Client, Server, answer, answer_of_a, gateway, rpc};

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
        server.was_ended_without_a_body();
    }
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

#[tokio::test]
async fn an_answer_that_cannot_be_read_spoils_no_other_of_its_batch() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-03-26").await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "look" } },
        { "jsonrpc": "2.0", "id": 8, "method": "tools/list" }
    ]);
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => Reply::json(r#"{"jsonrpc":"2.0","id":7,"result":{}}garbage"#),
        _ => answer_of_a(request),
    });
    let answers = client.send(batch).await.json();
    assert_eq!(answers[0]["error"]["code"], 50_203, "{answers}");
    assert_eq!(
        (&answers[0]["id"], &answers[1]["id"]),
        (&7.into(), &8.into())
    );
    assert!(answers[1]["result"]["tools"].is_array(), "{answers}");
}

#[tokio::test]
async fn a_batch_in_a_session_that_is_unknown_is_told_so() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    for path in ["/mcp/a", "/mcp"] {
        let batch = r#"[{"jsonrpc":"2.0","id":8,"method":"tools/list"}]"#;
        let headers = [&ACCEPT[..], &[("mcp-session-id", "of-another-time")]].concat();
        let request = gateway.request(Method::POST, path, &headers, batch);
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["error"]["code"], -32_001, "{path}");
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

/// A batch is of the one revision, and the client had asked for the other.
#[tokio::test]
async fn a_session_is_of_the_revision_that_was_agreed_on() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "initialize" => {
            let result = json!({ "protocolVersion": "2025-03-26", "capabilities": {},
                "serverInfo": { "name": "a", "version": "1" } });
            let body = json!({ "jsonrpc": "2.0", "id": 1, "result": result });
            Reply::json(body.to_string()).header("mcp-session-id", "a-0")
        }
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    let batch = json!([{ "jsonrpc": "2.0", "id": 8, "method": "tools/list" }]);
    let answer = client.send(batch).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
}

#[tokio::test]
async fn a_service_that_is_away_when_a_level_is_set_hears_it_later() {
    let server = Server::start("a").await;
    server.upstream.handle(|_| Reply::status(503));
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_CB_FAILURE_THRESHOLD", 1_000)
        .start()
        .await;
    let client = Client::begin(&gateway).await;
    let level = json!({ "level": "error" });
    client.ask("logging/setLevel", level.clone()).await;
    server.upstream.handle(answer_of_a);
    client.look("a").await;
    assert_eq!(server.heard_in("a-0", "logging/setLevel"), [level]);
}

/// Each request of a session looks at it, if only for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_client_says_is_not_lost_for_other_requests_of_its_session() {
    const TIMES: usize = 200;

    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_RATE_LIMIT_RPM", 600_000)
        .set("MCP_SERVICE_A_RATE_LIMIT_BURST", 10_000)
        .start()
        .await;
    let gateway = Arc::new(gateway);
    let begun = Client::begin(&gateway).await;
    begun.look("a").await;
    let tasks = (0..8).map(|_| {
        let (gateway, session) = (Arc::clone(&gateway), begun.session.clone());
        tokio::spawn(async move {
            let client = Client {
                gateway: &gateway,
                path: "/mcp",
                session,
            };
            let said = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
            for _ in 0..TIMES {
                let (said, ()) = tokio::join!(client.send(said.clone()), client.look("a"));
                assert_eq!(said.status, StatusCode::ACCEPTED);
            }
        })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.expect("no panic");
    }
    let heard = server.heard_in("a-0", "notifications/roots/list_changed");
    assert_eq!(heard.len(), 8 * TIMES);
}

/// Each was answered before the next, though the server takes longer to begin a session.
#[tokio::test]
async fn a_server_hears_levels_in_the_order_in_which_they_were_said() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| {
        let takes_its_time = rpc(request) == "initialize";
        answer_of_a(request).after(Duration::from_secs(if takes_its_time { 2 } else { 0 }))
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let levels = ["debug", "info", "error"].map(|level| json!({ "level": level }));
    for level in &levels {
        client.ask("logging/setLevel", level.clone()).await;
    }
    // What was said and taken back before the server listened need not be said at all.
    server.hears("logging/setLevel", 2).await;
    let heard = server.heard_in("a-0", "logging/setLevel");
    assert_eq!(heard, [levels[0].clone(), levels[2].clone()]);

    // And so does the session that takes the place of this one.
    server.forget();
    server.upstream.handle(|request| answer("a", 1, request));
    client.look("a").await;
    let told = server.hears("logging/setLevel", 3).await;
    assert_eq!(told[2], ("a-1".to_owned(), levels[2].clone()));
}

/// Only its answer says what it is called.
#[tokio::test]
async fn a_session_that_begins_for_a_client_who_has_left_is_ended() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| {
        let takes_its_time = rpc(request) == "initialize";
        answer_of_a(request).after(Duration::from_millis(if takes_its_time { 500 } else { 0 }))
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    tokio::select! {
        client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18") => panic!("{}", client.session),
        _ = server.hears("initialize", 1) => {}
    }
    let ended = server.hears("DELETE", 1).await;
    assert_eq!(ended[0].0, "a-0");

    // One who stays has another.
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    client.ask("tools/list", json!({})).await;
    assert_eq!(server.heard("initialize").len(), 2);
    assert_eq!(server.heard("DELETE").len(), 1);
}

/// Whoever has a server of their own calls nothing but the service.
#[tokio::test]
async fn a_session_that_nobody_uses_is_ended_whatever_serves_the_gateway() {
    let server = Server::start("a").await;
    let variables = gateway(&[("a", server.upstream.url())]).set("MCP_SESSION_IDLE_TIMEOUT", 1_000);
    let gateway = Gateway::with_clock(&variables.configuration(), Clock::tokio());
    let service = gateway.expect("a gateway that can be built").service();
    let mut session = String::new();
    for body in [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "t", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "a__look", "arguments": {} } }),
    ] {
        let request = Request::post("/mcp")
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        let request = if session.is_empty() {
            request
        } else {
            request.header("mcp-session-id", &session)
        };
        let request = request
            .body(Full::<Bytes>::from(body.to_string()))
            .expect("a request");
        let answer = service.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
        if let Some(id) = answer.headers().get("mcp-session-id") {
            session = id.to_str().expect("a session").to_owned();
        }
    }
    assert!(server.heard("DELETE").is_empty());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    let ended = server.hears("DELETE", 1).await;
    assert_eq!(ended[0].0, "a-0");
}
