//! The configuration of a running process, changed as operators change it: by its files and by
//! SIGHUP.
//!
//! Needs `kill`, and `curl`.
#![cfg(unix)]

mod common;

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use bartizan_testkit::{Recorded, Reply, Upstream};
use common::{Bartizan, PATIENCE, Running, curl};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

const RELOADS: usize = 100;
const CALLERS: usize = 8;
/// What the log says of each reload that changed something, and of each that changed nothing.
const CHANGED: [&str; 2] = ["configuration changed", "configuration read again"];

/// A backend that answers with the id that it was sent.
async fn backend() -> Upstream {
    let echo = |request: &Recorded| Reply::json(format!(r#"{{"id":{}}}"#, request.json()["id"]));
    let backend = Upstream::start_with(echo).await;
    backend.aside("/api/definition", Reply::status(404));
    backend.aside("/health", Reply::status(200));
    backend
}

/// Replaces a file as a whole, as editors do.
fn replace(directory: &Path, name: &str, content: &str) {
    let beside = directory.join("beside");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(beside, directory.join(name)).unwrap();
}

/// A client that keeps its connection.
struct Caller(BufReader<TcpStream>);

impl Caller {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    async fn call(&mut self, service: &str, id: usize) -> Value {
        let body = format!(
            r#"{{"id":{id},"service":"{service}","operation":"createOrder","parameters":{{"id":{id}}}}}"#
        );
        let request = format!(
            "POST /mcp/request HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
        timeout(PATIENCE, self.answer()).await.expect("an answer")
    }

    async fn answer(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).await.unwrap();
            assert_ne!(read, 0, "the connection was closed");
            if line == "\r\n" {
                break;
            }
            let line = line.to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

/// The services that there are after so many changes, as a `.env` file has them.
fn dot_env(backend: &Upstream, changes: usize) -> String {
    let names = if changes % 4 >= 2 {
        "one,two,more"
    } else {
        "one,two"
    };
    let mut text = format!("MCP_SERVICES={names}\n");
    for name in names.split(',') {
        let prefix = format!("MCP_SERVICE_{}", name.to_uppercase());
        let url = backend.url();
        text += &format!(
            "{prefix}_ENDPOINT={url}\n{prefix}_AUTH_TYPE=none\n{prefix}_RATE_LIMIT_RPM=6000000\n"
        );
    }
    // Another with every second change.
    text + &format!(
        "MCP_SERVICE_TWO_RATE_LIMIT_BURST={}\n",
        100_000 + changes.div_ceil(2)
    )
}

async fn start(files: &[(&str, &str)], registries: bool) -> Running {
    // Signals and no more: `watch.rs` is about changes that nobody tells of.
    let mut gateway = Bartizan::new(&[])
        .set("MCP_GATEWAY_PORT", 0)
        .set("MCP_GATEWAY_WATCH_FILES", "false");
    for (name, content) in files {
        gateway = gateway.file(name, content);
    }
    if registries {
        gateway = gateway
            .set("REGISTRY_PATH", "registry.yaml")
            .set("MCP_GATEWAY_REGISTRY_FILE", "registry.json")
            .set("MCP_SERVICE_LISTED_TRANSPORT", "rest")
            .set("MCP_SERVICE_LATER_TRANSPORT", "rest");
    }
    gateway.start().await
}

/// Waits until its log holds `text` so many times.
async fn logs(gateway: &Running, text: &str, times: usize) {
    let said = async {
        while gateway.log().matches(text).count() < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let said = timeout(PATIENCE, said).await;
    said.unwrap_or_else(|_| panic!("not {times} times {text:?} in\n{}", gateway.log()));
}

#[tokio::test]
async fn a_hundred_hangups_under_load_cost_nobody_anything() {
    let backend = backend().await;
    let gateway = start(&[(".env", &dot_env(&backend, 0))], false).await;
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let caller = async |number: usize| {
        let mut caller = Caller::connect(gateway.address()).await;
        let mut calls = 0;
        while !stop.load(Ordering::Relaxed) {
            let (service, id) = (["one", "two"][calls % 2], number * 1_000_000 + calls);
            let json = caller.call(service, id).await;
            assert_eq!(json["success"], true, "{json}");
            assert_eq!(json["data"]["id"], id, "{json}");
            answered.fetch_add(1, Ordering::Relaxed);
            calls += 1;
        }
    };
    let reloads = async {
        for reload in 1..=RELOADS {
            // Every other one changes something.
            replace(gateway.directory(), ".env", &dot_env(&backend, reload / 2));
            let before = answered.load(Ordering::Relaxed);
            gateway.signal("HUP").await;
            // The first of two finds what the second finds again.
            logs(&gateway, CHANGED[0], reload / 2).await;
            logs(&gateway, CHANGED[1], reload.div_ceil(2)).await;
            while answered.load(Ordering::Relaxed) < before + CALLERS {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    let load = futures_util::future::join_all((0..CALLERS).map(caller));
    tokio::join!(load, reloads);
    let log = gateway.log();
    assert_eq!(log.matches("1 services added").count(), 13, "{log}");
    assert_eq!(log.matches("1 removed").count(), 12, "{log}");
    assert_eq!(log.matches("1 changed").count(), 25, "{log}");
    // Every service keeps the connections that there are, one a caller at most, and one more for
    // a look at the definition of each that begins.
    let connections = backend.connections();
    assert!(connections <= 2 * CALLERS + 1, "{connections}");
    let finished = gateway.stop().await;
    assert!(finished.status.success(), "{finished:?}");
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_named() {
    let backend = backend().await;
    let (url, port) = (backend.url(), backend.address().port());
    let yaml = format!(
        "version: '1.0'\nservers:\n- namespace: files\n  name: 127.0.0.1\n  port: {port}\n"
    );
    let json = format!(
        "{{\n \"templates\": {{\n  \"listed\": {{\n   \"instances\": [\n    {{\"id\": \"a\", \"endpoint\": \"{url}\"}}\n   ]\n  }}\n }}\n}}\n"
    );
    let env = dot_env(&backend, 0);
    let files = [
        (".env", &*env),
        ("registry.yaml", &*yaml),
        ("registry.json", &*json),
    ];
    let gateway = start(&files, true).await;
    let directory = gateway.directory();
    let mut caller = Caller::connect(gateway.address()).await;
    let mut all_are_there = async |when: &str| {
        for (id, service) in ["one", "two", "files", "listed"].into_iter().enumerate() {
            let json = caller.call(service, id).await;
            assert_eq!(json["success"], true, "{when}: {json}");
        }
    };
    all_are_there("at first").await;

    // Each break is on line 3 but for the last, which is a line that is not there.
    let broken_env = env.replacen(
        "MCP_SERVICE_ONE_AUTH_TYPE=none",
        "MCP_SERVICE_ONE_AUTH_TYPE=\"none",
        1,
    );
    let broken_yaml = yaml.replacen("- namespace: files", "- namespace: [files", 1);
    let broken_json = json.replacen("\"listed\": {", "\"listed\" {", 1);
    for (name, sound, broken, place) in [
        (".env", &env, broken_env, ".env, line 3, column 27:"),
        ("registry.yaml", &yaml, broken_yaml, "registry.yaml: line "),
        (
            "registry.json",
            &json,
            broken_json,
            "registry.json: line 3, column 12",
        ),
        ("registry.yaml", &yaml, String::new(), "registry.yaml: "),
        (
            "registry.json",
            &json,
            String::new(),
            "registry.json: line 1, column 1",
        ),
    ] {
        let before = gateway.log().len();
        replace(directory, name, &broken);
        gateway.signal("HUP").await;
        let said = async {
            while !gateway.log()[before..].contains(place) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let said = timeout(PATIENCE, said).await;
        assert!(said.is_ok(), "no {place} in {}", &gateway.log()[before..]);
        all_are_there(name).await;

        // Mended, it says what it said before.
        let before = gateway.log().len();
        replace(directory, name, &format!("{sound}\n"));
        gateway.signal("HUP").await;
        let said = async {
            while !gateway.log()[before..].contains(CHANGED[1]) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let said = timeout(PATIENCE, said).await;
        assert!(said.is_ok(), "{name}: {}", &gateway.log()[before..]);
        all_are_there(name).await;
    }

    // What comes after a repair is taken up.
    replace(directory, "registry.json", &json.replace("listed", "later"));
    gateway.logs("1 services added, 1 removed").await;
    assert_eq!(caller.call("later", 1).await["success"], true);
    let gone = caller.call("listed", 1).await;
    assert_eq!(gone["error"]["message"], "Service listed not configured");
}

#[tokio::test]
async fn what_may_say_why_is_said_beside_what_is_wrong() {
    let backend = backend().await;
    let env = dot_env(&backend, 0);
    let gateway = start(&[(".env", &*env)], false).await;
    let misspelt = env.replace("MCP_SERVICE_ONE_ENDPOINT", "MCP_SERVICE_ONE_ENDPIONT");
    replace(gateway.directory(), ".env", &misspelt);
    let answer = curl(&["-X", "POST", &gateway.url("/gateway/reload")]).await;
    assert_eq!(answer.status, 422);
    let json = answer.json();
    let detail = json["detail"].as_array().unwrap();
    let [wrong, odd] = &detail[..] else {
        panic!("{json}");
    };
    assert_eq!(wrong["type"], "configuration_error");
    assert_eq!(odd["type"], "configuration_warning");
    let meant = "did you mean MCP_SERVICE_ONE_ENDPOINT?";
    assert!(odd["msg"].as_str().unwrap().ends_with(meant), "{json}");
    gateway.logs(meant).await;
    // Whoever looks for the line has all of it.
    gateway.logs("error=Configuration errors: ").await;
}
