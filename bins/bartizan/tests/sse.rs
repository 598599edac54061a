//! HTTP+SSE of 2024-11-05, as the gateway offers it.
//!
//! Needs `curl`, and fails where it is missing.

mod common;

use std::process::Stdio;

use bartizan_mcp_fixture::{Eras, HttpFixture};
use common::{Bartizan, PATIENCE, Reply, Running, curl};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const KEYS: [&str; 2] = [
    "0123456789abcdef0123456789abcdef",
    "fedcba9876543210fedcba9876543210",
];

/// A gateway before a server of every revision, which is its service `fx`.
async fn gateway() -> Bartizan {
    let fixture = HttpFixture::bind(0, Eras::Both).await.unwrap();
    let file = json!({"mcpServers": {"fx": {"type": "http", "url": fixture.url()}}});
    tokio::spawn(fixture.serve());
    Bartizan::new(&["serve", "--mcp-config", "servers.json"])
        .set("MCP_GATEWAY_PORT", 0)
        .file("servers.json", &file.to_string())
}

/// An event stream, and where to post beside it.
struct Stream {
    curl: Child,
    lines: Lines<BufReader<ChildStdout>>,
    messages: String,
}

impl Stream {
    async fn open(gateway: &Running, path: &str, key: Option<&str>) -> Self {
        let mut command = Command::new("curl");
        command.args(["--disable", "--noproxy", "*", "--silent", "--no-buffer"]);
        if let Some(key) = key {
            command.args(["--header", &format!("X-API-Key: {key}")]);
        }
        command.arg(gateway.url(path)).kill_on_drop(true);
        let mut curl = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        let mut stream = Self {
            curl,
            lines,
            messages: String::new(),
        };
        let (kind, endpoint) = stream.event().await;
        assert_eq!(kind, "endpoint");
        let (prefix, _) = path.rsplit_once('/').unwrap();
        let expected = format!("{prefix}/messages?session=");
        assert!(endpoint.starts_with(&expected), "{endpoint}");
        stream.messages = endpoint;
        stream
    }

    /// The next event: its kind and its data.
    async fn event(&mut self) -> (String, String) {
        let (mut kind, mut data) = (String::new(), String::new());
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.expect("an event").unwrap().expect("a stream");
            match line.split_once(": ") {
                Some(("event", it)) => it.clone_into(&mut kind),
                Some(("data", it)) => it.clone_into(&mut data),
                None if !data.is_empty() => return (kind, data),
                _ => {}
            }
        }
    }

    async fn hear(&mut self) -> Value {
        let (kind, data) = self.event().await;
        assert_eq!(kind, "message");
        serde_json::from_str(&data).unwrap()
    }

    async fn post(&self, gateway: &Running, message: &str, more: &[&str]) -> Reply {
        let url = gateway.url(&self.messages);
        let json = ["--header", "Content-Type: application/json"];
        curl(&[&json[..], &["--data-binary", message], more, &[&url]].concat()).await
    }

    async fn begin(&mut self, gateway: &Running, more: &[&str]) {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2024-11-05", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }});
        let posted = self.post(gateway, &initialize.to_string(), more).await;
        assert_eq!(posted.status, 202, "{posted:?}");
        let answer = self.hear().await;
        assert_eq!(
            answer["result"]["protocolVersion"], "2024-11-05",
            "{answer}"
        );
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(self.post(gateway, initialized, more).await.status, 202);
    }
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

#[tokio::test]
async fn answers_come_on_the_stream_at_every_path() {
    let gateway = gateway().await.start().await;
    for (path, tool) in [
        ("/mcp/fx/sse", "test_simple_text"),
        ("/mcp/sse", "fx__test_simple_text"),
        ("/sse", "fx__test_simple_text"),
    ] {
        let mut stream = Stream::open(&gateway, path, None).await;
        stream.begin(&gateway, &[]).await;
        assert_eq!(stream.post(&gateway, LIST, &[]).await.status, 202);
        let answer = stream.hear().await;
        let tools = answer["result"]["tools"].as_array().unwrap();
        assert!(tools.iter().any(|it| it["name"] == tool), "{path}");
    }
}

#[tokio::test]
async fn a_session_belongs_to_its_caller() {
    let gateway = gateway().await.set("MCP_GATEWAY_API_KEYS", KEYS.join(","));
    let gateway = gateway.start().await;
    let key = |key| format!("X-API-Key: {key}");
    let (ours, theirs) = (key(KEYS[0]), key(KEYS[1]));
    let mut stream = Stream::open(&gateway, "/mcp/fx/sse", Some(KEYS[0])).await;
    stream.begin(&gateway, &["--header", &ours]).await;
    let other = stream.post(&gateway, LIST, &["--header", &theirs]).await;
    assert_eq!(other.status, 404, "{other:?}");
    let nobody = stream.post(&gateway, LIST, &[]).await;
    assert_eq!(nobody.status, 401, "{nobody:?}");
    let ours = stream.post(&gateway, LIST, &["--header", &ours]).await;
    assert_eq!(ours.status, 202);
    assert_eq!(stream.hear().await["id"], 1);
}

#[tokio::test]
async fn a_session_ends_with_its_stream() {
    let gateway = gateway().await.start().await;
    let mut stream = Stream::open(&gateway, "/mcp/fx/sse", None).await;
    stream.begin(&gateway, &[]).await;
    stream.curl.kill().await.unwrap();
    let gone = async { while stream.post(&gateway, LIST, &[]).await.status != 404 {} };
    timeout(PATIENCE, gone).await.expect("it ends");
}

#[tokio::test]
async fn what_is_no_message_of_the_session_is_refused() {
    let gateway = gateway().await.set("MCP_MAX_SESSIONS", 1).start().await;
    let page = ["--header", "Origin: https://evil.example"];
    let stream = Stream::open(&gateway, "/mcp/fx/sse", None).await;
    let status = |reply: Reply| reply.status;
    assert_eq!(status(stream.post(&gateway, LIST, &page).await), 403);
    assert_eq!(status(stream.post(&gateway, "{oops", &[]).await), 400);
    let url = gateway.url("/mcp/fx/sse");
    assert_eq!(status(curl(&[page[0], page[1], &url]).await), 403);
    // There is room for one.
    assert_eq!(status(curl(&[&url]).await), 503);
    assert_eq!(status(gateway.get("/mcp/nope/sse").await), 404);

    let elsewhere = stream.messages.replace("/mcp/fx/", "/mcp/");
    let unknown = "/mcp/fx/messages?session=00000000-0000-4000-8000-000000000000";
    for (path, expected) in [
        (&*elsewhere, 404),
        (unknown, 404),
        ("/mcp/fx/messages", 400),
    ] {
        let url = gateway.url(path);
        let json = ["--header", "Content-Type: application/json", "--data", LIST];
        let reply = curl(&[&json[..], &[&url]].concat()).await;
        assert_eq!(reply.status, expected, "{path}");
    }
    let plain = ["--header", "Content-Type: text/plain", "--data", LIST];
    let url = gateway.url(&stream.messages);
    assert_eq!(status(curl(&[&plain[..], &[&url]].concat()).await), 415);
}
