//! What servers answer, well or badly, and what is made of it.

use std::time::Duration;

use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Variables, until};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::peers::{ACCEPT, Client, Server, answer, answer_of_a, gateway, json_of, rpc};

/// A server that breaks off its first answer may speak any revision.
#[tokio::test]
async fn an_answer_that_broke_off_says_nothing_of_the_revision_for_long() {
    let server = Upstream::start().await;
    server.handle(|_| Reply::truncated());
    let gateway = gateway(&[("new", server.url())]).start().await;
    let ask = async || {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {} });
        let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": { "_meta": meta } });
        let own = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/list"),
        ];
        let headers = [&ACCEPT[..], &own].concat();
        let request = gateway.request(Method::POST, "/mcp/new", &headers, body.to_string());
        gateway.send(request).await.json()
    };
    assert!(ask().await["error"]["code"].is_i64());
    server.handle(|request| {
        let result = match &*rpc(request) {
            "server/discover" => json!({ "supportedVersions": ["2026-07-28"], "capabilities": {} }),
            "tools/list" => json!({ "tools": [] }),
            _ => return Reply::status(404),
        };
        let id = json_of(request)["id"].clone();
        Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
    });
    let heard = async {
        while !ask().await["result"].is_object() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
    assert!(heard.is_ok(), "{}", ask().await);
}

#[tokio::test]
async fn what_a_server_calls_an_error_is_no_status_of_ours() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let all = Client::begin(&gateway).await;
    let one = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    for code in [40_100, 40_400, 42_900, 50_302, -32_600, -32_000] {
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => {
                let error = json!({ "code": code, "message": "no", "data": { "hint": "x" } });
                let id = json_of(request)["id"].clone();
                Reply::json(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
            }
            _ => answer_of_a(request),
        });
        for (client, name) in [(&all, "a__look"), (&one, "look")] {
            let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
                "params": { "name": name, "arguments": {} } });
            let answer = client.send(call).await;
            assert_eq!(answer.status, StatusCode::OK, "{code}");
            assert_eq!(answer.json()["error"]["code"], code);
            assert_eq!(answer.json()["error"]["data"]["hint"], "x");
        }
    }
}

#[tokio::test]
async fn a_refusal_under_another_id_is_heard() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    client.look("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => {
            let error = json!({ "code": -32_600, "message": "why not" });
            let body = json!({ "jsonrpc": "2.0", "id": "server-error", "error": error });
            Reply::status(400)
                .header("content-type", "application/json")
                .body(body.to_string())
        }
        _ => answer_of_a(request),
    });
    let params = json!({ "name": "a__look", "arguments": {} });
    let answer = client.ask("tools/call", params).await;
    assert_eq!(answer["error"]["message"], "why not", "{answer}");
    assert_eq!(answer["id"], 2);
}

#[tokio::test]
async fn what_is_no_message_is_a_failure_of_the_call() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_CB_FAILURE_THRESHOLD", 100)
        .start()
        .await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    let html = |status| {
        Reply::status(status)
            .header("content-type", "text/html")
            .body("<html>")
    };
    let odd = Reply::status(200)
        .header("content-type", "text/event-streams")
        .body("data: {}\n\n");
    let failures = [
        (odd, 50_203),
        (html(502), 50_203),
        (html(200), 50_203),
        (Reply::status(200), 50_203),
        (Reply::status(202), 50_203),
        (html(400), 50_203),
        (Reply::status(503), 50_203),
        (Reply::status(429), 42_901),
        (Reply::json("x").header("content-encoding", "br"), 50_203),
    ];
    for (reply, code) in failures {
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => reply.clone(),
            _ => answer_of_a(request),
        });
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": "look", "arguments": {} } });
        let answer = client.send(call).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["error"]["code"], code, "{:?}", answer.body);
        assert_eq!(answer.json()["id"], 2);
    }
}

/// By the rules of HTTP: seconds, or a date, and no third form.
#[tokio::test]
async fn when_a_server_that_is_asked_too_often_wants_to_be_asked_again_is_passed_on() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let says = [
        ("7", json!(7)),
        // It has passed: as soon as may be.
        ("Thu, 01 Jan 2026 00:00:00 GMT", json!(1)),
        ("+7", json!(null)),
    ];
    for (said, wait) in says {
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => Reply::status(429).header("retry-after", said),
            _ => answer_of_a(request),
        });
        let params = json!({ "name": "a__look", "arguments": {} });
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["error"]["code"], 42_901, "{said}: {answer}");
        assert_eq!(answer["error"]["data"]["retryAfter"], wait, "{said}");
    }
}

/// Media types have no case.
#[tokio::test]
async fn a_message_that_is_called_a_text_is_one() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    for kind in ["text/plain", "Text/Plain; charset=UTF-8"] {
        server.upstream.handle(move |request| match &*rpc(request) {
            "tools/call" => Reply::status(200)
                .header("content-type", kind)
                .body(result_of(request)),
            _ => answer_of_a(request),
        });
        let params = json!({ "name": "look", "arguments": {} });
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["result"]["content"], json!([]), "{kind}: {answer}");
    }
}

fn result_of(request: &Recorded) -> String {
    let id = &json_of(request)["id"];
    json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } }).to_string()
}

#[tokio::test]
async fn no_revision_is_agreed_on_that_messages_are_then_refused_for() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "initialize" => {
            let asked = json_of(request)["params"]["protocolVersion"].clone();
            let result = json!({ "protocolVersion": asked, "capabilities": {},
                "serverInfo": { "name": "a", "version": "1" } });
            let id = json_of(request)["id"].clone();
            Reply::json(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
                .header("mcp-session-id", "a-0")
        }
        _ => answer_of_a(request),
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "DRAFT-2026-v1", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let request = gateway.request(Method::POST, "/mcp/a", &ACCEPT, body.to_string());
    let answer = gateway.send(request).await;
    assert_eq!(answer.json()["result"]["protocolVersion"], "2025-11-25");
}

/// Who has no resources at all does not say that there is no such method.
#[tokio::test]
async fn who_knows_what_it_is_asked_says_why_there_is_none() {
    let (without, with) = (Server::start("without").await, Server::start("with").await);
    with.upstream.handle(|request| match &*rpc(request) {
        "resources/read" => {
            let error = json!({ "code": -32002, "message": "Resource not found" });
            let id = json_of(request)["id"].clone();
            Reply::json(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
        }
        _ => answer("with", 0, request),
    });
    let services = [
        ("without", without.upstream.url()),
        ("with", with.upstream.url()),
    ];
    let gateway = gateway(&services).start().await;
    let client = Client::begin(&gateway).await;
    let answer = client
        .ask("resources/read", json!({ "uri": "z://none" }))
        .await;
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
}

#[tokio::test]
async fn a_server_hears_why_its_answer_is_wanted_no_more() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    client.look("a").await;
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => Reply::hang(),
        _ => answer_of_a(request),
    });
    let call = client.send(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": { "name": "a__look", "arguments": {} } }));
    let cancel = async {
        server.hears("tools/call", 2).await;
        let params = json!({ "requestId": 2, "reason": "the user \"changed\" her mind" });
        let said =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        assert_eq!(client.send(said).await.status, StatusCode::ACCEPTED);
        server.hears("notifications/cancelled", 1).await
    };
    let (_, heard) = tokio::join!(call, cancel);
    assert_eq!(heard[0].1["reason"], "the user \"changed\" her mind");
}

/// Or who gives up would leave the place in the queue to a word about what nobody heard of.
#[tokio::test]
async fn a_call_that_gives_up_before_it_is_sent_is_not_cancelled() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_RATE_LIMIT_RPM", 6)
        .set("MCP_SERVICE_A_RATE_LIMIT_BURST", 3)
        .start()
        .await;
    let call = || gateway.call_of("a", "look", 1);
    // What comes before it takes the rest.
    assert_eq!(call().await.json()["success"], true);
    let waiting = "bartizan_rate_limit_waiting";
    tokio::select! {
        _ = async { tokio::join!(call(), call()) } => panic!("answers"),
        () = gateway.until_metric(waiting, "a", 2) => {}
    }
    gateway.until_metric(waiting, "a", 0).await;
    assert!(server.heard("notifications/cancelled").is_empty());
    assert_eq!(server.heard("tools/call").len(), 1);
}

/// That a call is no longer wanted, or a session, must not wait behind calls.
#[tokio::test]
async fn what_asks_for_nothing_is_no_call_of_a_rate() {
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_RATE_LIMIT_RPM", 1)
        .set("MCP_SERVICE_A_RATE_LIMIT_BURST", 2)
        .set("MCP_SERVICE_A_RATE_LIMIT_MAX_WAIT", 0)
        .start()
        .await;
    let client = Client::begin_at(&gateway, "/mcp/a", "2025-06-18").await;
    let call = || client.ask("tools/call", json!({ "name": "look", "arguments": {} }));
    assert!(call().await["error"].is_null());
    assert_eq!(call().await["error"]["code"], 42901);

    let no_longer_wanted = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 2 } });
    let told = client.send(no_longer_wanted).await;
    assert_eq!(told.status, StatusCode::ACCEPTED, "{told:?}");
    let answer = json!({ "jsonrpc": "2.0", "id": "q", "result": {} });
    let told = client.send(answer).await;
    assert_ne!(told.json()["error"]["code"], 42901, "{told:?}");
    let session = [("mcp-session-id", &*client.session)];
    let ends = gateway.request(Method::DELETE, "/mcp/a", &session, "");
    let ended = gateway.send(ends).await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    assert_eq!(server.heard("DELETE").len(), 1);
}

/// What it accepts of notifications says nothing of a server that answers no call.
#[tokio::test]
async fn a_server_that_answers_no_call_opens_its_circuit_though_it_accepts_that_they_are_cancelled()
{
    let server = Server::start("a").await;
    let gateway = gateway(&[("a", server.upstream.url())])
        .set("MCP_SERVICE_A_TIMEOUT", 1_100)
        .set("MCP_SERVICE_A_CB_FAILURE_THRESHOLD", 2)
        .start()
        .await;
    let call = async || {
        let headers = [("content-type", "application/json")];
        let body = json!({ "name": "look", "arguments": {} }).to_string();
        let request = gateway.request(Method::POST, "/mcp/a/tools/call", &headers, body);
        gateway.send(request).await.json()
    };
    let answer = call().await;
    assert!(answer["error"].is_null(), "{answer}");
    server.upstream.handle(|request| match &*rpc(request) {
        "tools/call" => Reply::hang(),
        _ => answer_of_a(request),
    });
    call().await;
    server.hears("notifications/cancelled", 1).await;
    call().await;
    let refused = call().await.to_string();
    assert!(refused.contains("Circuit breaker open"), "{refused}");
}

/// On one connection a server does not say which of its calls a question is about: it may be over.
#[tokio::test]
async fn an_answer_arrives_though_the_call_that_it_was_asked_in_is_over() {
    let server = Server::start("a").await;
    server.upstream.handle(|request| {
        if &*rpc(request) != "tools/call" {
            return answer_of_a(request);
        }
        let question = json!({ "jsonrpc": "2.0", "id": "q-1", "method": "roots/list" });
        let id = json_of(request)["id"].clone();
        let response = json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } });
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .body(format!("data: {question}\n\ndata: {response}\n\n"))
    });
    let gateway = gateway(&[("a", server.upstream.url())]).start().await;
    let client = Client::begin(&gateway).await;
    let call = json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/call",
        "params": { "name": "a__look", "arguments": {} } });
    let said = client.send(call).await;
    let said = String::from_utf8_lossy(&said.body).into_owned();
    let asked = said.split("\"id\":\"bartizan-").nth(1).expect("a question");
    let number = asked.split('"').next().unwrap();
    let answer = json!({ "jsonrpc": "2.0", "id": format!("bartizan-{number}"),
        "result": { "roots": [{ "uri": "file:///here" }] } });
    assert_eq!(client.send(answer).await.status, StatusCode::ACCEPTED);
    let is_it = |request: &Recorded| {
        let json = json_of(request);
        json["id"] == "q-1" && json["result"]["roots"][0]["uri"] == "file:///here"
    };
    until("answered", async || {
        server.upstream.requests().iter().any(is_it)
    })
    .await;
}

/// RFC 9112, section 6.3: of a length beside chunks, the chunks are right. Sent on, it had the client
/// wait for what never comes, or take the next answer for a part of this one.
#[tokio::test]
async fn a_length_that_is_not_that_of_an_answer_goes_no_further() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let body = json!({ "jsonrpc": "2.0", "id": 1, "result": {
                    "protocolVersion": "2025-06-18", "capabilities": {},
                    "serverInfo": { "name": "s", "version": "1" } } })
                .to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\
                     transfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                     {:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    let variables = Variables::default()
        .set("MCP_SERVICES", "x")
        .set("MCP_SERVICE_X_ENDPOINT", url)
        .set("MCP_SERVICE_X_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_X_AUTH_TYPE", "none");
    let gateway = variables.start().await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } } });
    let request = gateway.request(Method::POST, "/mcp/x", &ACCEPT, initialize.to_string());
    let answer = tokio::time::timeout(Duration::from_secs(5), gateway.send(request));
    let answer = answer.await.expect("an answer that ends");
    assert_eq!(answer.json()["result"]["serverInfo"]["name"], "s");
}
