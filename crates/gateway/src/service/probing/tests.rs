use std::time::Duration;

use bartizan_balance::Strategy;
use bartizan_discovery::Instance;
use bartizan_testkit::{Reply, Upstream};
use bartizan_transport::{
    host::{Connect, HostLimits},
    sse::SseLimits,
    stdio::{Command, Limits, RestartPolicy},
};

use super::*;

fn client() -> Client {
    Client::new(&bartizan_client::ClientConfig::default()).unwrap()
}

const MCP: Questions = Questions {
    path: None,
    speaks_mcp: true,
    may_start: false,
};

/// What a probe finds of the only instance, at `uri`.
async fn probe(questions: Questions, uri: &str, host: Option<Host>) -> ProbeResult {
    let (client, clock) = (client(), Clock::counter());
    let instances = [Instance::new(uri).unwrap()];
    let make = {
        let client = client.clone();
        move |instance: &Instance| Endpoint::new(instance, &client, host.clone(), None, clock)
    };
    let balancer = Balancer::builder(Strategy::RoundRobin, clock);
    let balancer = balancer.build(&instances, make).unwrap();
    let probe = InstanceProbe::new(questions, &client, &balancer);
    let target = balancer.targets().remove(0);
    let found = tokio::time::timeout(Duration::from_secs(30), probe.probe(&target));
    found.await.expect("a probe that ends")
}

fn shell(script: &str) -> Host {
    let command = Command::new("sh").args(["-c", script]);
    let connect = Connect::stdio(command, Limits::default(), RestartPolicy::default());
    Host::new(connect, HostLimits::default(), Clock::counter())
}

#[tokio::test]
async fn d5_a_ping_that_is_not_known_is_a_sign_of_life() {
    let error = r#"{"jsonrpc":"2.0","id":"bartizan-probe","error":{"code":-32601,"message":"no"}}"#;
    let upstream = Upstream::start_with(move |_| Reply::json(error)).await;
    assert_eq!(probe(MCP, &upstream.url(), None).await, ProbeResult::Alive);
    let asked = upstream.requests().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.uri.path()), ("POST", "/"));
    assert_eq!(asked.json()["method"], "ping");
    assert_eq!(asked.header("mcp-session-id"), None);
    upstream.handle(move |_| Reply::json(error).with_status(404));
    assert_eq!(probe(MCP, &upstream.url(), None).await, ProbeResult::Alive);
}

#[tokio::test]
async fn d6_who_wants_a_credential_is_reachable() {
    let upstream = Upstream::start_with(|_| Reply::status(401)).await;
    assert_eq!(probe(MCP, &upstream.url(), None).await, ProbeResult::Alive);
    let rest = Questions {
        speaks_mcp: false,
        ..MCP
    };
    assert_eq!(probe(rest, &upstream.url(), None).await, ProbeResult::Alive);
    assert_eq!(upstream.requests().pop().unwrap().uri.path(), "/health");
}

#[tokio::test]
async fn what_is_no_server_of_mcp_is_dead_as_one() {
    let upstream = Upstream::start_with(|_| Reply::status(200).body("<html>")).await;
    let found = probe(MCP, &upstream.url(), None).await;
    let reason = "answered 200 without a message of JSON-RPC";
    assert_eq!(found, ProbeResult::dead(reason));
    upstream.handle(|_| Reply::status(503));
    let found = probe(MCP, &upstream.url(), None).await;
    assert_eq!(found, ProbeResult::dead("answered 503"));
    let nobody = format!("http://{}", Upstream::nobody());
    let found = probe(MCP, &nobody, None).await;
    assert!(matches!(found, ProbeResult::Unreachable(_)), "{found:?}");
}

#[tokio::test]
async fn an_operators_path_is_asked_for_whatever_is_spoken() {
    let upstream = Upstream::start_with(|_| Reply::status(200)).await;
    let questions = Questions {
        path: Some(PathAndQuery::from_static("/well")),
        ..MCP
    };
    let found = probe(questions, &upstream.url(), None).await;
    assert_eq!(found, ProbeResult::Alive);
    assert_eq!(upstream.requests().pop().unwrap().uri.path(), "/well");
}

#[tokio::test]
async fn what_speaks_something_else_is_connected_to() {
    let upstream = Upstream::start().await;
    let uri = upstream.url().replace("http:", "tcp:");
    assert_eq!(probe(MCP, &uri, None).await, ProbeResult::Alive);
    let nobody = format!("tcp://{}", Upstream::nobody());
    assert!(!probe(MCP, &nobody, None).await.is_alive());
}

#[tokio::test]
async fn a_program_that_nobody_needs_is_well_and_not_started() {
    let host = shell("exit 1");
    let found = probe(MCP, "stdio://localhost", Some(host.clone())).await;
    assert_eq!((found, host.connections()), (ProbeResult::Alive, 0));
}

#[tokio::test]
async fn a_program_that_may_be_started_for_it_is_and_ends() {
    let answers =
        r#"read -r line; echo '{"jsonrpc":"2.0","id":"bartizan-probe","result":{}}'; read -r line"#;
    let may_start = Questions {
        may_start: true,
        ..MCP
    };
    let host = shell(answers);
    let found = probe(may_start.clone(), "stdio://localhost", Some(host.clone())).await;
    assert_eq!(found, ProbeResult::Alive);
    host.close().await;
    let found = probe(may_start, "stdio://localhost", Some(shell("exit 1"))).await;
    assert!(matches!(found, ProbeResult::Unreachable(_)), "{found:?}");
}

#[tokio::test]
async fn a_program_that_runs_is_asked() {
    let dies = r#"read -r line; echo '{"jsonrpc":"2.0","id":1,"result":{}}'; read -r line; exit 3"#;
    let host = shell(dies);
    let begin = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    host.call(posted(Bytes::from(begin)), 0).await.unwrap();
    let found = probe(MCP, "stdio://localhost", Some(host)).await;
    assert!(matches!(found, ProbeResult::Unreachable(_)), "{found:?}");
}

#[tokio::test]
async fn a_server_of_events_is_asked_for_a_session() {
    let upstream = Upstream::start_with(|_| Reply::status(403)).await;
    let url: http::Uri = format!("{}/sse", upstream.url()).parse().unwrap();
    let connect = Connect::sse(client(), url.clone(), SseLimits::default());
    let host = Host::new(connect, HostLimits::default(), Clock::counter());
    let found = probe(MCP, &url.to_string(), Some(host)).await;
    assert_eq!(found, ProbeResult::Alive);
    let asked = upstream.requests().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.uri.path()), ("GET", "/sse"));
    upstream.handle(|_| Reply::status(503));
    let connect = Connect::sse(client(), url.clone(), SseLimits::default());
    let host = Host::new(connect, HostLimits::default(), Clock::counter());
    assert!(!probe(MCP, &url.to_string(), Some(host)).await.is_alive());
}

#[test]
fn any_message_is_a_sign_of_life() {
    let alive = [
        (200, true),
        (400, true),
        (404, true),
        (500, true),
        (400, false),
        (401, false),
        (403, false),
        (406, false),
        (429, false),
    ];
    for (status, says) in alive {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(judge(status, says), ProbeResult::Alive, "{status} {says}");
    }
    let dead = [
        (200, false),
        (301, false),
        (404, false),
        (405, false),
        (500, false),
        (503, false),
        (503, true),
    ];
    for (status, says) in dead {
        let status = StatusCode::from_u16(status).unwrap();
        assert!(!judge(status, says).is_alive(), "{status} {says}");
    }
}

#[tokio::test]
async fn a_message_is_found_in_both_forms_of_an_answer() {
    let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no"}}"#;
    let event = format!(": hello\n\ndata: {error}\n\n");
    for (kind, body, expected) in [
        ("application/json", error, true),
        ("text/event-stream; charset=utf-8", &event, true),
        ("text/event-stream", ": hello\n\n", false),
        ("text/html", "<html>", false),
        ("application/json", r#"{"status":"ok"}"#, false),
        ("application/json", "", false),
    ] {
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let response = Response::builder().header(CONTENT_TYPE, kind);
        let found = has_message(response.body(body).unwrap()).await;
        assert_eq!(found, expected, "{kind}");
    }
    let endless = format!("{{\"jsonrpc\":\"2.0\",\"x\":\"{}", "x".repeat(MAX_ANSWER));
    let body = Full::new(Bytes::from(endless));
    assert!(!has_message(Response::new(body)).await);
}
