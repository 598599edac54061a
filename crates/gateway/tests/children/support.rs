//! A gateway before servers in a line of shell, without sockets.

use std::{fs, time::Duration};

use axum::body::Body;
use bartizan_config::{Configuration, GatewayConfig, ServiceConfig};
use bartizan_gateway::Gateway;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Answers `initialize`, tells its process to whoever calls the tool `pid`, and dies of `die`.
pub(crate) const SERVER: &str = r#"
while read -r line; do
  id=${line#*'"id":'}; id=${id%%,*}
  result() { echo '{"jsonrpc":"2.0","id":'$id',"result":'$1'}'; }
  case $line in
    *'"initialize"'*) result '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}';;
    *'"die"'*) exit 3;;
    *'"tools/call"'*) result '{"content":[],"pid":'$$'}';;
    *'"server/discover"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"Method not found"}}';;
  esac
done
"#;

pub(crate) fn shell(script: &str) -> ServiceConfig {
    ServiceConfig::stdio("sh").args(["-c", script])
}

pub(crate) fn configuration(services: Vec<(&str, ServiceConfig)>) -> Configuration {
    let mut builder = GatewayConfig::builder()
        .gateway_url("http://127.0.0.1:8080")
        .variable("MCP_SESSION_KEYS", "k3R9vQ2xW7tL5nB8mC4zJ6hD1sF0gYpA")
        .variable("MCP_RETRY_INITIAL_DELAY", "1")
        .variable("MCP_MAX_CHILDREN", "200");
    for (name, service) in services {
        let service = service
            .variable("RATE_LIMIT_RPM", "100000")
            .variable("RATE_LIMIT_BURST", "1000");
        builder = builder.service(name, service);
    }
    builder.build().unwrap()
}

pub(crate) fn gateway(services: Vec<(&str, ServiceConfig)>) -> Gateway {
    Gateway::new(&configuration(services)).unwrap()
}

pub(crate) async fn send(
    gateway: &Gateway,
    method: Method,
    path: &str,
    session: Option<&str>,
    body: &str,
) -> Response<Body> {
    let of_session = session.map(|session| {
        [
            ("mcp-session-id", session),
            ("mcp-protocol-version", "2025-11-25"),
        ]
    });
    let headers = of_session.as_ref().map_or(&[][..], |headers| headers);
    send_with(gateway, method, path, headers, body).await
}

pub(crate) async fn send_with(
    gateway: &Gateway,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = gateway.service().oneshot(request);
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
    answer.expect("an answer in time").unwrap()
}

pub(crate) async fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

pub(crate) fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    )
}

/// Begins a session, as a client of 2025-11-25 does.
pub(crate) async fn begin(gateway: &Gateway, path: &str) -> String {
    let answer = send(gateway, Method::POST, path, None, INITIALIZE).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let session = answer.headers().get("mcp-session-id").cloned();
    let said = text(answer).await;
    let session = session.unwrap_or_else(|| panic!("{said}"));
    let session = session.to_str().unwrap().to_owned();
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answer = send(gateway, Method::POST, path, Some(&session), initialized).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    session
}

/// The children of this process, dead ones included.
pub(crate) fn children() -> usize {
    let me = std::process::id().to_string();
    let parent = |path: std::path::PathBuf| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(") ")?;
        fields.split(' ').nth(1).map(str::to_owned)
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| parent(process.path()))
        .filter(|parent| *parent == me)
        .count()
}

pub(crate) async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen");
}
