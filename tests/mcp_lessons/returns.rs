//! Services that come, or come back as others: those who listen at `/mcp` hear of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bartizan_testkit::{Recorded, Reply, Upstream};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::{
    agent::{Agent, until, variables},
    server::{Pen, Server, Sessions, events, result, status},
};

async fn listens(agent: &Agent) -> Incoming {
    let response = agent.send(Method::GET, &[], "").await;
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body()
}

async fn tools(agent: &Agent) -> Vec<String> {
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let listed = agent.legacy(&list).await.message();
    let tools = listed["result"]["tools"].as_array().expect("tools").iter();
    let names = tools.filter_map(|it| it["name"].as_str());
    names.map(str::to_owned).collect()
}

fn one_tool(name: &str) -> Value {
    json!({"tools": [{"name": name, "inputSchema": {"type": "object"}}]})
}

/// A server of 2025-06-18 without sessions and streams, or one of 2026-07-28 that streams.
fn answer(request: &Recorded, is_newer: bool) -> Reply {
    let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let say = |mut result: Value| {
        result["resultType"] = json!("complete");
        let body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        Reply::json(body.to_string())
    };
    match message["method"].as_str() {
        Some("server/discover") if is_newer => {
            say(json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}))
        }
        Some("subscriptions/listen") => {
            let message = json!({"jsonrpc": "2.0", "params": {},
                "method": "notifications/subscriptions/acknowledged"});
            Reply::status(200)
                .header("content-type", "text/event-stream")
                .body(format!("data: {message}\n\n"))
        }
        Some("initialize") if !is_newer => say(json!({"protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}}, "serverInfo": {"name": "late", "version": "1"}})),
        Some("tools/list") => say(one_tool("late")),
        Some(method) if method.starts_with("notifications/") => Reply::status(202),
        _ => Reply::status(405),
    }
}

#[tokio::test]
async fn a_service_that_was_away_is_heard_of_when_it_comes() {
    for is_newer in [false, true] {
        // Bound until the server comes, so that nobody else is given the port.
        let bound = TcpSocket::new_v4().expect("a socket");
        bound.set_reuseaddr(true).expect("an option of sockets");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        bound.bind(any).expect("a free loopback port");
        let address = bound.local_addr().expect("a bound socket has an address");
        let url = format!("http://{address}/mcp");
        let gateway = variables(&url).set("MCP_SERVICE_X_CB_FAILURE_THRESHOLD", 1_000);
        let gateway = gateway.start().await;
        let agent = Agent::of_all(&gateway).initialized().await;
        let mut stream = listens(&agent).await;
        assert_eq!(tools(&agent).await, Vec::<String>::new());
        let server = Upstream::start_at(address, move |it| answer(it, is_newer)).await;
        until(&mut stream, "tools/list_changed").await;
        assert_eq!(tools(&agent).await, ["x__late"], "newer: {is_newer}");
        drop(server);
    }
}

#[tokio::test]
async fn a_server_that_was_begun_anew_has_its_lists_asked_for_again() {
    let (sessions, tool) = (Sessions::default(), Arc::new(Mutex::new("t0")));
    let pens: Arc<Mutex<Vec<Pen>>> = Arc::default();
    let lost = Arc::new(AtomicBool::new(false));
    let own = (Arc::clone(&tool), Arc::clone(&pens), Arc::clone(&lost));
    let server = Server::start(move |heard| {
        let (tool, pens, lost) = &own;
        if lost.swap(false, Ordering::SeqCst) {
            sessions.lose();
        }
        let said = sessions.housekeeping(heard, |_| status(404));
        said.unwrap_or_else(|| match (&heard.method, &*heard.rpc()) {
            (&Method::GET, _) => {
                let (pen, say) = events();
                pens.lock().push(pen);
                say
            }
            (_, "tools/list") => result(heard, &one_tool(*tool.lock())),
            _ => result(heard, &json!({})),
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let mut stream = listens(&agent).await;
    assert_eq!(tools(&agent).await, ["x__t0"]);
    server.until(|it| it.method == Method::GET).await;
    *tool.lock() = "t1";
    lost.store(true, Ordering::SeqCst);
    // Its streams end with it.
    pens.lock().clear();
    until(&mut stream, "tools/list_changed").await;
    assert_eq!(tools(&agent).await, ["x__t1"]);
}

#[tokio::test]
async fn a_list_that_comes_late_is_told_of() {
    let server = Upstream::start_with(|request| {
        let reply = answer(request, true);
        let is_list = request.body.windows(10).any(|it| it == b"tools/list");
        reply.after(Duration::from_millis(if is_list { 700 } else { 0 }))
    })
    .await;
    let gateway = variables(&server.url()).set("MCP_LIST_TIMEOUT", 200);
    let gateway = gateway.start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let mut stream = listens(&agent).await;
    // Once, however often it was asked for.
    let listed = tokio::join!(tools(&agent), tools(&agent), tools(&agent));
    assert_eq!(listed, Default::default());
    let mut heard = until(&mut stream, "tools/list_changed").await;
    assert_eq!(tools(&agent).await, ["x__late"]);
    let more = until(&mut stream, "tools/list_changed");
    if let Ok(more) = tokio::time::timeout(Duration::from_millis(300), more).await {
        heard.push_str(&more);
    }
    assert_eq!(heard.matches("tools/list_changed").count(), 1, "{heard}");
}

/// What one of them knew alone is gone with its session.
#[tokio::test]
async fn clients_share_the_lists_of_a_server_that_was_begun_anew() {
    let (sessions, tool) = (Arc::new(Sessions::default()), Arc::new(Mutex::new("t0")));
    let own = (Arc::clone(&sessions), Arc::clone(&tool));
    let server = Server::start(move |heard| {
        let said = own.0.housekeeping(heard, |_| status(404));
        said.unwrap_or_else(|| match (&heard.method, &*heard.rpc()) {
            (&Method::GET, _) => status(405),
            (_, "tools/list") => result(heard, &one_tool(*own.1.lock())),
            _ => result(heard, &json!({})),
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let other = Agent::of_all(&gateway).initialized().await;
    for it in [&agent, &other] {
        assert_eq!(tools(it).await, ["x__t0"]);
        it.call("x__t0").await;
    }
    let asked = || {
        let heard = server.heard().into_iter();
        heard.filter(|it| it.rpc() == "tools/list").count()
    };
    let before = asked();
    *tool.lock() = "t1";
    sessions.lose();
    agent.call("x__t0").await;
    for it in [&agent, &other, &agent] {
        assert_eq!(tools(it).await, ["x__t1"]);
    }
    assert_eq!(asked(), before + 1);
}

/// Or its clients would ask, and lose another, without end.
#[tokio::test]
async fn a_server_that_loses_every_session_is_told_of_once_in_a_while() {
    let sessions = Sessions::default();
    let server = Server::start(move |heard| {
        let said = sessions.housekeeping(heard, |_| status(404));
        said.unwrap_or_else(|| match (&heard.method, &*heard.rpc()) {
            (&Method::GET, _) => status(405),
            (_, "tools/list") => {
                sessions.lose();
                result(heard, &one_tool("t"))
            }
            _ => result(heard, &json!({})),
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let mut stream = listens(&agent).await;
    for _ in 0..4 {
        assert_eq!(tools(&agent).await, ["x__t"]);
        agent.call("x__t").await;
    }
    let mut heard = until(&mut stream, "resources/list_changed").await;
    let more = until(&mut stream, "tools/list_changed");
    if let Ok(more) = tokio::time::timeout(Duration::from_millis(500), more).await {
        heard.push_str(&more);
    }
    assert_eq!(heard.matches("tools/list_changed").count(), 1, "{heard}");
}
