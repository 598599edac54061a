use axum::body::Body;
use bartizan_protocol::{Envelope, Era, Version, edit, headers::MCP_SESSION_ID};
use http::Response;

use super::EVERYWHERE;
use crate::mcp::{
    Door, Session,
    ask::{Request, without},
    bridged::{GATEWAY_INFO, result_message},
    respond::{accepted, json},
};

/// What the gateway can do for some service or other. Nobody is asked: a service that is slow
/// or down must not keep a client from the others.
const CAPABILITIES: &str = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"completions":{},"logging":{}}"#;

/// Begins a session with all services.
pub(super) fn initialize(
    door: &Door,
    body: &bytes::Bytes,
    envelope: &Envelope<'_>,
) -> Response<Body> {
    let Some(request) = Request::read(body, envelope) else {
        return accepted();
    };
    let asked = edit::get(body, &["params", "protocolVersion"]).and_then(edit::text);
    let version = Version::negotiate_legacy(&asked.unwrap_or_default());
    let result = format!(
        r#"{{"protocolVersion":"{version}","capabilities":{CAPABILITIES},"serverInfo":{GATEWAY_INFO},"instructions":{}}}"#,
        instructions(door)
    );
    let mut response = json(result_message(&request.id, result.as_bytes()), Era::Legacy);
    // What is not offered is not asked of the client either.
    let body = without(body, &["params", "capabilities", "tasks"]);
    if let Some(token) = Session::found(door, EVERYWHERE, &body) {
        response.headers_mut().insert(MCP_SESSION_ID, token);
    }
    response
}

/// Says what there is, to a client that needs no session.
pub(super) fn discover(door: &Door, request: &Request) -> Response<Body> {
    let result = format!(
        r#"{{"resultType":"complete","supportedVersions":["{}"],"capabilities":{CAPABILITIES},"instructions":{},"ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{GATEWAY_INFO}}}}}"#,
        Version::LATEST,
        instructions(door)
    );
    json(result_message(&request.id, result.as_bytes()), Era::Modern)
}

fn instructions(door: &Door) -> String {
    let names: Vec<_> = door
        .shared
        .places()
        .services()
        .iter()
        .map(|service| &**service.name())
        .collect();
    edit::string(&format!(
        "A gateway to these services, whose names begin the names of their tools and prompts: {}.",
        names.join(", ")
    ))
}
