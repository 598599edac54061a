//! What is in use is not idle, and what is over stays so.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    agent::{Agent, call, until, variables},
    server::{Pen, Say, Server, Sessions, events, modern_housekeeping, result, status},
};

/// After how long a session is forgotten, in milliseconds, and longer than that.
const IDLE: u64 = 2_000;
const LONGER: Duration = Duration::from_millis(2_800);

/// The streams that a server holds open.
#[derive(Clone, Debug, Default)]
struct Held(Arc<Mutex<Vec<Pen>>>);

impl Held {
    fn stream(&self) -> Say {
        let (pen, say) = events();
        self.0.lock().push(pen);
        say
    }

    fn pen(&self) -> Pen {
        self.0.lock().last().expect("a stream").clone()
    }
}

/// A server of an older revision that answers calls and those who listen with streams.
async fn older(held: &Held, sessions: &Arc<Sessions>) -> Server {
    let (held, sessions) = (held.clone(), Arc::clone(sessions));
    Server::start(move |heard| {
        let said = sessions.housekeeping(heard, |_| status(404));
        said.unwrap_or_else(|| match (&heard.method, &*heard.rpc()) {
            (&Method::GET, _) | (_, "tools/call") => held.stream(),
            _ => result(heard, &json!({"tools": []})),
        })
    })
    .await
}

#[tokio::test]
async fn an_answer_finds_the_call_that_waits_for_it_however_long_that_takes() {
    let (held, sessions) = (Held::default(), Arc::default());
    let server = older(&held, &sessions).await;
    let gateway = variables(&server.url()).set("MCP_SESSION_IDLE_TIMEOUT", IDLE);
    let gateway = gateway.start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let body = call(1, "x__t", &json!({})).to_string();
    let calls = async {
        server.until(|it| it.rpc() == "tools/call").await;
        let question = json!({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create",
            "params": {"message": "?", "requestedSchema": {"type": "object"}}});
        held.pen().event(&question);
    };
    let (response, ()) = tokio::join!(agent.send(Method::POST, &[], body), calls);
    let mut stream = response.into_body();
    let asked = until(&mut stream, "elicitation/create").await;
    let asked = asked.lines().find_map(|it| it.strip_prefix("data: "));
    let asked: serde_json::Value = serde_json::from_str(asked.expect("a question")).expect("JSON");
    tokio::time::sleep(LONGER).await;
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}});
    assert_eq!(agent.legacy(&answer).await.status, StatusCode::ACCEPTED);
    let answered = server.until(|it| it.json()["id"] == 7).await;
    assert_eq!(answered.json()["result"], json!({"action": "decline"}));
    drop(stream);
}

#[tokio::test]
async fn what_a_listener_watches_outlives_the_loss_of_its_session() {
    let outlives = async |listens_first: bool| {
        let (held, sessions) = (Held::default(), Arc::default());
        let server = older(&held, &sessions).await;
        let gateway = variables(&server.url()).set("MCP_SESSION_IDLE_TIMEOUT", IDLE);
        let gateway = gateway.start().await;
        let agent = Agent::new(&gateway).initialized().await;
        let watch = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe",
            "params": {"uri": "u://0"}});
        if !listens_first {
            agent.legacy(&watch).await;
        }
        let mut stream = agent.send(Method::GET, &[], "").await.into_body();
        if listens_first {
            agent.legacy(&watch).await;
            held.pen()
                .event(&json!({"jsonrpc": "2.0", "method": "notifications/x"}));
            until(&mut stream, "notifications/x").await;
        }
        tokio::time::sleep(LONGER).await;
        // Whatever is idle is swept while others are served.
        Agent::new(&gateway).initialized().await;
        sessions.lose();
        agent
            .legacy(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}))
            .await;
        let again = |session: &str| {
            let heard = server.heard().into_iter();
            let heard = heard.filter(|it| it.rpc() == "resources/subscribe");
            heard
                .filter(|it| it.header("mcp-session-id") == Some(session))
                .count()
        };
        server
            .until(|it| {
                it.rpc() == "resources/subscribe" && it.header("mcp-session-id") != Some("s-1")
            })
            .await;
        assert_eq!((again("s-1"), again("s-3")), (1, 1));
        drop(stream);
    };
    tokio::join!(outlives(false), outlives(true));
}

#[tokio::test]
async fn who_listens_to_a_newer_server_may_hear_nothing_for_long() {
    let held = Held::default();
    let own = held.clone();
    let server = Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "subscriptions/listen" => own.stream(),
            _ => result(heard, &json!({"resultType": "complete"})),
        })
    })
    .await;
    let gateway = variables(&server.url()).set("MCP_SERVICE_X_STREAM_IDLE_TIMEOUT", 200);
    let gateway = gateway.start().await;
    let agent = Agent::new(&gateway);
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let stream = agent.begin_modern(9, "subscriptions/listen", listen).await;
    let mut stream = stream.into_body();
    held.pen()
        .event(&json!({"jsonrpc": "2.0", "method": "first"}));
    until(&mut stream, "first").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    held.pen()
        .event(&json!({"jsonrpc": "2.0", "method": "second"}));
    until(&mut stream, "second").await;
}

#[tokio::test]
async fn a_session_that_its_client_ended_does_not_live_again() {
    let (held, sessions) = (Held::default(), Arc::default());
    let server = older(&held, &sessions).await;
    let gateway = variables(&server.url()).set("MCP_SESSION_IDLE_TIMEOUT", IDLE);
    let gateway = gateway.start().await;
    let stays_ended = async |agent: Agent| {
        let agent = agent.initialized().await;
        let ended = agent.send(Method::DELETE, &[], "").await;
        assert_eq!(ended.status(), StatusCode::OK);
        tokio::time::sleep(LONGER).await;
        let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
        let refused = agent.legacy(&list).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{refused:?}");
    };
    let (one, all) = (Agent::new(&gateway), Agent::of_all(&gateway));
    tokio::join!(stays_ended(one), stays_ended(all));
}
