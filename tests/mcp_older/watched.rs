//! Resources that are watched, and those who listen.

use std::time::Duration;

use bartizan_testkit::Reply;
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;

use crate::peers::{ACCEPT, Client, Server, answer, answer_of_a, gateway, rpc};

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

/// A server that has not noticed that the stream before is over.
#[tokio::test]
async fn a_stream_that_is_refused_for_another_is_asked_for_again() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "GET" => Reply::status(409),
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let headers = [
        ("accept", "text/event-stream"),
        ("mcp-session-id", &*client.session),
    ];
    let listening = gateway.open(gateway.request(Method::GET, "/mcp", &headers, ""));
    let listening = listening.await;
    server.hears("GET", 2).await;
    drop(listening);
}

/// Nor do the questions that come before they can listen.
#[tokio::test]
async fn listeners_to_a_server_that_is_away_open_no_circuit() {
    for in_vain in ["server/discover", "initialize"] {
        let server = Server::start("a").await;
        server.upstream.handle(move |request| match &*rpc(request) {
            method if method == in_vain => Reply::status(503),
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
        server.hears(in_vain, 3).await;
        server.upstream.handle(answer_of_a);
        client.look("a").await;
        drop(listening);
    }
}

/// A server that is begun anew may be another one.
#[tokio::test]
async fn a_stream_that_was_not_to_be_had_is_asked_for_again_in_another_session() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let headers = [
        ("accept", "text/event-stream"),
        ("mcp-session-id", &*client.session),
    ];
    let listening = gateway.open(gateway.request(Method::GET, "/mcp", &headers, ""));
    let listening = listening.await;
    server.hears("GET", 1).await;
    server.forget();
    client.look("a").await;
    let asked = server.hears("GET", 2).await;
    assert_eq!(asked.last().expect("two").0, "a-1");
    drop(listening);
}
