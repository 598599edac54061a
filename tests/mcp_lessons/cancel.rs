//! A client that does not want its answer any more, in all four pairs of eras.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    agent::{Agent, call, variables},
    server::{Heard, Pen, Say, Server, Sessions, events, modern_housekeeping, result, status},
};

type Pens = Arc<Mutex<Vec<Pen>>>;

fn stream(pens: &Pens) -> Say {
    let (pen, say) = events();
    pens.lock().push(pen);
    say
}

/// An older server; calls of `silent` are never answered, those of others on a stream.
async fn older(pens: &Pens) -> Server {
    let (pens, sessions) = (Arc::clone(pens), Sessions::default());
    Server::start(move |heard| {
        sessions
            .housekeeping(heard, |_| status(404))
            .unwrap_or_else(|| match heard.json()["params"]["name"].as_str() {
                Some("silent") => Say::Nothing,
                Some(_) => stream(&pens),
                None => result(heard, &json!({"tools": []})),
            })
    })
    .await
}

async fn newer(pens: &Pens) -> Server {
    let pens = Arc::clone(pens);
    Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "tools/call" => stream(&pens),
            "tools/list" => result(heard, &json!({"resultType": "complete", "tools": []})),
            _ => status(202),
        })
    })
    .await
}

fn cancelled(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

fn is_cancelled(heard: &Heard) -> bool {
    heard.rpc() == "notifications/cancelled"
}

async fn closed(pens: &Pens) {
    let pen = pens.lock().first().cloned().expect("a call");
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, pen.closed())
        .await
        .expect("closed");
}

#[tokio::test]
async fn a_newer_client_of_a_newer_server_closes_its_stream() {
    let pens = Pens::default();
    let server = newer(&pens).await;
    let gateway = variables(&server.url()).start().await;
    let response = Agent::new(&gateway)
        .begin_modern(1, "tools/call", json!({"name": "t"}))
        .await;
    drop(response);
    closed(&pens).await;
}

#[tokio::test]
async fn an_older_client_of_an_older_server_says_so() {
    let pens = Pens::default();
    let server = older(&pens).await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    let response = agent
        .send(
            http::Method::POST,
            &[],
            call(4, "t", &json!({})).to_string(),
        )
        .await;
    agent.legacy(&cancelled(4)).await;
    let told = server.until(is_cancelled).await;
    assert_eq!(told.json()["params"]["requestId"], 4);
    drop(response);
    closed(&pens).await;
}

#[tokio::test]
async fn an_older_client_of_a_newer_server_says_so_and_the_stream_closes() {
    let pens = Pens::default();
    let server = newer(&pens).await;
    let gateway = variables(&server.url())
        .set("MCP_KEEP_ALIVE_INTERVAL", 100)
        .start()
        .await;
    let agent = Agent::new(&gateway).initialized().await;
    let begun = agent
        .send(
            http::Method::POST,
            &[],
            call(4, "t", &json!({})).to_string(),
        )
        .await;
    agent.legacy(&cancelled(4)).await;
    closed(&pens).await;
    drop(begun);

    pens.lock().clear();
    let begun = agent
        .send(
            http::Method::POST,
            &[],
            call(5, "t", &json!({})).to_string(),
        )
        .await;
    drop(begun);
    closed(&pens).await;
}

#[tokio::test]
async fn a_newer_client_of_an_older_server_goes_away_and_the_server_is_told() {
    let pens = Pens::default();
    let server = older(&pens).await;
    let gateway = variables(&server.url())
        .set("MCP_KEEP_ALIVE_INTERVAL", 100)
        .start()
        .await;
    // Also when the server has not even begun to answer.
    for tool in ["t", "silent"] {
        let before = server.heard().len();
        let agent = Agent::new(&gateway);
        let begun = agent
            .begin_modern(1, "tools/call", json!({"name": tool}))
            .await;
        let asked = server.until(|it| it.json()["params"]["name"] == tool).await;
        drop(begun);
        let id = asked.json()["id"].clone();
        server
            .until(|it| is_cancelled(it) && it.json()["params"]["requestId"] == id)
            .await;
        assert!(server.heard().len() > before);
    }
}
