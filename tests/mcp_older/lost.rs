//! What becomes of a session that its server has lost, and of what was said in it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_testkit::Reply;
use bartizan_tests::until;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;

use crate::peers::{Client, Server, answer, answer_of_a, gateway, rpc};

/// Who waits for a session that somebody else begins in vain does not wait once more.
#[tokio::test]
async fn a_server_that_begins_no_session_costs_each_caller_one_wait() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "initialize" => Reply::status(503).after(Duration::from_secs(1)),
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let call = async || {
        let headers = [("content-type", "application/json")];
        let body = json!({ "name": "look", "arguments": {} }).to_string();
        let request = gateway.request(Method::POST, "/mcp/a/tools/call", &headers, body);
        gateway.send(request).await
    };
    for answer in futures_util::future::join_all((0..8).map(|_| call())).await {
        assert!(answer.json()["error"].is_object(), "{answer:?}");
    }
    assert_eq!(server.heard("initialize").len(), 1);
}

/// Calls that lose their session together ask together for another.
#[tokio::test]
async fn a_server_that_begins_no_other_session_is_asked_once_for_all_calls_under_way() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    client.look("a").await;
    let begun = server.heard("initialize").len();
    server.upstream.handle(|request| match &*rpc(request) {
        "initialize" => Reply::status(503).after(Duration::from_secs(2)),
        "tools/call" => Reply::status(404).after(Duration::from_secs(1)),
        _ => Reply::status(404),
    });
    let calls = (2..8).map(|id| {
        client.send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "a__look", "arguments": {} } }))
    });
    for answer in futures_util::future::join_all(calls).await {
        assert!(answer.json()["error"].is_object(), "{answer:?}");
    }
    assert_eq!(server.heard("tools/call").len(), 1 + 6);
    assert_eq!(server.heard("initialize").len(), begun + 1);
}

/// What is begun or asked for all goes by nobody's patience.
#[tokio::test]
async fn a_caller_without_patience_takes_no_service_from_others() {
    for slow in ["server/discover", "initialize"] {
        let server = Server::start("a").await;
        server.upstream.handle(move |request| {
            let delay = if rpc(request) == slow { 600 } else { 0 };
            answer_of_a(request).after(Duration::from_millis(delay))
        });
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let call = |timeout: u64| {
            let call = json!({ "service": "a", "operation": "look", "parameters": {},
                "metadata": { "timeout": timeout } });
            gateway.post(call.to_string())
        };
        let patient = async {
            server.hears(slow, 1).await;
            call(20_000).await
        };
        let (impatient, patient) = tokio::join!(call(150), patient);
        assert_eq!(patient.json()["success"], true, "{slow}: {patient:?}");
        assert_eq!(server.heard(slow).len(), 1, "{slow}");
        let said = impatient.message();
        assert_eq!(said, "timeout of 150ms exceeded", "{slow}");
    }
}

/// Once more, as the documentation says, however often the server says that it knows no session.
#[tokio::test]
async fn a_call_whose_session_is_lost_is_sent_once_more_and_no_oftener() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" | "ping" => Reply::status(404),
        _ => answer_of_a(request),
    });
    let call = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": { "name": "look", "arguments": {} } });
    client.send(call).await;
    assert_eq!(server.heard("tools/call").len(), 2);
}

/// A server that looks at a session late says to the call under way that there is none.
#[tokio::test]
async fn a_session_that_its_client_ends_is_begun_again_for_no_call_under_way() {
    // In the first session, and in one that took its place.
    for losses in [0, 1] {
        let server = Server::start("a").await;
        let gateway = gateway(&[("a", server.upstream.url())]).start().await;
        let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
        if losses > 0 {
            server.forget();
            client.ask("tools/list", json!({})).await;
        }
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => Reply::status(404).after(Duration::from_millis(500)),
            "ping" => Reply::status(404),
            _ => answer("a", losses, request),
        });
        let call = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call",
            "params": { "name": "look", "arguments": {} } });
        let ends = async {
            server.hears("tools/call", 1).await;
            let session = [("mcp-session-id", &*client.session)];
            let ends = gateway.request(Method::DELETE, "/mcp/a", &session, "");
            gateway.send(ends).await
        };
        let (called, ended) = tokio::join!(client.send(call), ends);
        assert_eq!(ended.status, StatusCode::OK, "{losses}: {ended:?}");
        assert_eq!(called.status, StatusCode::NOT_FOUND, "{losses}: {called:?}");
        assert_eq!(server.heard("tools/call").len(), 1, "{losses}");
        assert_eq!(server.heard("initialize").len(), 1 + losses, "{losses}");
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
    let new = ("b-1".to_owned(), json!({ "uri": "b://x" }));
    until("watched in the new session", async || {
        servers[1].heard("resources/subscribe").contains(&new)
    })
    .await;

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

/// A client that has no patience would begin from nothing each time.
#[tokio::test]
async fn a_session_that_was_begun_for_who_gave_up_is_there_for_the_next() {
    let server = Server::start("a").await;
    let age = Arc::clone(&server.age);
    server.upstream.handle(move |request| {
        let reply = answer("a", age.load(Ordering::Relaxed), request);
        let takes_its_time = rpc(request) == "initialize";
        reply.after(Duration::from_millis(if takes_its_time { 400 } else { 0 }))
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let gives_up = async |begun: usize| {
        tokio::select! {
            () = client.look("a") => panic!("an answer"),
            _ = server.hears("initialize", begun) => {}
        }
    };
    gives_up(1).await;
    client.look("a").await;
    assert_eq!(server.heard("initialize").len(), 1);
    assert_eq!(server.heard("tools/call").len(), 1);

    // Who listens hears that another has begun, whoever it was begun for.
    let headers = [
        ("accept", "text/event-stream"),
        ("mcp-session-id", &*client.session),
    ];
    let listens = gateway.request(Method::GET, "/mcp", &headers, "");
    let mut stream = gateway.open(listens).await.into_body();
    server.hears("GET", 1).await;
    let begun = server.heard("initialize").len();
    server.forget();
    gives_up(begun + 1).await;
    let told = async {
        loop {
            let frame = stream.frame().await.expect("a stream").expect("no error");
            let text = frame.into_data().unwrap_or_default();
            if String::from_utf8_lossy(&text).contains("tools/list_changed") {
                break;
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), told).await;
    told.expect("told of the lists");
}
