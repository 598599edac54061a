//! What servers of the older revisions ask a client of all services, outside of its calls and
//! within them: each question under an id of the gateway's, and what comes of it sent back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Files, Running, Variables, until};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(15);

/// A server of 2025-06-18, and of 2025-03-26 for who asks for that, with the tool `look`, which says what it is told to.
struct Server {
    upstream: Upstream,
    said: Arc<Said>,
}

/// What is said next, before a request is answered and on the stream of a client's session.
#[derive(Default)]
struct Said {
    before: Mutex<HashMap<String, Vec<Value>>>,
    outside: Mutex<Vec<Value>>,
}

impl Server {
    async fn start() -> Self {
        let said = Arc::<Said>::default();
        let own = Arc::clone(&said);
        let upstream = Upstream::start_with(move |request| answer(&own, request));
        Self {
            upstream: upstream.await,
            said,
        }
    }

    /// Says something on the stream of the client's session, when it is opened next.
    fn says(&self, messages: &[Value]) {
        self.said.outside.lock().extend_from_slice(messages);
    }

    /// Says something before it answers the next request of a client's for `method`.
    fn says_before(&self, method: &str, messages: &[Value]) {
        let mut before = self.said.before.lock();
        before.insert(method.to_owned(), messages.to_vec());
    }

    fn received(&self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        let requests = self.upstream.requests();
        let messages = requests.iter().map(json_of);
        messages.filter(|it| matches(it)).collect()
    }

    /// Waits for a message.
    async fn receives(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let received = async {
            loop {
                if let Some(it) = self.received(&matches).pop() {
                    return it;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let received = tokio::time::timeout(PATIENCE, received).await;
        received.unwrap_or_else(|_| panic!("no {what} in {:?}", self.received(|_| true)))
    }

    /// Waits for what comes of a question.
    async fn is_answered(&self, id: &str) -> Value {
        let is_it = |it: &Value| it["id"] == id && it["method"].is_null();
        self.receives(&format!("answer to {id}"), is_it).await
    }
}

/// Null if there is no body.
fn json_of(request: &Recorded) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn events(messages: &[Value]) -> Reply {
    let body: String = messages
        .iter()
        .map(|it| format!("data: {it}\n\n"))
        .collect();
    Reply::status(200)
        .header("content-type", "text/event-stream")
        .body(body)
}

fn answer(said: &Said, request: &Recorded) -> Reply {
    let message = json_of(request);
    let is_clients = request.header("mcp-session-id") == Some("client");
    let response =
        |result: Value| json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    let result = |result: Value| {
        let method = message["method"].as_str().unwrap_or_default();
        let before = is_clients.then(|| said.before.lock().remove(method));
        match before.flatten() {
            Some(mut messages) => {
                messages.push(response(result));
                events(&messages)
            }
            None => Reply::json(response(result).to_string()),
        }
    };
    match message["method"].as_str() {
        // The gateway's own sessions declare nothing, and hear nothing.
        None if request.method == Method::GET && is_clients => {
            events(&std::mem::take(&mut *said.outside.lock()))
        }
        None if request.method == Method::GET => Reply::status(405),
        None => Reply::status(202),
        Some("initialize") => {
            let declared = message["params"]["capabilities"] != json!({});
            let capabilities = json!({ "tools": {}, "resources": { "subscribe": true } });
            let about = json!({ "name": "s", "version": "1" });
            let asked = message["params"]["protocolVersion"].clone();
            let version = if asked == "2025-03-26" {
                asked
            } else {
                json!("2025-06-18")
            };
            result(
                json!({ "protocolVersion": version, "capabilities": capabilities,
                "serverInfo": about }),
            )
            .header(
                "mcp-session-id",
                if declared { "client" } else { "gateway" },
            )
        }
        Some("server/discover") => Reply::status(400),
        Some("tools/list") => result(json!({ "tools": [
            { "name": "look", "inputSchema": { "type": "object" } }] })),
        Some("tools/call") => result(json!({ "content": [] })),
        Some("resources/list") => result(json!({ "resources": [] })),
        Some(method) if method.starts_with("notifications/") => Reply::status(202),
        Some(_) => result(json!({})),
    }
}

async fn gateway(services: &[(&str, &Server)]) -> Running {
    let names: Vec<_> = services.iter().map(|(name, _)| *name).collect();
    let mut variables = Variables::default()
        .set("MCP_SERVICES", names.join(","))
        .set("MCP_RETRY_MAX_ATTEMPTS", 0);
    for (name, server) in services {
        let prefix = format!("MCP_SERVICE_{}", name.to_uppercase());
        variables = variables
            .set(&format!("{prefix}_TRANSPORT"), "streamable-http")
            .set(&format!("{prefix}_ENDPOINT"), server.upstream.url())
            .set(&format!("{prefix}_RATE_LIMIT_RPM"), 60_000)
            .set(&format!("{prefix}_RATE_LIMIT_BURST"), 1_000);
    }
    variables.start().await
}

/// A client of an older revision.
struct Client<'a> {
    gateway: &'a Running,
    path: &'a str,
    session: String,
}

impl<'a> Client<'a> {
    /// One of all services.
    async fn begin(gateway: &'a Running, capabilities: Value) -> Self {
        Self::begin_at(gateway, "/mcp", "2025-06-18", capabilities).await
    }

    async fn begin_at(
        gateway: &'a Running,
        path: &'a str,
        version: &str,
        capabilities: Value,
    ) -> Self {
        let mut client = Self {
            gateway,
            path,
            session: String::new(),
        };
        let params = json!({ "protocolVersion": version, "capabilities": capabilities,
            "clientInfo": { "name": "t", "version": "1" } });
        let begun = client.ask("initialize", params).await;
        assert_eq!(begun.status, StatusCode::OK, "{:?}", begun.body);
        begun
            .header("mcp-session-id")
            .expect("a session")
            .clone_into(&mut client.session);
        client
    }

    fn headers(&self) -> HashMap<&str, &str> {
        let mut headers = HashMap::from([("accept", "application/json, text/event-stream")]);
        if !self.session.is_empty() {
            headers.insert("mcp-session-id", &self.session);
        }
        headers
    }

    async fn send(&self, body: Value) -> Answer {
        let mut headers = self.headers();
        headers.insert("content-type", "application/json");
        let headers: Vec<_> = headers.into_iter().collect();
        let request = self
            .gateway
            .request(Method::POST, self.path, &headers, body.to_string());
        self.gateway.send(request).await
    }

    async fn ask(&self, method: &str, params: Value) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        self.send(body).await
    }

    /// Says something that is not answered.
    async fn say(&self, body: Value) {
        assert_eq!(self.send(body).await.status, StatusCode::ACCEPTED);
    }

    /// Opens the stream of the session.
    async fn listen(&self) -> Listening {
        let headers: Vec<_> = self.headers().into_iter().collect();
        let request = self.gateway.request(Method::GET, self.path, &headers, "");
        let response = self.gateway.open(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        Listening {
            body: response.into_body(),
            text: String::new(),
        }
    }
}

fn read_events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

/// The stream of a session.
struct Listening {
    body: Incoming,
    text: String,
}

impl Listening {
    /// Waits for so many messages with a method, and gives all of them.
    async fn hears(&mut self, method: &str, times: usize) -> Vec<Value> {
        let heard = async {
            loop {
                let mut messages = read_events(&self.text);
                messages.retain(|it| it["method"] == method);
                if messages.len() >= times {
                    return messages;
                }
                let frame = self.body.frame().await.expect("a stream that goes on");
                let data = frame.expect("a frame").into_data().unwrap_or_default();
                self.text.push_str(&String::from_utf8_lossy(&data));
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await;
        heard.unwrap_or_else(|_| panic!("no {method} in {}", self.text))
    }
}

fn question(id: &str, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": {} })
}

/// A file server asks for the roots of its client as soon as it knows the client.
#[tokio::test]
async fn a_server_that_asks_outside_of_calls_is_answered_by_the_client() {
    let servers = [Server::start().await, Server::start().await];
    for server in &servers {
        server.says(&[question("q-1", "roots/list")]);
    }
    let gateway = gateway(&[("a", &servers[0]), ("b", &servers[1])]).await;
    let client = Client::begin(&gateway, json!({ "roots": {} })).await;
    let mut stream = client.listen().await;
    let asked = stream.hears("roots/list", 2).await;
    assert_ne!(asked[0]["id"], asked[1]["id"], "{asked:?}");
    for asked in &asked {
        let roots = json!([{ "uri": format!("file:///{}", asked["id"].as_str().unwrap()) }]);
        client
            .say(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": roots } }))
            .await;
    }
    let mut roots = Vec::new();
    for server in &servers {
        let answer = server.is_answered("q-1").await;
        roots.push(answer["result"]["roots"][0]["uri"].clone());
    }
    assert_ne!(roots[0], roots[1]);
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_never_declared() {
    let server = Server::start().await;
    server.says(&[question("q-1", "sampling/createMessage")]);
    let gateway = gateway(&[("a", &server)]).await;
    let client = Client::begin(&gateway, json!({ "roots": {} })).await;
    let mut stream = client.listen().await;
    let refused = server.is_answered("q-1").await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    // What it declared it is asked for, and hears nothing else.
    server.says(&[question("q-2", "roots/list")]);
    stream.hears("roots/list", 1).await;
    assert!(!stream.text.contains("sampling"), "{}", stream.text);
}

#[tokio::test]
async fn a_server_hears_that_the_client_which_it_asked_went_away() {
    let server = Server::start().await;
    server.says(&[question("q-1", "roots/list")]);
    let gateway = gateway(&[("a", &server)]).await;
    let client = Client::begin(&gateway, json!({ "roots": {} })).await;
    let mut stream = client.listen().await;
    stream.hears("roots/list", 1).await;
    drop(stream);
    let failed = server.is_answered("q-1").await;
    assert_eq!(failed["error"]["code"], -32603, "{failed}");
    // Who holds no stream is not asked at all.
    server.says(&[question("q-2", "roots/list")]);
    let refused = server.is_answered("q-2").await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}

/// Over one connection it does not say what its question is about, and nobody reads a list before
/// it is there.
#[tokio::test]
async fn a_question_that_comes_with_a_list_reaches_the_client_on_its_stream() {
    let server = Server::start().await;
    let gateway = gateway(&[("a", &server)]).await;
    let client = Client::begin(&gateway, json!({ "roots": {} })).await;
    let mut stream = client.listen().await;
    server.says_before("tools/list", &[question("q-1", "roots/list")]);
    server.says_before("resources/subscribe", &[question("q-2", "roots/list")]);
    client.ask("tools/list", json!({})).await;
    client
        .ask("resources/subscribe", json!({ "uri": "x://y" }))
        .await;
    for asked in stream.hears("roots/list", 2).await {
        client
            .say(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": [] } }))
            .await;
    }
    for id in ["q-1", "q-2"] {
        let answer = server.is_answered(id).await;
        assert_eq!(answer["result"]["roots"], json!([]), "{answer}");
    }
}

/// A client whose connection broke comes back before anybody knows, and the question may have been
/// lost on the way.
#[tokio::test]
async fn a_question_is_asked_again_on_a_stream_that_takes_over() {
    let server = Server::start().await;
    let gateway = gateway(&[("a", &server)]).await;
    let client = Client::begin(&gateway, json!({ "roots": {} })).await;
    server.says(&["q-1", "q-2", "q-3"].map(|id| question(id, "roots/list")));
    let mut first = client.listen().await;
    let asked = first.hears("roots/list", 3).await;
    let answer = |asked: &Value| json!({ "jsonrpc": "2.0", "id": asked["id"], "result": {} });
    client.say(answer(&asked[1])).await;
    server.is_answered("q-2").await;
    let mut second = client.listen().await;
    let again = second.hears("roots/list", 2).await;
    assert_eq!(again, [asked[0].clone(), asked[2].clone()]);
    for asked in &again {
        client.say(answer(asked)).await;
    }
    server.is_answered("q-1").await;
    server.is_answered("q-3").await;
}

#[tokio::test]
async fn a_server_that_asks_much_leaves_room_for_the_questions_of_others() {
    let (much, little) = (Server::start().await, Server::start().await);
    let ids: Vec<_> = (0..64).map(|number| format!("q-{number}")).collect();
    let questions: Vec<_> = ids.iter().map(|id| question(id, "roots/list")).collect();
    much.says(&questions);
    little.says(&[question("q", "roots/list")]);
    let gateway = gateway(&[("a", &much), ("b", &little)]).await;
    let client = Client::begin(&gateway, json!({ "roots": {} })).await;
    let mut stream = client.listen().await;
    stream.hears("roots/list", 9).await;
    for id in &ids[8..] {
        let refused = much.is_answered(id).await;
        assert_eq!(refused["error"]["code"], -32601, "{refused}");
    }
    little.says_before("tools/call", &[question("q", "roots/list")]);
    let params = json!({ "name": "b__look", "arguments": {} });
    let said = client.ask("tools/call", params).await;
    let said = read_events(&String::from_utf8_lossy(&said.body));
    assert_eq!(said[0]["method"], "roots/list", "{said:?}");
}

fn taken_back(id: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": id, "reason": "nevermind" } })
}

/// The client knows the question by the gateway's id alone.
#[tokio::test]
async fn a_question_that_its_server_takes_back_is_taken_back_under_the_id_that_the_client_knows() {
    let server = Server::start().await;
    let gateway = gateway(&[("a", &server)]).await;
    let client = Client::begin(&gateway, json!({ "roots": {} })).await;
    // In a call.
    let both = [question("q-1", "roots/list"), taken_back("q-1")];
    server.says_before("tools/call", &both);
    let params = json!({ "name": "a__look", "arguments": {} });
    let said = client.ask("tools/call", params).await;
    let said = read_events(&String::from_utf8_lossy(&said.body));
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[1]["params"]["requestId"], said[0]["id"], "{said:?}");
    assert_eq!(said[1]["params"]["reason"], "nevermind", "{said:?}");

    // Outside of calls. What is not open is not taken back, and a late answer goes nowhere.
    let both = [
        question("q-2", "roots/list"),
        taken_back("q-2"),
        taken_back("q-1"),
    ];
    server.says(&both);
    let mut stream = client.listen().await;
    let asked = stream.hears("roots/list", 1).await;
    let taken_back = stream.hears("notifications/cancelled", 1).await;
    assert_eq!(taken_back[0]["params"]["requestId"], asked[0]["id"]);
    for asked in [&said[0], &asked[0]] {
        client
            .say(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": [] } }))
            .await;
    }
    server.says(&[question("q-3", "roots/list")]);
    stream.hears("roots/list", 2).await;
    assert_eq!(read_events(&stream.text).len(), 3, "{}", stream.text);
    let answered = server.received(|it| it["method"].is_null() && it["id"].is_string());
    assert_eq!(answered, Vec::<Value>::new());
}

/// Servers choose the same tokens as easily as the same ids.
#[tokio::test]
async fn a_server_hears_how_far_the_client_is_with_its_question() {
    let servers = [Server::start().await, Server::start().await];
    for server in &servers {
        let mut question = question("q-1", "sampling/createMessage");
        question["params"]["_meta"] = json!({ "progressToken": "t", "other": 1 });
        server.says(&[question]);
    }
    let gateway = gateway(&[("a", &servers[0]), ("b", &servers[1])]).await;
    let client = Client::begin(&gateway, json!({ "sampling": {} })).await;
    let mut stream = client.listen().await;
    let asked = stream.hears("sampling/createMessage", 2).await;
    let token = |question: &Value| question["params"]["_meta"]["progressToken"].clone();
    assert_ne!(token(&asked[0]), token(&asked[1]), "{asked:?}");
    let told = |token: Value| {
        json!({ "jsonrpc": "2.0", "method": "notifications/progress",
            "params": { "progressToken": token, "progress": 1 } })
    };
    client.say(told(token(&asked[0]))).await;
    client.say(told(json!("t"))).await;
    for asked in &asked {
        assert_eq!(asked["params"]["_meta"]["other"], 1, "{asked}");
        let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": {} });
        client.say(answer).await;
    }
    // Progress goes before the answer, and to the one whose question it is.
    let mut heard = Vec::new();
    for server in &servers {
        server.is_answered("q-1").await;
        heard.extend(server.received(|it| it["method"] == "notifications/progress"));
    }
    assert_eq!(heard, [told(json!("t"))]);
}

/// No member has a stream that its client reads before all are answered.
#[tokio::test]
async fn a_question_that_comes_in_a_batch_is_put_where_one_outside_of_calls_is() {
    let server = Server::start().await;
    let gateway = gateway(&[("a", &server)]).await;
    for (path, name) in [("/mcp", "a__look"), ("/mcp/a", "look")] {
        let client = Client::begin_at(&gateway, path, "2025-03-26", json!({ "roots": {} })).await;
        let batch = async |question: Value| {
            server.says_before("tools/call", &[question]);
            let params = json!({ "name": name, "arguments": {} });
            let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call",
                "params": params });
            let answers = client.send(json!([call])).await.json();
            assert_eq!(answers[0]["id"], 7, "{answers}");
            assert!(answers[0]["result"].is_object(), "{answers}");
        };
        let id = format!("{path}-1");
        batch(question(&id, "roots/list")).await;
        let refused = server.is_answered(&id).await;
        assert_eq!(refused["error"]["code"], -32601, "{refused}");
    }

    let client = Client::begin_at(&gateway, "/mcp", "2025-03-26", json!({ "roots": {} })).await;
    let mut stream = client.listen().await;
    server.says_before("tools/call", &[question("q", "roots/list")]);
    let params = json!({ "name": "a__look", "arguments": {} });
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    client.send(json!([call])).await;
    let asked = stream.hears("roots/list", 1).await;
    client
        .say(json!({ "jsonrpc": "2.0", "id": asked[0]["id"], "result": { "roots": [] } }))
        .await;
    let answer = server.is_answered("q").await;
    assert_eq!(answer["result"]["roots"], json!([]), "{answer}");
}

/// A server of 2025-06-18 that is a process. It asks for the roots of its client as soon as it
/// knows it, but not before it has heard what comes next; what it is answered, it writes down.
const PROCESS: &str = r#"
say() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) say "$id" '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"p","version":"1"}}' ;;
    *'"server/discover"'*) say "$id" '"error":{"code":-32601,"message":"Method not found"}' ;;
    *'"notifications/initialized"'*) sleep 0.3; say '"q"' '"method":"roots/list"' ;;
    *'"id":"q"'*) printf '%s\n' "$line" >> "$0" ;;
    *'"die"'*) exit 1 ;;
    *'"id":'*) say "$id" '"result":{}' ;;
  esac
done
"#;

/// Over one connection its question must not be taken for one about what the gateway tells it.
#[tokio::test]
async fn a_process_that_took_the_place_of_another_asks_the_client() {
    let files = Files::new();
    let answers = files.path("answers");
    let gateway = Variables::default()
        .set("MCP_SERVICES", "p")
        .set("MCP_RETRY_MAX_ATTEMPTS", 0)
        .set("MCP_SERVICE_P_TRANSPORT", "stdio")
        .set("MCP_SERVICE_P_COMMAND", "sh")
        .set("MCP_SERVICE_P_ARGS", json!(["-c", PROCESS, answers]))
        .start()
        .await;
    let answered = async |times: usize| {
        let mut read = Vec::new();
        until(&format!("answered {times} times"), async || {
            let text = std::fs::read_to_string(&answers).unwrap_or_default();
            read = text.lines().map(str::to_owned).collect();
            read.len() >= times
        })
        .await;
        read
    };
    let client = Client::begin_at(&gateway, "/mcp/p", "2025-06-18", json!({ "roots": {} })).await;
    let roots = json!({ "jsonrpc": "2.0", "id": "q", "result": { "roots": [] } });
    let mut stream = client.listen().await;
    client
        .say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    stream.hears("roots/list", 1).await;
    client.say(roots.clone()).await;
    answered(1).await;
    let level = json!({ "level": "info" });
    assert_eq!(client.ask("logging/setLevel", level).await.status, 200);
    let die = async || {
        let params = json!({ "name": "die", "arguments": {} });
        client.ask("tools/call", params).await;
    };
    die().await;

    let mut stream = client.listen().await;
    stream.hears("roots/list", 1).await;
    client.say(roots.clone()).await;
    answered(2).await;
    die().await;
    // Who listens to nothing is asked in the answer to what it said first.
    drop(stream);
    let listed = client.ask("tools/list", json!({})).await;
    let listed = read_events(&String::from_utf8_lossy(&listed.body));
    assert_eq!(listed[0]["method"], "roots/list", "{listed:?}");
    assert_eq!(listed[1]["id"], 2, "{listed:?}");
    client.say(roots).await;
    let answered = answered(3).await;
    assert!(
        answered.iter().all(|it| it.contains("roots")),
        "{answered:?}"
    );
}
