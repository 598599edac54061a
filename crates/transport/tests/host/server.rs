//! A server in a line of shell, and how tests talk to it.

use std::time::Duration;

use bartizan_backoff::Backoff;
use bartizan_clock::Clock;
use bartizan_protocol::{edit, sse::Decoder};
use bartizan_transport::{
    host::{Connect, Host, HostBody, HostError, HostLimits},
    stdio::{Command, RestartPolicy},
};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;

use crate::processes::{limits, shell, soon};

/// Answers by the name of the method; `SAYS` stands for what it says to `server/discover`.
const SERVER: &str = r#"
while read -r line; do
  id=${line#*'"id":'}; id=${id%%,*}
  result() { echo '{"jsonrpc":"2.0","id":'$id',"result":'$1'}'; }
  case $line in
    *'"initialize"'*) result '{"pid":'$$'}';;
    *'"server/discover"'*) SAYS;;
    *'"pid"'*) result '{"pid":'$$'}';;
    *'"wrong"'*|*'"ping"'*) echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"no"}}';;
    *'"noisy"'*)
      echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}'
      result '{"x":1.10}';;
    *'"ask"'*)
      echo '{"jsonrpc":"2.0","id":900,"method":"roots/list"}'
      read -r answer; result "$answer";;
    *'"tell"'*)
      echo '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'; result '{}';;
    *'"begin"'*) echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":2}}';;
    *'"notifications/cancelled"'*)
      echo '{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}';;
    *'"die"'*) exit 3;;
  esac
done
"#;

pub(crate) const MODERN: &str = r#"result '{"supportedVersions":["2026-07-28"]}'"#;
pub(crate) const LEGACY: &str =
    r#"echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"Method not found"}}'"#;
pub(crate) const SILENT: &str = ":";
pub(crate) const FATAL: &str = "exit 4";

pub(crate) fn script(says: &str) -> String {
    SERVER.replace("SAYS", says)
}

pub(crate) fn restart() -> RestartPolicy {
    let backoff = Backoff::exponential(Duration::from_millis(1))
        .max(Duration::from_millis(2))
        .build();
    RestartPolicy {
        backoff: backoff.unwrap(),
        flapping_after: 1000,
        ..RestartPolicy::default()
    }
}

pub(crate) fn host_of(command: Command, limit: HostLimits) -> Host {
    Host::new(
        Connect::stdio(command, limits(), restart()),
        limit,
        Clock::default(),
    )
}

/// A host before the server above.
pub(crate) fn host(says: &str, limits: HostLimits) -> Host {
    host_of(shell(&script(says)), limits)
}

pub(crate) fn request(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{}}}}"#)
}

/// A message of 2026-07-28.
pub(crate) fn modern(method: &str) -> String {
    let meta = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
    format!(r#"{{"jsonrpc":"2.0","id":"seven","method":"{method}","params":{meta}}}"#)
}

pub(crate) type Answer = Result<Response<HostBody>, HostError>;

pub(crate) async fn send(
    host: &Host,
    method: Method,
    session: Option<&str>,
    body: &str,
    owner: u64,
) -> Answer {
    let mut request = Request::builder().method(method);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    soon(host.call(request.body(body).unwrap(), owner)).await
}

pub(crate) async fn post(host: &Host, session: Option<&str>, body: &str) -> Answer {
    send(host, Method::POST, session, body, 0).await
}

/// Begins a session; its name and its process.
pub(crate) async fn begin(host: &Host, owner: u64) -> (String, u32) {
    let answer = send(host, Method::POST, None, &request("initialize"), owner).await;
    let answer = answer.unwrap();
    let session = answer.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    (session, pid(&whole(answer).await))
}

/// The process that a result names.
pub(crate) fn pid(result: &Bytes) -> u32 {
    let pid = edit::get(result, &["result", "pid"]);
    pid.unwrap_or_else(|| panic!("{result:?}")).parse().unwrap()
}

pub(crate) async fn whole(answer: Response<HostBody>) -> Bytes {
    soon(answer.into_body().collect()).await.unwrap().to_bytes()
}

/// The messages of an event stream.
pub(crate) async fn events(answer: Response<HostBody>) -> Vec<Bytes> {
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut decoder = Decoder::new(1 << 20);
    decoder.push(whole(answer).await);
    decoder.map(|event| event.unwrap().data).collect()
}

/// The next message of an event stream.
pub(crate) async fn next(body: &mut HostBody) -> Bytes {
    let frame = soon(body.frame()).await.unwrap().unwrap();
    let mut decoder = Decoder::new(1 << 20);
    decoder.push(frame.into_data().unwrap());
    decoder.next().unwrap().unwrap().data
}
