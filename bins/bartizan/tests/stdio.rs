//! `bartizan stdio` as desktop clients run it: a child process, lines on pipes, and a log that
//! must not get between them.

mod common;

use std::{process::Stdio, time::Duration};

use bartizan_mcp_fixture::{Eras, HttpFixture};
use common::{Bartizan, Finished, PATIENCE, signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

const MODERN: &str = "2026-07-28";

/// A server of every revision; its address.
async fn fixture() -> String {
    let fixture = HttpFixture::bind(0, Eras::Both).await.unwrap();
    let url = fixture.url().to_owned();
    tokio::spawn(fixture.serve());
    url
}

/// A file of servers with these names, all at `url`.
fn servers(names: &[&str], url: &str) -> String {
    let servers: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "type": "http", "url": url })))
        .collect();
    json!({ "mcpServers": servers }).to_string()
}

/// One that starts with such a file.
fn with_servers(arguments: &[&str], names: &[&str], url: &str) -> Bartizan {
    let arguments = [&["stdio", "--mcp-config", "servers.json"], arguments].concat();
    Bartizan::new(&arguments).file("servers.json", &servers(names, url))
}

/// A client and the process that it started.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    _directory: TempDir,
}

impl Client {
    fn start(bartizan: Bartizan) -> Self {
        let (mut child, directory) = bartizan.stdin(Stdio::piped()).spawn();
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            _directory: directory,
        }
    }

    async fn say(&mut self, message: &Value) {
        let line = format!("{message}\n");
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next message; whatever else is printed fails the test.
    async fn hear(&mut self) -> Value {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("it answers").unwrap().expect("it runs");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line}"))
    }

    /// The response to a request, past what is said before it, which is given as well.
    async fn ask(&mut self, id: u32, method: &str, params: Value) -> (Value, Vec<Value>) {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        let mut before = Vec::new();
        loop {
            let heard = self.hear().await;
            if heard["id"] == id && heard.get("method").is_none() {
                return (heard, before);
            }
            before.push(heard);
        }
    }

    /// Begins a session, as a client that can be asked.
    async fn begin(&mut self) {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"sampling": {}},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let (answer, _) = self.ask(0, "initialize", params).await;
        assert_eq!(
            answer["result"]["protocolVersion"], "2025-11-25",
            "{answer}"
        );
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
    }

    async fn tools(&mut self) -> Vec<String> {
        let (answer, _) = self.ask(1, "tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array();
        let tools = tools.unwrap_or_else(|| panic!("{answer}"));
        let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
        tools.iter().map(name).collect()
    }

    async fn offers(&mut self, tool: &str) -> bool {
        self.tools().await.iter().any(|it| it == tool)
    }

    /// Says no more and waits for the end.
    async fn hang_up(mut self) -> Finished {
        drop(self.input.take());
        self.ended().await
    }

    async fn ended(mut self) -> Finished {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let mut stdout = String::new();
        while let Some(line) = self.output.next_line().await.unwrap() {
            stdout.push_str(&line);
        }
        let mut stderr = String::new();
        let mut log = self.child.stderr.take().unwrap();
        log.read_to_string(&mut stderr).await.unwrap();
        Finished {
            status: status.expect("it ends").unwrap(),
            stdout,
            stderr,
        }
    }
}

#[tokio::test]
async fn a_client_of_sessions_is_served_and_the_process_ends_with_its_input() {
    let url = fixture().await;
    let mut client = Client::start(with_servers(&[], &["fx"], &url));
    client.begin().await;
    assert!(
        client
            .tools()
            .await
            .contains(&"test_simple_text".to_owned())
    );
    let call = json!({
        "name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "p"},
    });
    let (answer, before) = client.ask(2, "tools/call", call).await;
    assert!(answer["result"]["content"].is_array(), "{answer}");
    let progress = before
        .iter()
        .filter(|it| it["method"] == "notifications/progress");
    assert!(progress.count() >= 2, "{before:?}");

    let finished = client.hang_up().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stdout, "");
}

#[tokio::test]
async fn a_server_s_question_reaches_the_client_and_its_answer_the_server() {
    let url = fixture().await;
    let mut client = Client::start(with_servers(&[], &["fx"], &url));
    client.begin().await;
    let call = json!({"name": "test_sampling", "arguments": {"prompt": "hello"}});
    client
        .say(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}))
        .await;
    let question = client.hear().await;
    assert_eq!(question["method"], "sampling/createMessage");
    let answer = json!({
        "role": "assistant", "model": "m", "content": {"type": "text", "text": "an answer"},
    });
    client
        .say(&json!({"jsonrpc": "2.0", "id": question["id"], "result": answer}))
        .await;
    let answer = client.hear().await;
    assert_eq!(answer["id"], 2);
    assert!(answer.to_string().contains("an answer"), "{answer}");
}

#[tokio::test]
async fn messages_of_2026_07_28_stand_alone() {
    let url = fixture().await;
    let mut client = Client::start(with_servers(&[], &["fx"], &url));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let (discovered, _) = client
        .ask(1, "server/discover", json!({"_meta": meta}))
        .await;
    let versions = &discovered["result"]["supportedVersions"];
    assert!(versions.to_string().contains(MODERN), "{discovered}");
    let call = json!({"name": "test_simple_text", "arguments": {}, "_meta": meta});
    let (answer, _) = client.ask(2, "tools/call", call).await;
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    let finished = client.hang_up().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

#[tokio::test]
async fn lines_written_at_once_are_all_answered() {
    let url = fixture().await;
    let mut client = Client::start(with_servers(&[], &["fx"], &url));
    let initialize = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "script", "version": "1"},
    });
    let lines = [
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}),
    ];
    for line in &lines {
        client.say(line).await;
    }
    client.input = None;
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let heard = client.hear().await;
        assert!(heard["result"].is_object(), "{heard}");
        ids.push(heard["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2]);
    assert!(client.ended().await.status.success());
}

#[tokio::test]
async fn one_service_keeps_its_names_and_several_are_told_apart() {
    let url = fixture().await;
    for (arguments, prefix) in [(&[][..], "a__"), (&["--service", "b"], "")] {
        let mut client = Client::start(with_servers(arguments, &["a", "b"], &url));
        client.begin().await;
        let tools = client.tools().await;
        let expected = format!("{prefix}test_simple_text");
        assert!(tools.contains(&expected), "{tools:?}");
        assert!(client.hang_up().await.status.success());
    }
}

#[tokio::test]
async fn what_is_about_the_network_does_not_matter() {
    let url = fixture().await;
    // Taken, so that listening there would fail.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let bartizan = with_servers(&[], &["fx"], &url)
        .set("MCP_GATEWAY_HOST", "0.0.0.0")
        .set("MCP_GATEWAY_PORT", port);
    let mut client = Client::start(bartizan);
    client.begin().await;
    assert!(!client.tools().await.is_empty());
    let finished = client.hang_up().await;
    assert!(finished.status.success());
    for about_the_port in ["listening", "MCP_ALLOWED_HOSTS"] {
        assert!(!finished.stderr.contains(about_the_port), "{finished:?}");
    }

    // What `serve` would refuse.
    let bartizan = with_servers(&[], &["fx"], &url)
        .set("PORT", "abc")
        .set("HOST", "example")
        .set("MCP_GATEWAY_PORT", "abc")
        .set("MCP_GATEWAY_HOST", "gateway.example")
        .set("MCP_GATEWAY_TLS_CERT_FILE", "missing")
        .set("MCP_GATEWAY_API_KEYS_FILE", "missing")
        .set("MCP_GATEWAY_ADMIN_KEYS", "changeme")
        .set("MCP_GATEWAY_ALLOWED_COMMANDS", "npx");
    let mut client = Client::start(bartizan);
    client.begin().await;
    let finished = client.hang_up().await;
    assert!(finished.status.success(), "{finished:?}");
    assert!(!finished.stderr.contains("WARN"), "{finished:?}");

    let bartizan = with_servers(&[], &["fx"], &url)
        .set("MCP_GATEWAY_API_KEYS", "0123456789abcdef0123456789abcdef");
    let mut client = Client::start(bartizan);
    client.begin().await;
    assert!(!client.tools().await.is_empty());
    let finished = client.hang_up().await;
    assert!(
        !finished.stderr.is_empty(),
        "the log goes to standard error"
    );
}

#[tokio::test]
async fn a_signal_ends_it_while_its_input_is_open() {
    let url = fixture().await;
    for name in ["TERM", "INT"] {
        let mut client = Client::start(with_servers(&[], &["fx"], &url));
        client.begin().await;
        signal(&client.child, name).await;
        let ended = timeout(Duration::from_secs(5), client.child.wait()).await;
        let status = ended.expect("it ends soon").unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
    }
}

#[tokio::test]
async fn other_servers_count_while_the_client_stays() {
    let url = fixture().await;
    for watches in [true, false] {
        let bartizan = with_servers(&[], &["a", "b"], &url);
        let bartizan = bartizan.set("MCP_GATEWAY_WATCH_FILES", watches);
        let (file, beside) = (bartizan.path("servers.json"), bartizan.path("beside"));
        let mut client = Client::start(bartizan);
        client.begin().await;
        assert!(client.offers("b__test_simple_text").await);
        std::fs::write(&beside, servers(&["a", "c"], &url)).unwrap();
        std::fs::rename(beside, file).unwrap();
        if !watches {
            signal(&client.child, "HUP").await;
        }
        let others = async { while !client.offers("c__test_simple_text").await {} };
        timeout(PATIENCE, others).await.expect("the other servers");
        assert!(client.hang_up().await.status.success());
    }
}

#[tokio::test]
async fn no_process_of_a_service_outlives_it() {
    let server = json!({"command": "sh", "args": ["-c", "echo $$ > pid; exec sleep 1000"]});
    let file = json!({"mcpServers": {"silent": server}}).to_string();
    let arguments = ["stdio", "--mcp-config", "servers.json"];
    for name in ["TERM", "INT"] {
        let bartizan = Bartizan::new(&arguments).file("servers.json", &file);
        let bartizan = bartizan.set("PATH", "/usr/bin:/bin");
        let path = bartizan.path("pid");
        let mut client = Client::start(bartizan);
        client
            .say(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}))
            .await;
        let begun = async {
            loop {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                if let Ok(pid) = text.trim().parse::<u32>() {
                    return pid;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let pid = timeout(PATIENCE, begun).await.expect("a process");
        signal(&client.child, name).await;
        timeout(PATIENCE, client.child.wait())
            .await
            .expect("it ends")
            .unwrap();
        let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let gone = async {
            // One that nobody has waited for yet has ended, too.
            while runs().is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, gone)
            .await
            .unwrap_or_else(|_| panic!("{name}: {pid} runs"));
    }
}

/// Answers `initialize`, and leaves word of how it was told to end: by the end of its input, or by
/// SIGTERM if it is told to `stay` then. Either takes it a moment.
const ORDERLY: &str = r#"
trap 'sleep 0.2; echo SIGTERM > ended; exit' TERM
while read -r line; do
  id=${line#*'"id":'}; id=${id%%,*}
  case $line in *'"initialize"'*)
    echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}';;
  esac
done
if [ "$1" = stay ]; then while :; do sleep 0.05; done; fi
sleep 0.2; echo input > ended
"#;

#[tokio::test]
async fn processes_of_services_end_in_good_order() {
    let arguments = ["stdio", "--mcp-config", "servers.json"];
    for (manner, expected) in [("leave", "input\n"), ("stay", "SIGTERM\n")] {
        for hangs_up in [true, false] {
            let server = json!({"command": "sh", "args": ["-c", ORDERLY, "sh", manner]});
            let file = json!({"mcpServers": {"it": server}}).to_string();
            let bartizan = Bartizan::new(&arguments).file("servers.json", &file);
            let bartizan = bartizan.set("PATH", "/usr/bin:/bin");
            let path = bartizan.path("ended");
            let mut client = Client::start(bartizan);
            client.begin().await;
            if hangs_up {
                drop(client.input.take());
            } else {
                signal(&client.child, "TERM").await;
            }
            // The SDKs for clients send SIGTERM, and SIGKILL, after as long.
            let ended = timeout(Duration::from_secs(2), client.child.wait()).await;
            let status = ended.expect("it ends soon").unwrap();
            assert_eq!(status.code(), Some(0));
            let word = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(word, expected, "{manner}, hangs up: {hangs_up}");
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_no_more_is_no_failure() {
    let url = fixture().await;
    let mut client = Client::start(with_servers(&[], &["fx"], &url));
    client.begin().await;
    let Client {
        mut child,
        mut input,
        output,
        _directory,
    } = client;
    drop(output);
    let input = input.as_mut().unwrap();
    // Fails once the process has gone.
    let ping = b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}\n";
    let _ = input.write_all(ping).await;
    let status = timeout(PATIENCE, child.wait()).await;
    assert_eq!(status.expect("it ends").unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_before_anything_is_read() {
    let url = "http://127.0.0.1:9/mcp";
    for (bartizan, expected) in [
        (
            with_servers(&["--service", "nope"], &["fx"], url),
            "no MCP service is called \"nope\"",
        ),
        (
            Bartizan::sound(&["stdio"], "http://127.0.0.1:9"),
            "no MCP service is configured",
        ),
    ] {
        let finished = bartizan.run().await;
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
        assert_eq!(finished.stdout, "");
    }
}
