//! Finding out which era an upstream speaks.

use bartizan_classify::RequestClass;
use bartizan_protocol::{
    Envelope, Version, edit, error as code,
    headers::{MCP_METHOD, MCP_PROTOCOL_VERSION},
    method::SERVER_DISCOVER,
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};

use super::{Door, Eras, Message, Refusal, lost, raw::EITHER, refusal::JSON, single_flight::Turn};
use crate::service::{Payload, Upstream};

/// A `server/discover` of the gateway's own.
const DISCOVER: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"bartizan-discover","method":"server/discover","params":{"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientCapabilities":{},"#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"bartizan","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}}"#
);

/// Whether the service speaks 2026-07-28. Asked once; several callers wait for one answer.
///
/// # Errors
///
/// When the service gave no answer that tells.
pub(super) async fn speaks_modern(door: &Door) -> Result<bool, Refusal> {
    let Some(eras) = door.service.mcp().map(Upstream::eras) else {
        return Ok(false);
    };
    let now = door.shared.clock().now();
    if let Some(known) = eras.modern(now) {
        // Of a process that would take another one; should it be newer some day, it says so.
        if !known && eras.is_due(now) && !door.service.is_process() {
            find_aside(door);
        }
        return Ok(known);
    }
    // Boxed: done once, and every call would be as large.
    Box::pin(find_for_all(door, eras)).await
}

/// Asks, unless somebody does. In a task of its own, which goes by no caller's deadline: whoever gives
/// up waiting leaves the answer to the others.
async fn find_for_all(door: &Door, eras: &Eras) -> Result<bool, Refusal> {
    let heard = || eras.modern(door.shared.clock().now());
    let flight = match door.in_time(eras.asking().turn(heard)).await? {
        Turn::Heard(is_modern) => return Ok(is_modern),
        Turn::InVain => {
            let text = format!("{} did not answer just now", door.service.name());
            return Err(Refusal::answer(code::UNREACHABLE, text));
        }
        Turn::Ask(flight) => flight,
    };
    let own = door.for_all();
    let finds = tokio::spawn(async move {
        let Some(eras) = own.service.mcp().map(Upstream::eras) else {
            return Ok(false);
        };
        let found = find(&own, eras).await;
        found.inspect_err(|_| flight.failed())
    });
    door.in_time(finds).await?.unwrap_or_else(|_| {
        let text = format!("{} was not asked", door.service.name());
        Err(Refusal::answer(code::INTERNAL, text))
    })
}

/// Asks, and has nobody wait for it.
fn find_aside(door: &Door) {
    let door = door.aside();
    drop(tokio::spawn(async move {
        find(&door, door.service.mcp()?.eras()).await.ok()
    }));
}

/// Asks, and notes the answer.
async fn find(door: &Door, eras: &Eras) -> Result<bool, Refusal> {
    let asked = ask(door).await?;
    let now = door.shared.clock().now();
    let is_modern = asked == Found::Modern;
    if eras.modern(now).is_some_and(|known| known != is_modern) {
        // What else is known of it was heard of the other.
        eras.doubt();
    }
    match asked {
        Found::Nothing => eras.doubt_older(now),
        Found::Modern | Found::Older => eras.set_modern(is_modern, now),
    }
    Ok(is_modern)
}

/// Has the era of an upstream asked again that refuses a message of 2026-07-28 in words that
/// nobody has there, or with a code that its client may have earned.
pub(super) fn doubt_newer(door: &Door, response: &Response<Payload>) {
    let knows_methods = !matches!(
        response.status(),
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    if knows_methods {
        return;
    }
    match error_code(&response.body().bytes) {
        Some(code::INVALID_REQUEST) => question(door),
        Some(code) if !(-32_019..=-32_000).contains(&code) => {}
        Some(_) | None => doubt(door),
    }
}

/// The same where it refuses a message of an older revision in words that only 2026-07-28 has, or
/// with a status that older ones have other uses for; whether only that has them.
pub(super) fn doubt_older(door: &Door, status: StatusCode, answer: &[u8]) -> bool {
    let Some(code) = error_code(answer) else {
        return false;
    };
    let is_newer = code::is_modern_error(code);
    if is_newer {
        doubt(door);
    } else if code == code::INVALID_PARAMS && status == StatusCode::BAD_REQUEST {
        question(door);
    }
    is_newer
}

/// Forgets the era, so that whoever comes next finds out.
fn doubt(door: &Door) {
    if let Some(mcp) = door.service.mcp() {
        mcp.eras().doubt();
    }
}

/// Asks again, though the era is likely to be what it was: no call waits for the answer.
fn question(door: &Door) {
    let eras = door.service.mcp().map(Upstream::eras);
    if eras.is_some_and(|eras| eras.question(door.shared.clock().now())) {
        find_aside(door);
    }
}

fn error_code(answer: &[u8]) -> Option<i64> {
    Envelope::read(answer).ok()?.error_code()
}

/// The question itself.
pub(super) fn discover() -> Message {
    let version = HeaderValue::from_static(Version::LATEST.as_str());
    Message {
        method: Method::POST,
        body: Bytes::from_static(DISCOVER.as_bytes()),
        class: RequestClass::Safe,
        headers: vec![
            (CONTENT_TYPE, JSON),
            (ACCEPT, EITHER),
            (MCP_PROTOCOL_VERSION, version),
            (MCP_METHOD, HeaderValue::from_static(SERVER_DISCOVER)),
        ],
        instance: None,
        is_clients: false,
        is_request: true,
    }
}

/// What an answer to the question tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Modern,
    Older,
    /// It may be either, and is taken for older until it is asked again.
    Nothing,
}

async fn ask(door: &Door) -> Result<Found, Refusal> {
    let response = door.send_first(discover()).await?;
    let status = response.status();
    let service = door.service.name();
    if lost::is_credential(status) {
        return Err(Refusal::unauthorized(service, status));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Refusal::of_status(door, status, response.headers()));
    }
    let answer = door.final_message(response).await;
    let found = match &answer {
        Some(answer) if is_modern(answer) => Found::Modern,
        // The answer broke off, or the server has no words for what it does not know.
        None if status.is_success() => Found::Nothing,
        _ => Found::Older,
    };
    tracing::debug!(service = &**service, era = ?found, "era found");
    Ok(found)
}

/// Whether an answer to `server/discover` is one of the modern era. A method not found is none:
/// the method must be there.
fn is_modern(answer: &[u8]) -> bool {
    let Ok(envelope) = Envelope::read(answer) else {
        return false;
    };
    if let Some(code) = envelope.error_code() {
        return code::is_modern_error(code);
    }
    let versions = edit::get(answer, &["result", "supportedVersions"]);
    let versions = versions.and_then(|versions| edit::elements(versions.as_bytes()));
    versions.is_some_and(|versions| {
        versions
            .into_iter()
            .filter_map(edit::text)
            .any(|version| version == Version::LATEST.as_str())
    })
}
