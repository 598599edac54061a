//! Who listens and watches: that nothing is lost or piled up, and that lists are what was told last.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bartizan_testkit::Upstream;
use bartizan_tests::{Running, Variables};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    agent::{self, Agent, ends, until},
    server::{
        Heard, Pen, Say, Server, Sessions, error, events, modern_housekeeping, result, status,
    },
};

/// The streams that a server holds open, by the session or by their number.
#[derive(Clone, Debug, Default)]
struct Held(Arc<Mutex<BTreeMap<String, Pen>>>);

impl Held {
    fn stream(&self, name: &str) -> Say {
        let (pen, say) = events();
        self.0.lock().insert(name.to_owned(), pen);
        say
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }

    async fn pen(&self, name: &str) -> Pen {
        bartizan_tests::until(name, async || self.0.lock().contains_key(name)).await;
        self.0.lock()[name].clone()
    }
}

/// A gateway that is asked more than most.
fn variables(url: &str) -> Variables {
    agent::variables(url)
        .set("MCP_SERVICE_X_RATE_LIMIT_RPM", 60_000)
        .set("MCP_SERVICE_X_RATE_LIMIT_BURST", 1_000)
}

fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn notice(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn tools_changed() -> Value {
    notice("notifications/tools/list_changed", &json!({}))
}

fn updated(uri: &str) -> Value {
    notice("notifications/resources/updated", &json!({"uri": uri}))
}

async fn ask(agent: &Agent, method: &str, params: Value) -> Value {
    let answer = agent.legacy(&request(method, &params)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.message()
}

async fn watches(agent: &Agent, uri: &str, is_watched: bool) {
    let method = if is_watched {
        "resources/subscribe"
    } else {
        "resources/unsubscribe"
    };
    let answer = ask(agent, method, json!({"uri": uri})).await;
    assert_eq!(answer["result"], json!({}), "{answer}");
}

async fn listens(agent: &Agent) -> Incoming {
    let response = agent.send(Method::GET, &[], "").await;
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body()
}

/// The names of all tools.
async fn tools(agent: &Agent) -> Vec<String> {
    let listed = ask(agent, "tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().expect("tools").iter();
    let names = tools.filter_map(|it| it["name"].as_str());
    names.map(str::to_owned).collect()
}

/// A server of an older revision, whose tool is called what the test says.
struct Older {
    server: Server,
    held: Held,
    tool: Arc<Mutex<String>>,
    /// The sessions that no gateway began for itself.
    clients: Arc<Mutex<Vec<String>>>,
}

impl Older {
    /// Says `first` on the stream of every client's session.
    async fn start(first: &[Value]) -> Self {
        let (held, sessions) = (Held::default(), Sessions::default());
        let tool = Arc::new(Mutex::new("t0".to_owned()));
        let clients: Arc<Mutex<Vec<String>>> = Arc::default();
        let own = (held.clone(), Arc::clone(&tool), Arc::clone(&clients));
        let first = first.to_vec();
        let handler = move |heard: &Heard| {
            let (held, tool, clients) = &own;
            let said = sessions.housekeeping(heard, |_| status(404));
            if heard.json()["params"]["clientInfo"]["name"] == "agent" {
                let number = sessions.begun();
                clients.lock().push(format!("s-{number}"));
            }
            said.unwrap_or_else(|| match (&heard.method, &*heard.rpc()) {
                (&Method::GET, _) => {
                    let session = heard.header("mcp-session-id").unwrap_or_default();
                    let say = held.stream(session);
                    if clients.lock().iter().any(|it| it == session) {
                        let pen = &held.0.lock()[session];
                        first.iter().for_each(|it| pen.event(it));
                    }
                    say
                }
                (_, "tools/list") => {
                    let tool = json!({"name": *tool.lock(), "inputSchema": {"type": "object"}});
                    result(heard, &json!({"tools": [tool]}))
                }
                (_, "resources/list") => result(heard, &json!({"resources": []})),
                (_, "resources/templates/list") => result(heard, &json!({"resourceTemplates": []})),
                _ => result(heard, &json!({})),
            })
        };
        Self {
            server: Server::start(handler).await,
            held,
            tool,
            clients,
        }
    }

    /// Writes to the stream of the client whose session was begun as the `number`th.
    async fn pen(&self, number: usize) -> Pen {
        bartizan_tests::until("a session", async || self.clients.lock().len() > number).await;
        let session = self.clients.lock()[number].clone();
        self.held.pen(&session).await
    }
}

/// The session of a client may be the first thing that a gateway hears of a service.
#[tokio::test]
async fn nothing_piles_up_for_who_watches_at_a_server_that_does_not_answer() {
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let server = Server::start(move |heard| match modern_housekeeping(heard) {
        _ if down.load(Ordering::SeqCst) => status(503),
        Some(said) => said,
        None => error(404, heard, -32601, "Method not found"),
    })
    .await;
    let variables =
        variables(&server.url()).set("MCP_SESSION_KEYS", "0123456789abcdef-0123456789abcdef-x");
    let first = variables.start().await;
    let agent = Agent::new(&first).initialized().await;
    is_down.store(true, Ordering::SeqCst);
    let second = variables.start().await;
    let agent = agent.at(&second);
    watches(&agent, "u://0", true).await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    for _ in 0..100 {
        watches(&agent, "u://1", true).await;
        watches(&agent, "u://1", false).await;
    }
    let after = tasks();
    assert!(after < before + 20, "{before} tasks became {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_watched_at_an_older_server_is_heard_while_other_things_come_and_go() {
    // Together no more than a listener may fall behind.
    const TURNS: usize = 50;
    const PARTS: usize = 5;

    let older = Older::start(&[]).await;
    let gateway = variables(&older.server.url()).start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let mut stream = listens(&agent).await;
    watches(&agent, "u://0", true).await;
    let pen = older.pen(0).await;
    for round in 0..6 {
        let uri = |turn, part| format!("u://0/{round}/{turn}/{part}");
        for turn in 0..TURNS {
            // Several, so that some may wait to be passed on when another is watched.
            for part in 0..PARTS {
                pen.event(&updated(&uri(turn, part)));
            }
            watches(&agent, "u://1", turn % 2 == 0).await;
        }
        let last = format!("\"u://last/{round}\"");
        pen.event(&updated(last.trim_matches('"')));
        let heard = until(&mut stream, &last).await;
        let missed: Vec<_> = (0..TURNS * PARTS)
            .map(|it| format!("\"{}\"", uri(it / PARTS, it % PARTS)))
            .filter(|it| heard.matches(it).count() != 1)
            .collect();
        assert_eq!(missed, Vec::<String>::new());
    }
}

/// There another stream has to be asked for.
#[tokio::test]
async fn what_stays_watched_at_a_newer_server_is_heard_while_another_stream_is_opened() {
    let held = Held::default();
    let own = held.clone();
    let server = Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "subscriptions/listen" => own.stream(&own.count().to_string()),
            _ => result(heard, &json!({"resultType": "complete"})),
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    watches(&agent, "u://0", true).await;
    let mut stream = listens(&agent).await;
    let stamped = |mut message: Value| {
        message["params"]["_meta"] =
            json!({"io.modelcontextprotocol/subscriptionId": "bartizan-listen"});
        message
    };
    let begun = stamped(notice(
        "notifications/subscriptions/acknowledged",
        &json!({}),
    ));
    let first = held.pen("0").await;
    first.event(&begun);
    first.event(&stamped(updated("u://0")));
    until(&mut stream, "\"u://0\"").await;

    watches(&agent, "u://1", true).await;
    let second = held.pen("1").await;
    first.event(&stamped(updated("u://0?again")));
    until(&mut stream, "\"u://0?again\"").await;
    second.event(&begun);
    first.closed().await;
    second.event(&stamped(updated("u://1")));
    let said = until(&mut stream, "\"u://1\"").await;
    assert!(!said.contains("acknowledged"), "{said}");
    // For who watches what is watched already nothing is opened.
    watches(&agent, "u://1", true).await;
    watches(&agent, "u://2", true).await;
    held.pen("2").await;
    let listened = server.heard().into_iter();
    let listened = listened.filter(|it| it.rpc() == "subscriptions/listen");
    let watched: Vec<_> = listened
        .map(|it| it.json()["params"]["notifications"]["resourceSubscriptions"].clone())
        .collect();
    let expected = [
        json!(["u://0"]),
        json!(["u://0", "u://1"]),
        json!(["u://0", "u://1", "u://2"]),
    ];
    assert_eq!(watched, expected);
}

/// Goes on under a configuration with one more service, which the client hears of.
async fn reload(gateway: &Running, url: &str, stream: &mut Incoming) {
    let nowhere = format!("http://{}/mcp", Upstream::refusing());
    let other = variables(url)
        .set("MCP_SERVICES", "x,y")
        .set("MCP_SERVICE_Y_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_Y_ENDPOINT", nowhere);
    gateway.reload(&other);
    until(stream, "resources/list_changed").await;
}

/// What listens began under the configuration of before.
#[tokio::test]
async fn a_list_that_changed_is_new_after_a_change_of_something_else() {
    let older = Older::start(&[]).await;
    let gateway = variables(&older.server.url()).start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let mut stream = listens(&agent).await;
    let pen = older.pen(0).await;
    assert_eq!(tools(&agent).await, ["x__t0"]);
    reload(&gateway, &older.server.url(), &mut stream).await;
    for turn in 1..=3 {
        let name = format!("t{turn}");
        older.tool.lock().clone_from(&name);
        pen.event(&tools_changed());
        until(&mut stream, "tools/list_changed").await;
        assert_eq!(tools(&agent).await, [format!("x__{name}")]);
    }
}

#[tokio::test]
async fn a_list_that_changed_at_a_newer_server_is_new_after_a_change_of_something_else() {
    let (held, tool) = (Held::default(), Arc::new(Mutex::new("t0".to_owned())));
    let own = (held.clone(), Arc::clone(&tool));
    let server = Server::start(move |heard| {
        let (held, tool) = &own;
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "subscriptions/listen" => held.stream(&held.count().to_string()),
            "tools/list" => {
                let tool = json!({"name": *tool.lock(), "inputSchema": {"type": "object"}});
                result(heard, &json!({"resultType": "complete", "tools": [tool]}))
            }
            _ => error(404, heard, -32601, "Method not found"),
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let mut stream = listens(&agent).await;
    // The first stream is the client's.
    let pen = held.pen("0").await;
    assert_eq!(tools(&agent).await, ["x__t0"]);
    held.pen("1").await;
    reload(&gateway, &server.url(), &mut stream).await;
    assert_eq!(tools(&agent).await, ["x__t0"]);
    for turn in 1..=2 {
        let name = format!("t{turn}");
        tool.lock().clone_from(&name);
        pen.event(&tools_changed());
        until(&mut stream, "tools/list_changed").await;
        assert_eq!(tools(&agent).await, [format!("x__{name}")]);
    }
}

/// What it hears is said in another session than that in which it asks.
#[tokio::test]
async fn a_list_that_changed_is_new_for_a_newer_client() {
    let older = Older::start(&[]).await;
    let gateway = variables(&older.server.url()).start().await;
    let agent = Agent::of_all(&gateway);
    let meta = json!({"io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1"}});
    let listen = json!({"notifications": {"toolsListChanged": true}, "_meta": meta});
    let stream = agent.begin_modern(1, "subscriptions/listen", listen).await;
    let mut stream = stream.into_body();
    let pen = older.pen(0).await;
    for turn in 0..3 {
        let name = format!("t{turn}");
        older.tool.lock().clone_from(&name);
        pen.event(&tools_changed());
        until(&mut stream, "tools/list_changed").await;
        let listed = agent.modern("tools/list", json!({"_meta": meta})).await;
        let listed = listed.message();
        let tool = &listed["result"]["tools"][0]["name"];
        assert_eq!(*tool, format!("x__{name}"), "{listed}");
    }
}

/// As servers do that find out in a session what it may do.
#[tokio::test]
async fn a_session_that_hears_of_changes_makes_no_other_ask_again() {
    const SESSIONS: usize = 8;

    let older = Older::start(&[tools_changed()]).await;
    let gateway = variables(&older.server.url()).start().await;
    let mut all = Vec::new();
    for _ in 0..SESSIONS {
        let agent = Agent::of_all(&gateway).initialized().await;
        let mut stream = listens(&agent).await;
        until(&mut stream, "tools/list_changed").await;
        all.push((agent, stream));
        for (agent, _) in &all {
            assert_eq!(tools(agent).await, ["x__t0"]);
        }
    }
    let asked = older.server.count("tools/list");
    assert_eq!(
        asked,
        SESSIONS,
        "for {} lists",
        SESSIONS * (SESSIONS + 1) / 2
    );
}

#[tokio::test]
async fn a_session_that_its_client_ends_ends_with_all_that_it_had() {
    let older = Older::start(&[]).await;
    let gateway = variables(&older.server.url()).start().await;
    let agent = Agent::of_all(&gateway).initialized().await;
    let mut stream = listens(&agent).await;
    watches(&agent, "u://0", true).await;
    let pen = older.pen(0).await;
    let ended = agent.send(Method::DELETE, &[], "").await;
    assert_eq!(ended.status(), StatusCode::OK);
    ends(&mut stream).await;
    pen.closed().await;
    older.server.until(|it| it.method == Method::DELETE).await;
    // Longer than the pause after which a stream that broke is opened again.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(older.clients.lock().len(), 1);
    let refused = agent.send(Method::GET, &[], "").await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
}
