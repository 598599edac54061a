//! Streams: that they live, that they are answered at once, and that each message is on one.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    agent::{Agent, call, read, until, variables},
    server::{Pen, Say, Server, Sessions, events, modern_housekeeping, pieces, result, status},
};

/// A pen that a handler hands out to the test.
#[derive(Clone, Debug, Default)]
struct Held(Arc<Mutex<Vec<Pen>>>);

impl Held {
    fn events(&self) -> Say {
        let (pen, say) = events();
        self.0.lock().push(pen);
        say
    }

    fn pen(&self, index: usize) -> Pen {
        self.0.lock()[index].clone()
    }
}

fn final_event(id: u64) -> serde_json::Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": []}})
}

#[tokio::test]
async fn lesson_10_changed_lists_reach_clients_of_both_eras() {
    let notice = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    let (held, sessions) = (Held::default(), Sessions::default());
    let handed = held.clone();
    let server = Server::start(move |heard| {
        sessions
            .housekeeping(heard, |_| status(404))
            .unwrap_or_else(|| match heard.method {
                Method::GET => handed.events(),
                _ => result(heard, &json!({})),
            })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    let mut older = agent.send(Method::GET, &[], "").await.into_body();
    let listens = json!({"notifications": {"toolsListChanged": true}});
    let newer = Agent::new(&gateway);
    let newer = newer.begin_modern(9, "subscriptions/listen", listens).await;
    let mut newer = newer.into_body();
    until(&mut newer, "subscriptions/acknowledged").await;
    server
        .until(|it| it.method == Method::GET && it.header("mcp-session-id") == Some("s-2"))
        .await;
    while held.0.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    for index in 0..2 {
        held.pen(index).event(&notice);
    }
    until(&mut older, "tools/list_changed").await;
    let told = until(&mut newer, "tools/list_changed").await;
    assert!(
        told.contains(r#""io.modelcontextprotocol/subscriptionId":9"#),
        "{told}"
    );
}

#[tokio::test]
async fn lesson_10_changed_lists_of_newer_servers_reach_older_clients() {
    let held = Held::default();
    let handed = held.clone();
    let server = Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "subscriptions/listen" => handed.events(),
            _ => result(heard, &json!({"resultType": "complete"})),
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    let mut news = agent.send(Method::GET, &[], "").await.into_body();
    let listens = server.until(|it| it.rpc() == "subscriptions/listen").await;
    held.pen(0).event(
        &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": listens.json()["id"]}}}),
    );
    let told = until(&mut news, "tools/list_changed").await;
    assert!(!told.contains("subscriptionId"), "{told}");
}

#[tokio::test]
async fn lesson_12_a_late_answer_is_a_stream_with_comments() {
    let (pen, body) = pieces();
    let body = Mutex::new(Some(body));
    let (go, wait) = tokio::sync::watch::channel(false);
    let server = Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| {
            // Headers and body only once the test says so.
            let mut wait = wait.clone();
            let (_, kept) = (wait.borrow_and_update(), body.lock().take());
            Say::Later(wait, "application/json", kept.expect("one call"))
        })
    })
    .await;
    let gateway = variables(&server.url())
        .set("MCP_KEEP_ALIVE_INTERVAL", 100)
        .start()
        .await;
    let agent = Agent::new(&gateway);
    let response = agent
        .begin_modern(5, "tools/call", json!({"name": "slow"}))
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    until(&mut body, ": keepalive\n\n").await;
    pen.write(final_event(5).to_string());
    drop(pen);
    go.send(true).expect("somebody waits");
    let all = until(&mut body, "data: ").await;
    assert!(all.contains(&format!("data: {}", final_event(5))), "{all}");

    // Nobody who reads only JSON is given a stream.
    let response = Agent::new(&gateway).with("accept", "application/json");
    let late = response.modern("ping", json!({})).await;
    assert_ne!(
        late.headers.get("content-type"),
        Some(&http::HeaderValue::from_static("text/event-stream"))
    );
}

#[tokio::test]
async fn lesson_12_bridged_answers_are_kept_alive_too() {
    let (held, sessions) = (Held::default(), Sessions::default());
    let handed = held.clone();
    let server = Server::start(move |heard| {
        sessions
            .housekeeping(heard, |_| status(404))
            .unwrap_or_else(|| match &*heard.rpc() {
                "tools/list" => result(heard, &json!({"tools": []})),
                _ => handed.events(),
            })
    })
    .await;
    let gateway = variables(&server.url())
        .set("MCP_KEEP_ALIVE_INTERVAL", 100)
        .start()
        .await;
    let agent = Agent::new(&gateway);
    let response = agent
        .begin_modern(5, "tools/call", json!({"name": "slow"}))
        .await;
    let mut body = response.into_body();
    until(&mut body, ": keepalive\n\n").await;
    let asked = server.until(|it| it.rpc() == "tools/call").await;
    held.pen(0)
        .event(&json!({"jsonrpc": "2.0", "id": asked.json()["id"], "result": {}}));
    until(&mut body, r#""id":5,"#).await;
}

#[tokio::test]
async fn lesson_13_a_stream_outlives_the_time_of_its_call() {
    let held = Held::default();
    let handed = held.clone();
    let server =
        Server::start(move |heard| modern_housekeeping(heard).unwrap_or_else(|| handed.events()))
            .await;
    let gateway = variables(&server.url())
        .set("MCP_SERVICE_X_TIMEOUT", 200)
        .set("MCP_KEEP_ALIVE_INTERVAL", 100)
        .start()
        .await;
    let agent = Agent::new(&gateway);
    let response = agent
        .begin_modern(5, "tools/call", json!({"name": "long"}))
        .await;
    let mut body = response.into_body();
    // Three intervals are longer than the time in which the answer must begin.
    until(&mut body, ": keepalive\n\n: keepalive\n\n: keepalive\n\n").await;
    held.pen(0).event(&final_event(5));
    until(&mut body, r#""id":5"#).await;
}

#[tokio::test]
async fn lesson_13_a_silent_stream_is_given_up() {
    let (held, sessions) = (Held::default(), Sessions::default());
    let handed = held.clone();
    let server = Server::start(move |heard| {
        sessions
            .housekeeping(heard, |_| status(404))
            .unwrap_or_else(|| handed.events())
    })
    .await;
    let gateway = variables(&server.url())
        .set("MCP_SERVICE_X_STREAM_IDLE_TIMEOUT", 100)
        .set("MCP_SERVICE_X_TIMEOUT", 300)
        .start()
        .await;
    let answer = Agent::new(&gateway)
        .modern("prompts/get", json!({"name": "p"}))
        .await;
    assert_eq!(answer.message()["error"]["code"], 50401, "{answer:?}");
}

#[tokio::test]
async fn lesson_13_an_answer_that_is_no_stream_must_be_whole_in_time() {
    let server = Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| {
            let (pen, body) = pieces();
            // Never silent, and not done for a long time.
            tokio::spawn(async move {
                let mut drips = tokio::time::interval(Duration::from_millis(20));
                for _ in 0..200 {
                    drips.tick().await;
                    pen.write(" ");
                }
            });
            Say::Pieces("application/json", body)
        })
    })
    .await;
    let gateway = variables(&server.url())
        .set("MCP_SERVICE_X_TIMEOUT", 300)
        .start()
        .await;
    let answer = Agent::new(&gateway)
        .modern("tools/call", json!({"name": "t"}))
        .await;
    let error = &answer.message()["error"];
    assert_eq!(
        (answer.status, &error["code"]),
        (StatusCode::OK, &json!(50401))
    );
}

#[tokio::test]
async fn lesson_14_a_listener_is_answered_at_once_and_hears_nothing_twice() {
    let (held, sessions) = (Held::default(), Sessions::default());
    let handed = held.clone();
    let (go, wait) = tokio::sync::watch::channel(false);
    let server = Server::start(move |heard| {
        sessions
            .housekeeping(heard, |_| status(404))
            .unwrap_or_else(|| match heard.method {
                // Its headers come with its first event, as of servers that do not flush them.
                Method::GET => {
                    let (pen, body) = pieces();
                    handed.0.lock().push(pen);
                    Say::Later(wait.clone(), "text/event-stream", body)
                }
                _ => result(heard, &json!({"content": []})),
            })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    let response = agent.send(Method::GET, &[], "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let answer = agent.legacy(&call(3, "t", &json!({}))).await;
    assert_eq!(answer.message()["id"], 3);
    held.pen(0)
        .event(&json!({"jsonrpc": "2.0", "method": "notifications/x"}));
    go.send(true).expect("somebody waits");
    let mut body = response.into_body();
    let heard = until(&mut body, "notifications/x").await;
    assert!(!heard.contains("\"id\":3"), "{heard}");
}

#[tokio::test]
async fn lesson_14_a_server_without_a_stream_says_so() {
    let sessions = Sessions::default();
    let server = Server::start(move |heard| {
        sessions
            .housekeeping(heard, |_| status(404))
            .unwrap_or_else(|| status(405))
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    let answer = read(agent.send(Method::GET, &[], "").await).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}
