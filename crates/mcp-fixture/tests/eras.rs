//! A fixture of one era answers the other as servers of its era do.

use bartizan_mcp_fixture::{Eras, HttpFixture};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// Posts a message as a client of `version` and returns the status and the last JSON in the answer.
async fn post(eras: Eras, version: &str, path: &str, message: &Value) -> (u16, Value) {
    let fixture = HttpFixture::bind(0, eras).await.unwrap();
    let authority = fixture.url()["http://".len()..]
        .trim_end_matches("/mcp")
        .to_owned();
    let serving = tokio::spawn(fixture.serve());

    let mut headers = format!(
        "host: {authority}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n"
    );
    if version == MODERN {
        let method = message["method"].as_str().unwrap();
        headers += &format!("mcp-protocol-version: {version}\r\nmcp-method: {method}\r\n");
    }
    let body = message.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&authority).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serving.abort();

    let status = answer[9..12].parse().unwrap();
    let json = answer
        .lines()
        .filter_map(|line| line.trim_start_matches("data:").trim().strip_prefix('{'))
        .next_back()
        .map_or(Value::Null, |rest| {
            serde_json::from_str(&format!("{{{rest}")).unwrap()
        });
    (status, json)
}

fn initialize() -> Value {
    let client = json!({ "name": "test", "version": "1" });
    let params = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
}

fn discover() -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta } })
}

#[tokio::test]
async fn a_server_of_both_eras_answers_both() {
    let (status, answer) = post(Eras::Both, LEGACY, "/mcp", &initialize()).await;
    assert_eq!(
        (status, &answer["result"]["protocolVersion"]),
        (200, &json!(LEGACY))
    );
    let (status, answer) = post(Eras::Both, MODERN, "/mcp", &discover()).await;
    assert_eq!(status, 200);
    let versions = answer["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(MODERN)), "{versions:?}");
}

#[tokio::test]
async fn a_legacy_server_looks_for_a_session() {
    let (status, answer) = post(Eras::Legacy, MODERN, "/mcp", &discover()).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32000)));
    let (status, answer) = post(Eras::Legacy, LEGACY, "/mcp", &initialize()).await;
    assert_eq!(
        (status, &answer["result"]["protocolVersion"]),
        (200, &json!(LEGACY))
    );
}

#[tokio::test]
async fn a_modern_server_knows_no_handshake() {
    let (status, answer) = post(Eras::Modern, LEGACY, "/mcp", &initialize()).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!(-32601)));
    let (status, answer) = post(Eras::Modern, MODERN, "/mcp", &discover()).await;
    assert_eq!(
        (status, &answer["result"]["supportedVersions"]),
        (200, &json!([MODERN]))
    );
}

#[tokio::test]
async fn there_is_one_path() {
    let (status, _) = post(Eras::Both, LEGACY, "/other", &initialize()).await;
    assert_eq!(status, 404);
}
