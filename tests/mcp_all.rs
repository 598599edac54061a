//! `/mcp`: all services behind one address, and what one of them may cost the others.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_mcp_fixture::{Eras, HttpFixture};
use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables, until};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// A server of 2026-07-28 with one page of these tools, which answer with what they were called.
async fn server(tools: &[&str]) -> Upstream {
    let tools: Vec<_> = tools.iter().map(|name| tool(name)).collect();
    Upstream::start_with(move |request| {
        let result = match method(request).as_str() {
            "tools/list" => json!({ "tools": tools }),
            _ => return other(request),
        };
        answer(request, result)
    })
    .await
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "inputSchema": { "type": "object" } })
}

fn method(request: &Recorded) -> String {
    let json = request.json();
    json["method"].as_str().unwrap_or_default().to_owned()
}

/// What every server answers in the same way.
fn other(request: &Recorded) -> Reply {
    match method(request).as_str() {
        "server/discover" => answer(
            request,
            json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } }),
        ),
        "tools/call" => {
            let name = request.json()["params"]["name"].clone();
            answer(
                request,
                json!({ "content": [{ "type": "text", "text": name }] }),
            )
        }
        // Lists that it does not have, and its news.
        _ => Reply::json(
            json!({
                "jsonrpc": "2.0", "id": request.json()["id"],
                "error": { "code": -32601, "message": "Method not found" }
            })
            .to_string(),
        )
        .with_status(404),
    }
}

fn answer(request: &Recorded, mut result: Value) -> Reply {
    result["resultType"] = json!("complete");
    let id = request.json()["id"].clone();
    Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
}

fn gateway(services: &[(&str, &str)]) -> Variables {
    let names: Vec<_> = services.iter().map(|(name, _)| *name).collect();
    let mut variables = Variables::default()
        .set("MCP_SERVICES", names.join(","))
        .set("MCP_LIST_TIMEOUT", 300)
        .set("MCP_RETRY_MAX_ATTEMPTS", 0);
    for (name, endpoint) in services {
        let prefix = format!(
            "MCP_SERVICE_{}",
            name.to_uppercase().replace([' ', '-'], "_")
        );
        variables = variables
            .set(&format!("{prefix}_TRANSPORT"), "streamable-http")
            .set(&format!("{prefix}_ENDPOINT"), endpoint);
    }
    variables
}

async fn ask(gateway: &Running, method: &str, params: Value) -> Answer {
    ask_as(gateway, &json!({}), method, params).await
}

/// Asks as a client that can do this.
async fn ask_as(
    gateway: &Running,
    capabilities: &Value,
    method: &str,
    mut params: Value,
) -> Answer {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities
    });
    let name = params["name"].as_str().map(str::to_owned);
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let request = gateway.request(Method::POST, "/mcp", &headers, body.to_string());
    gateway.send(request).await
}

async fn tools(gateway: &Running) -> (Vec<String>, Answer) {
    let answer = ask(gateway, "tools/list", json!({})).await;
    let json = answer.json();
    let tools = json["result"]["tools"].as_array();
    let tools = tools.unwrap_or_else(|| panic!("no tools: {json}"));
    let names = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap_or_default().to_owned());
    (names.collect(), answer)
}

#[tokio::test]
async fn tools_go_by_the_names_of_their_services_and_calls_find_them() {
    let (one, two) = (server(&["add", "sub"]).await, server(&["add"]).await);
    let gateway = gateway(&[("one", &one.url()), ("two", &two.url())])
        .start()
        .await;
    assert_eq!(
        tools(&gateway).await.0,
        ["one__add", "one__sub", "two__add"]
    );
    let called = ask(
        &gateway,
        "tools/call",
        json!({ "name": "two__add", "arguments": {} }),
    )
    .await;
    assert_eq!(called.json()["id"], 7);
    assert_eq!(called.json()["result"]["content"][0]["text"], "add");
    assert!(two.requests().iter().any(|request| {
        method(request) == "tools/call" && request.header("mcp-name") == Some("add")
    }));
    assert!(
        !one.requests()
            .iter()
            .any(|request| method(request) == "tools/call")
    );

    let unknown = ask(&gateway, "tools/call", json!({ "name": "three__add" })).await;
    assert_eq!(unknown.json()["error"]["code"], -32602);
}

#[tokio::test]
async fn lesson_08_a_service_that_is_down_costs_its_own_tools_and_is_named() {
    let one = server(&["add"]).await;
    let nobody = format!("http://{}", Upstream::nobody());
    let gateway = gateway(&[("one", &one.url()), ("gone", &nobody)])
        .start()
        .await;
    let (names, answer) = tools(&gateway).await;
    assert_eq!(names, ["one__add"]);
    assert_eq!(answer.header("x-bartizan-missing-services"), Some("gone"));
    let missing = &answer.json()["result"]["_meta"]["bartizan/missingServices"];
    assert_eq!(*missing, json!(["gone"]));
    let called = ask(&gateway, "tools/call", json!({ "name": "one__add" })).await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "add");
}

#[tokio::test]
async fn lesson_09_a_slow_service_delays_a_list_by_no_more_than_its_time() {
    let slow = Upstream::start_with(|request| match method(request).as_str() {
        "tools/list" => {
            answer(request, json!({ "tools": [tool("late")] })).after(Duration::from_secs(1))
        }
        _ => other(request),
    })
    .await;
    let one = server(&["add"]).await;
    let gateway = gateway(&[("slow", &slow.url()), ("one", &one.url())])
        .start()
        .await;
    let clock = Clock::counter();
    let begun = clock.now();
    assert_eq!(tools(&gateway).await.0, ["one__add"]);
    assert!(
        (clock.now() - begun) < Duration::from_millis(900),
        "{:?}",
        (clock.now() - begun)
    );
    // What it said in the end was not lost.
    let all = ["slow__late", "one__add"];
    until("the late list", async || tools(&gateway).await.0 == all).await;
    let begun = clock.now();
    assert_eq!(tools(&gateway).await.0, all);
    assert!(
        (clock.now() - begun) < Duration::from_millis(250),
        "{:?}",
        (clock.now() - begun)
    );
}

#[tokio::test]
async fn lesson_11_every_page_is_followed_and_a_circle_is_no_list() {
    let pages = Upstream::start_with(|request| match method(request).as_str() {
        "tools/list" => {
            let cursor = request.json()["params"]["cursor"].clone();
            let number = cursor.as_str().and_then(|it| it.parse().ok()).unwrap_or(0);
            let mut page = json!({ "tools": [tool(&format!("t{number}"))] });
            if number < 4 {
                page["nextCursor"] = json!((number + 1).to_string());
            }
            answer(request, page)
        }
        _ => other(request),
    })
    .await;
    let circle = Upstream::start_with(|request| match method(request).as_str() {
        "tools/list" => answer(
            request,
            json!({ "tools": [tool("again")], "nextCursor": "x" }),
        ),
        _ => other(request),
    })
    .await;
    let gateway = gateway(&[("pages", &pages.url()), ("circle", &circle.url())])
        .start()
        .await;
    let (names, answer) = tools(&gateway).await;
    let expected: Vec<_> = (0..5).map(|number| format!("pages__t{number}")).collect();
    assert_eq!(names, expected);
    assert_eq!(answer.header("x-bartizan-missing-services"), Some("circle"));
}

#[tokio::test]
async fn lesson_11_an_error_is_not_an_empty_list() {
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = Arc::clone(&broken);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let flaky = Upstream::start_with(move |request| match method(request).as_str() {
        "tools/list" => {
            count.fetch_add(1, Ordering::SeqCst);
            if is_broken.load(Ordering::SeqCst) {
                return Reply::status(500);
            }
            answer(request, json!({ "tools": [tool("kept")] }))
        }
        // Says that something changed, and ends its stream.
        "subscriptions/listen" => Reply::status(200).body(concat!(
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",",
            "\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"bartizan-listen\"}}}\n\n"
        ))
        .header("content-type", "text/event-stream"),
        _ => other(request),
    })
    .await;
    let gateway = gateway(&[("flaky", &flaky.url())]).start().await;
    assert_eq!(tools(&gateway).await.0, ["flaky__kept"]);
    broken.store(true, Ordering::SeqCst);
    let before = asked.load(Ordering::SeqCst);
    for _ in 0..30 {
        assert_eq!(tools(&gateway).await.0, ["flaky__kept"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        asked.load(Ordering::SeqCst) > before,
        "it was never asked again"
    );
}

/// How often a server was asked for its tools.
fn lists(server: &Upstream) -> usize {
    let requests = server.requests();
    let lists = requests.iter().filter(|it| method(it) == "tools/list");
    lists.count()
}

#[tokio::test]
async fn services_that_stay_keep_their_lists_when_others_change() {
    let hangs = Arc::new(AtomicBool::new(false));
    let is_away = Arc::clone(&hangs);
    let away = Upstream::start_with(move |request| match method(request).as_str() {
        "tools/list" => {
            let wait = Duration::from_secs(if is_away.load(Ordering::SeqCst) {
                60
            } else {
                0
            });
            answer(request, json!({ "tools": [tool("kept")] })).after(wait)
        }
        _ => other(request),
    })
    .await;
    let (one, two) = (server(&["add"]).await, server(&["sub"]).await);
    let services = [("one", one.url()), ("away", away.url()), ("two", two.url())];
    let services: Vec<_> = services.iter().map(|(name, url)| (*name, &**url)).collect();
    let variables = gateway(&services[..2]);
    let gateway = variables.start().await;
    let names = async || tools(&gateway).await.0;
    assert_eq!(names().await, ["one__add", "away__kept"]);
    hangs.store(true, Ordering::SeqCst);

    gateway.reload(&variables);
    assert_eq!(names().await, ["one__add", "away__kept"]);
    gateway.reload(&self::gateway(&services));
    assert_eq!(names().await, ["one__add", "away__kept", "two__sub"]);
    assert_eq!((lists(&one), lists(&away)), (1, 1), "nothing had changed");

    // With other settings it is another service, which has said nothing.
    let variables = variables.set("MCP_SERVICE_AWAY_TIMEOUT", 20_000);
    gateway.reload(&variables);
    assert_eq!(names().await, ["one__add"]);
    // Names that clients know by another separator would lead nowhere.
    let variables = variables.set("MCP_TOOL_SEPARATOR", "--");
    gateway.reload(&variables);
    assert_eq!(names().await, ["one--add"]);
    // Whoever answers elsewhere may say something else.
    gateway.reload(&variables.set("MCP_SERVICE_ONE_ENDPOINT", two.url()));
    assert_eq!(names().await, ["one--sub"]);
}

#[tokio::test]
async fn clients_have_lists_of_their_own_by_what_servers_may_ask_of_them() {
    let server = server(&["look"]).await;
    let gateway = gateway(&[("eyes", &server.url())]).start().await;
    let of_number = |number: usize| json!({ "experimental": { "x": number }, "y": number });
    let same = (0..5).map(|number| (of_number(number), 1));
    let others = [
        (json!({ "roots": {} }), 2),
        (json!({ "roots": { "z": 1 } }), 2),
        (json!({ "extensions": { "com.example/ui": {} } }), 3),
        (json!({}), 3),
    ];
    for (capabilities, asked) in same.chain(others) {
        let listed = ask_as(&gateway, &capabilities, "tools/list", json!({})).await;
        let name = &listed.json()["result"]["tools"][0]["name"];
        assert_eq!(name, "eyes__look", "{capabilities}");
        assert_eq!(lists(&server), asked, "{capabilities}");
    }
}

#[tokio::test]
async fn lesson_23_names_are_sound_and_short_and_lead_back() {
    let long = "x".repeat(80);
    let (one, two) = (server(&["add"]).await, server(&[&long, "no good"]).await);
    let variables = gateway(&[("my tools", &one.url()), ("c", &two.url())]);
    let gateway = variables.start().await;
    let (names, _) = tools(&gateway).await;
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0], "my-tools__add");
    assert_eq!(names[1].len(), 64);
    for (name, original) in names.iter().zip(["add", &long]) {
        let called = ask(&gateway, "tools/call", json!({ "name": name })).await;
        assert_eq!(called.json()["result"]["content"][0]["text"], *original);
    }
    // Two services whose tools would have the same names are refused before anything is served.
    let alike = self::gateway(&[("my tools", &one.url()), ("my-tools", &two.url())]);
    assert!(std::panic::catch_unwind(move || alike.configuration()).is_err());
}

#[tokio::test]
async fn only_names_differ_from_what_a_service_said() {
    let listed = r#"{"name":"n\u0061me","x-vendor":[1.10,123456789012345678901234567890],"inputSchema":{"$defs":{"a":{"$anchor":"b"}},"type":"object"},"_meta":{"k":"\/"}}"#;
    let result = r#"{"content":[],"structuredContent":{"n":1.10,"m":123456789012345678901234567890},"x":"\u00e9","resultType":"complete"}"#;
    let raw = Upstream::start_with(move |request| {
        let id = request.json()["id"].to_string();
        match method(request).as_str() {
            "tools/list" => Reply::json(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[{listed}],"resultType":"complete"}}}}"#
            )),
            "tools/call" => Reply::json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)),
            _ => other(request),
        }
    })
    .await;
    let gateway = gateway(&[("raw", &raw.url())]).start().await;
    let (_, answer) = tools(&gateway).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(
        text.contains(&listed.replace(r#""n\u0061me""#, r#""raw__name""#)),
        "{text}"
    );
    let called = ask(
        &gateway,
        "tools/call",
        json!({ "name": "raw__name", "arguments": {} }),
    )
    .await;
    let text = String::from_utf8(called.body.to_vec()).unwrap();
    assert!(text.contains(result), "{text}");
    let sent = raw
        .requests()
        .into_iter()
        .find(|it| method(it) == "tools/call")
        .unwrap();
    assert_eq!(sent.json()["params"]["name"], "name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_10_a_changed_list_is_told_and_asked_for_again() {
    for eras in [Eras::Legacy, Eras::Modern] {
        let fixture = HttpFixture::bind(0, eras).await.unwrap();
        let url = fixture.url().to_owned();
        let serving = tokio::spawn(fixture.serve());
        let gateway = gateway(&[("fx", &url)])
            .set("MCP_LIST_TIMEOUT", 5000)
            .start()
            .await;

        let session = legacy_session(&gateway).await;
        let headers = BTreeMap::from([("mcp-session-id", session.as_str())]);
        let mut news = open_stream(&gateway, &session).await;
        let list = legacy(&gateway, &headers, "tools/list", json!({})).await;
        assert!(
            !list["result"]["tools"].as_array().unwrap().is_empty(),
            "{list}"
        );
        // Whoever listens was heard of by the upstream, sooner or later.
        let mut told = String::new();
        for _ in 0..20 {
            let params = json!({ "name": "fx__test_trigger_tool_change", "arguments": {} });
            legacy(&gateway, &headers, "tools/call", params).await;
            let frame = tokio::time::timeout(Duration::from_millis(500), news.frame()).await;
            if let Ok(Some(Ok(frame))) = frame
                && let Ok(data) = frame.into_data()
            {
                told.push_str(&String::from_utf8_lossy(&data));
            }
            if told.contains("notifications/tools/list_changed") {
                break;
            }
        }
        assert!(
            told.contains("notifications/tools/list_changed"),
            "{eras:?}: {told}"
        );
        drop(news);
        serving.abort();
    }
}

async fn legacy_session(gateway: &Running) -> String {
    session_of(gateway, json!({})).await
}

/// The session of a client that can do this.
async fn session_of(gateway: &Running, capabilities: Value) -> String {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": capabilities,
        "clientInfo": { "name": "t", "version": "1" } } });
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let answer = gateway
        .send(gateway.request(Method::POST, "/mcp", &headers, body.to_string()))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer
        .header("mcp-session-id")
        .expect("a session")
        .to_owned()
}

async fn legacy(
    gateway: &Running,
    own: &BTreeMap<&str, &str>,
    method: &str,
    params: Value,
) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    headers.extend(own.iter().map(|(name, value)| (*name, *value)));
    let answer = gateway
        .send(gateway.request(Method::POST, "/mcp", &headers, body.to_string()))
        .await;
    answer.json()
}

async fn open_stream(gateway: &Running, session: &str) -> hyper::body::Incoming {
    let headers = [("accept", "text/event-stream"), ("mcp-session-id", session)];
    let request = gateway.request(Method::GET, "/mcp", &headers, "");
    gateway.open(request).await.into_body()
}

#[tokio::test]
async fn a_client_that_says_much_of_itself_has_a_session_all_the_same() {
    let server = server(&["look"]).await;
    let gateway = gateway(&[("eyes", &server.url())]).start().await;
    for length in [0, 900, 1_100, 60_000, 100_000] {
        let capabilities = json!({ "experimental": { "x": { "y": "z".repeat(length) } } });
        let session = session_of(&gateway, capabilities).await;
        let own = BTreeMap::from([("mcp-session-id", &*session)]);
        let listed = legacy(&gateway, &own, "tools/list", json!({})).await;
        let name = &listed["result"]["tools"][0]["name"];
        assert_eq!(name, "eyes__look", "{length}: {listed}");
    }
}
