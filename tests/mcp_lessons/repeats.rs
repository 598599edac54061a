//! What is sent twice, and what never is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;

use crate::{
    agent::{Agent, call, variables},
    server::{Server, modern_housekeeping, result, status},
};

/// A server whose tool `look` is read-only by its own word; every first call fails.
async fn flaky() -> (Server, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&calls);
    let server = Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "tools/list" => result(
                heard,
                &json!({"resultType": "complete", "tools": [
                    {"name": "look", "inputSchema": {}, "annotations": {"readOnlyHint": true}},
                    {"name": "send", "inputSchema": {}}]}),
            ),
            _ if own.fetch_add(1, Ordering::SeqCst) == 0 => status(503),
            _ => result(heard, &json!({"resultType": "complete", "content": []})),
        })
    })
    .await;
    (server, calls)
}

#[tokio::test]
async fn lesson_22_an_untrusted_call_is_never_sent_twice() {
    let (server, calls) = flaky().await;
    let gateway = variables(&server.url()).start().await;
    let answer = Agent::new(&gateway)
        .modern("tools/call", json!({"name": "look"}))
        .await;
    assert_eq!(answer.message()["error"]["code"], 50203, "{answer:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn lesson_22_a_trusted_servers_word_counts() {
    let (server, calls) = flaky().await;
    let gateway = variables(&server.url())
        .set("MCP_SERVICE_X_TRUST_ANNOTATIONS", true)
        .start()
        .await;
    let agent = Agent::new(&gateway);
    let answer = agent.modern("tools/call", json!({"name": "look"})).await;
    assert_eq!(
        answer.message()["result"]["resultType"],
        "complete",
        "{answer:?}"
    );
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    calls.store(0, Ordering::SeqCst);
    agent.modern("tools/call", json!({"name": "send"})).await;
    assert_eq!(
        calls.load(Ordering::SeqCst),
        1,
        "it did not say so of this one"
    );
}

#[tokio::test]
async fn lesson_22_a_key_makes_a_call_repeatable_and_names_no_other_message() {
    let (server, calls) = flaky().await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).with("idempotency-key", "k-1");
    let answer = agent.modern("tools/call", json!({"name": "send"})).await;
    assert_eq!(
        answer.message()["result"]["resultType"],
        "complete",
        "{answer:?}"
    );
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    for heard in server.heard() {
        let expected = (heard.rpc() == "tools/call").then_some("k-1");
        assert_eq!(heard.header("idempotency-key"), expected, "{}", heard.rpc());
    }
}

#[tokio::test]
async fn lesson_22_an_empty_key_is_none() {
    let (server, calls) = flaky().await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).with("idempotency-key", "");
    agent.modern("tools/call", json!({"name": "send"})).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn lesson_22_a_key_of_a_batch_names_none_of_its_calls() {
    let server = Server::start(|heard| match &*heard.rpc() {
        "initialize" => result(
            heard,
            &json!({"protocolVersion": "2025-03-26", "capabilities": {},
                "serverInfo": {"name": "scripted", "version": "1"}}),
        ),
        "tools/call" => result(heard, &json!({"content": []})),
        _ => status(405),
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).with("idempotency-key", "k-1");
    for (batch, expected) in [(1..=1, Some("k-1")), (1..=2, None)] {
        let count = server.count("tools/call");
        let calls: Vec<_> = batch.map(|id| call(id, "pay", &json!({}))).collect();
        let answer = agent.legacy(&calls.into()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let heard = server.heard();
        let heard = heard.iter().filter(|it| it.rpc() == "tools/call");
        for heard in heard.skip(count) {
            assert_eq!(heard.header("idempotency-key"), expected);
        }
    }
    assert_eq!(server.count("tools/call"), 3);
}
