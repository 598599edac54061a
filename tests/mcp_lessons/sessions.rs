//! Sessions: who owns them, where they live, and what happens when one is lost.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use crate::{
    agent::{Agent, variables},
    server::{Heard, Say, Server, Sessions, error, result, status},
};

/// A server that keeps sessions and runs every tool; it says `lost` to a session it lost.
async fn keeper(lost: fn(&Heard) -> Say) -> (Server, Arc<Sessions>) {
    let sessions = Arc::new(Sessions::default());
    let own = Arc::clone(&sessions);
    let server = Server::start(move |heard| {
        own.housekeeping(heard, lost)
            .unwrap_or_else(|| result(heard, &json!({"content": []})))
    })
    .await;
    (server, sessions)
}

fn not_found(_: &Heard) -> Say {
    status(404)
}

fn calls_in(server: &Server, session: &str) -> usize {
    let calls = server.heard().into_iter();
    calls
        .filter(|it| it.rpc() == "tools/call" && it.header("mcp-session-id") == Some(session))
        .count()
}

#[tokio::test]
async fn lesson_01_a_session_is_known_to_every_replica() {
    let (server, sessions) = keeper(not_found).await;
    let variables =
        variables(&server.url()).set("MCP_SESSION_KEYS", "0123456789abcdef-0123456789abcdef-x");
    let (first, second) = (variables.start().await, variables.start().await);
    let agent = Agent::new(&first).initialized().await;
    let token = agent.call("t").await;
    assert_eq!(token.message()["result"]["content"], json!([]));
    let moved = agent.at(&second);
    assert_eq!(
        moved.call("t").await.message()["result"]["content"],
        json!([])
    );
    assert_eq!(
        calls_in(&server, "s-1"),
        2,
        "both in the upstream's one session"
    );
    assert_eq!(sessions.begun(), 1);
}

#[tokio::test]
async fn lesson_02_a_lost_session_is_replaced_once() {
    let ways: [fn(&Heard) -> Say; 4] = [
        not_found,
        |heard| error(200, heard, -32001, "Session not found"),
        |heard| error(400, heard, -32001, "Session not found"),
        |heard| error(400, heard, -32015, "no such session"),
    ];
    for lost in ways {
        let (server, sessions) = keeper(lost).await;
        let gateway = variables(&server.url()).start().await;
        let agent = Agent::new(&gateway).initialized().await;
        agent.call("t").await;
        sessions.lose();
        for _ in 0..2 {
            let answer = agent.call("t").await;
            assert_eq!(
                answer.message()["result"]["content"],
                json!([]),
                "{answer:?}"
            );
        }
        assert_eq!(sessions.begun(), 2);
        assert_eq!(calls_in(&server, "s-2"), 2);
        assert_eq!(calls_in(&server, "s-1"), 2, "one ran, one was refused");
    }
}

#[tokio::test]
async fn lesson_02_a_client_that_knows_no_sessions_does_not_notice_either() {
    let (server, sessions) = keeper(|it| error(200, it, -32001, "Session not found")).await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway);
    for lose in [false, true, false] {
        if lose {
            sessions.lose();
        }
        let answer = agent.modern("tools/call", json!({"name": "t"})).await;
        assert_eq!(
            answer.message()["result"]["resultType"],
            "complete",
            "{answer:?}"
        );
    }
    assert_eq!(server.count("tools/call"), 4, "one was refused");
    // One for the tools, one for the client; and one each in their place, if it was needed.
    assert!(sessions.begun() <= 4, "{}", sessions.begun());
}

#[tokio::test]
async fn lesson_03_a_lost_session_is_no_failure_of_the_service() {
    let (server, sessions) = keeper(not_found).await;
    let gateway = variables(&server.url())
        .set("MCP_SERVICE_X_CB_FAILURE_THRESHOLD", 1)
        .start()
        .await;
    let agent = Agent::new(&gateway).initialized().await;
    for _ in 0..4 {
        sessions.lose();
        let answer = agent.call("t").await;
        assert_eq!(
            answer.message()["result"]["content"],
            json!([]),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn lesson_17_a_session_is_nobody_elses() {
    let (server, sessions) = keeper(not_found).await;
    let (one, other) = ("key-of-one-0123456789", "key-of-other-0123456789");
    let gateway = variables(&server.url())
        .set("MCP_GATEWAY_API_KEYS", format!("{one},{other}"))
        .start()
        .await;
    let mine = Agent::new(&gateway)
        .with("x-api-key", one)
        .initialized()
        .await;
    assert_eq!(mine.call("t").await.status, StatusCode::OK);
    let stolen = mine.instead("x-api-key", other);
    let answer = stolen.call("t").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.message()["error"]["code"], -32001);
    for method in [Method::GET, Method::DELETE] {
        let answer = stolen.send(method, &[], "").await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(
        calls_in(&server, "s-1"),
        1,
        "nothing of the other's got through"
    );

    // Sessions that the gateway pools belong to a caller, too.
    for key in [one, other] {
        let agent = Agent::new(&gateway).with("x-api-key", key);
        agent.modern("tools/call", json!({"name": "pooled"})).await;
    }
    let pooled = server.heard().into_iter();
    let pooled: std::collections::BTreeSet<_> = pooled
        .filter(|it| it.json()["params"]["name"] == "pooled")
        .map(|it| it.header("mcp-session-id").map(str::to_owned))
        .collect();
    assert_eq!(pooled.len(), 2, "{pooled:?} of {}", sessions.begun());
}

#[tokio::test]
async fn lesson_19_sessions_that_are_forgotten_end_upstream() {
    let (server, _) = keeper(not_found).await;
    let gateway = variables(&server.url())
        .set("MCP_MAX_SESSIONS", 1)
        .start()
        .await;
    let agent = Agent::new(&gateway);
    let asks = |sampling: bool| {
        let capabilities = if sampling {
            json!({"sampling": {}})
        } else {
            json!({})
        };
        json!({"name": "t", "_meta": {"io.modelcontextprotocol/clientCapabilities": capabilities}})
    };
    agent.modern("tools/call", asks(true)).await;
    agent.modern("tools/call", asks(false)).await;
    let ended = server.until(|it| it.method == Method::DELETE).await;
    assert!(ended.header("mcp-session-id").is_some());
}

#[tokio::test]
async fn lesson_20_concurrent_first_calls_begin_one_session() {
    let (server, sessions) = keeper(not_found).await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway);
    // Which knows the tools, so that only the session of the calls is left to be begun.
    agent.modern("tools/call", json!({"name": "t"})).await;
    let before = sessions.begun();
    let client = json!({"io.modelcontextprotocol/clientCapabilities": {"roots": {}}});
    let calls = (0..8).map(|_| agent.modern("tools/call", json!({"name": "t", "_meta": client})));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.message()["result"]["resultType"], "complete");
    }
    assert_eq!(sessions.begun() - before, 1);
}
