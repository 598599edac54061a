//! Tools whose arguments are mirrored in headers.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    agent::{Agent, call, variables},
    server::{Heard, Say, Server, Sessions, error, modern_housekeeping, result, status},
};

fn region(header: &str) -> Value {
    json!({"name": "deploy", "inputSchema": {"type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": header}}}})
}

fn bad() -> Value {
    json!({"name": "bad", "inputSchema": {"type": "object",
        "properties": {"n": {"type": "number", "x-mcp-header": "N"}}}})
}

/// Pages whose last cursor leads back to the first.
fn list(heard: &Heard) -> Say {
    let page = match heard.json()["params"]["cursor"].as_str() {
        None => json!({"tools": [bad()], "nextCursor": "two"}),
        Some(_) => json!({"tools": [region("Region")], "nextCursor": "two"}),
    };
    result(heard, &page)
}

#[tokio::test]
async fn older_servers_are_spared_what_headers_get_wrong() {
    let sessions = Sessions::default();
    let server = Server::start(move |heard| {
        sessions
            .housekeeping(heard, |_| status(404))
            .unwrap_or_else(|| match &*heard.rpc() {
                "tools/list" => list(heard),
                _ => result(heard, &json!({"content": []})),
            })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let deploy = json!({"name": "deploy", "arguments": {"region": "eu"}});
    for (value, fits) in [
        (None, false),
        (Some("us"), false),
        (Some("=?base64?ZX?="), false),
        (Some("eu"), true),
        (Some("=?base64?ZXU=?="), true),
    ] {
        let mut agent = Agent::new(&gateway);
        if let Some(value) = value {
            agent = agent.with("mcp-param-region", value);
        }
        let answer = agent.modern("tools/call", deploy.clone()).await;
        if fits {
            assert_eq!(answer.status, StatusCode::OK, "{value:?}");
        } else {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{value:?}");
            assert_eq!(answer.message()["error"]["code"], -32020);
        }
    }
    assert_eq!(server.count("tools/call"), 2);
    assert_eq!(
        server.count("tools/list"),
        2,
        "lesson 11: each page once, no circle"
    );

    // Nor is anybody offered a tool that nobody may call.
    let listed = Agent::new(&gateway).modern("tools/list", json!({})).await;
    assert_eq!(listed.message()["result"]["tools"], json!([]), "{listed:?}");
}

#[tokio::test]
async fn lesson_11_arguments_of_tools_on_later_pages_are_mirrored() {
    let renamed = AtomicUsize::new(0);
    let server = Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "tools/list" if renamed.load(Ordering::SeqCst) == 0 => list(heard),
            "tools/list" => result(heard, &json!({"tools": [region("Zone")]})),
            _ if heard.json()["params"]["arguments"]["region"] == "moved" => {
                renamed.store(1, Ordering::SeqCst);
                match heard.header("mcp-param-zone") {
                    Some("moved") => result(heard, &json!({"content": []})),
                    _ => error(400, heard, -32020, "header mismatch"),
                }
            }
            _ => result(heard, &json!({"content": []})),
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    let answer = agent
        .legacy(&call(1, "deploy", &json!({"region": "ü"})))
        .await;
    assert_eq!(
        answer.message()["result"]["content"],
        json!([]),
        "{answer:?}"
    );
    let called = server.until(|it| it.rpc() == "tools/call").await;
    assert_eq!(called.header("mcp-param-region"), Some("=?base64?w7w=?="));

    // The schema changes: asked for again, and the call repeated, once.
    let answer = agent
        .legacy(&call(2, "deploy", &json!({"region": "moved"})))
        .await;
    assert_eq!(
        answer.message()["result"]["content"],
        json!([]),
        "{answer:?}"
    );
    assert_eq!(server.count("tools/call"), 3);
}
