//! A client's requests, in the words of the upstream's era.

use bartizan_protocol::{
    Envelope,
    edit::{self, Edit, EditError},
    headers::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, Param, encode},
    method::{is_modern, may_require_input},
    version::Version,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{
    log_level::LogLevel,
    meta::{CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROTOCOL_VERSION},
    text::{emptied, strip},
};

/// What 2026-07-28 wants to hear with every request, and the older revisions heard once.
#[derive(Clone, Copy, Debug)]
pub struct ClientMeta<'a> {
    /// The client's `ClientCapabilities`, as [`client_to_modern`](super::client_to_modern) gives
    /// them.
    pub capabilities: &'a str,
    /// The client's `Implementation`, if it introduced itself.
    pub info: Option<&'a str>,
    /// The level that the session last set, if it set one.
    pub log_level: Option<LogLevel>,
}

impl ClientMeta<'_> {
    /// Plans to write these keys into `params._meta`, whatever stands there.
    pub(super) fn write(&self, edit: &mut Edit<'_>) {
        let version = format!("\"{}\"", Version::LATEST);
        edit.set(&["params", "_meta", PROTOCOL_VERSION], &version);
        edit.set(&["params", "_meta", CLIENT_CAPABILITIES], self.capabilities);
        if let Some(info) = self.info {
            edit.set(&["params", "_meta", CLIENT_INFO], info);
        }
        if let Some(level) = self.log_level {
            edit.set(&["params", "_meta", LOG_LEVEL], level.as_json());
        }
    }
}

/// A request of an older revision, as 2026-07-28 wants it.
///
/// Adds the revision, the capabilities, the client's name and the log level to `_meta`. Takes
/// away `params.task`, which asks for a task of 2025-11-25: no upstream of the other era
/// declares those, and where they are not declared the request counts as an ordinary one. All
/// else stays byte for byte, `progressToken` included.
///
/// # Errors
///
/// [`EditError`] if `params` or `_meta` is not an object: `-32602` to the client.
pub fn to_modern(request: &[u8], meta: &ClientMeta<'_>) -> Result<Bytes, EditError> {
    let mut edit = Edit::new(request);
    // `null` is how some clients spell that there is none.
    match edit::get(request, &["params"]) {
        Some("null") => {
            edit.set(&["params"], "{}");
        }
        Some(params) if edit::get(params.as_bytes(), &["_meta"]) == Some("null") => {
            edit.set(&["params", "_meta"], "{}");
        }
        _ => {}
    }
    edit.remove(&["params", "task"]);
    meta.write(&mut edit);
    edit.finish()
}

/// The keys that 2026-07-28 demands or allows in the `_meta` of a request, and the older
/// revisions do not know.
const DEMANDED: &[&str] = &[
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
];

/// A request of 2026-07-28, as the older revisions want it.
///
/// Takes away what 2026-07-28 demands in `_meta`; then `_meta` and `params` themselves, if
/// nothing else was in them, for the demand is why they were there. From the three methods that
/// [may require input](may_require_input) it also takes `inputResponses` and `requestState`,
/// which are for the gateway. All else stays byte for byte.
///
/// # Errors
///
/// [`EditError`] if the request is not a JSON object.
pub fn to_legacy(method: &str, request: &[u8]) -> Result<Bytes, EditError> {
    let mut edit = Edit::new(request);
    let mut gone = vec!["task"];
    let params = edit::get(request, &["params"]);
    let meta = params.and_then(|params| edit::get(params.as_bytes(), &["_meta"]));
    if emptied(meta, DEMANDED) {
        gone.push("_meta");
    } else {
        for key in DEMANDED {
            edit.remove(&["params", "_meta", key]);
        }
    }
    if may_require_input(method) {
        gone.extend(["inputResponses", "requestState"]);
    }
    strip(&mut edit, params, &["params"], &gone);
    edit.finish()
}

/// The headers that 2026-07-28 wants to accompany a request over HTTP, besides those that every
/// MCP request has.
///
/// `request` is as it goes upstream, names already the upstream's own; `params` are the mirrored
/// arguments of the tool that it calls, none for other methods.
pub fn headers(request: &Envelope<'_>, params: &[Param]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let version = HeaderValue::from_static(Version::LATEST.as_str());
    headers.insert(MCP_PROTOCOL_VERSION, version);
    let method = request.method().unwrap_or_default();
    headers.insert(MCP_METHOD, encode(method));
    if is_modern(method)
        && let Some(subject) = request.subject()
    {
        headers.insert(MCP_NAME, encode(&subject));
    }
    if let Some(arguments) = request.arguments() {
        for param in params {
            if let Some(value) = param.value(arguments) {
                headers.insert(param.header_name(), value);
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use bartizan_protocol::headers::{check, check_params};

    use super::*;

    const META: ClientMeta<'_> = ClientMeta {
        capabilities: r#"{"elicitation":{}}"#,
        info: Some(r#"{"name":"ExampleClient","version":"1.0.0"}"#),
        log_level: Some(LogLevel::Warning),
    };

    fn modern(request: &str) -> String {
        let bytes = to_modern(request.as_bytes(), &META).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn legacy(method: &str, request: &str) -> String {
        let bytes = to_legacy(method, request.as_bytes()).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_legacy_request_says_who_asks() {
        assert_eq!(
            modern(
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"location":"New \u0059ork","n":123456789012345678901234567890},"_meta":{"progressToken":"abc123"}}}"#
            ),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"location":"New \u0059ork","n":123456789012345678901234567890},"_meta":{"progressToken":"abc123","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},"io.modelcontextprotocol/clientInfo":{"name":"ExampleClient","version":"1.0.0"},"io.modelcontextprotocol/logLevel":"warning"}}}"#
        );
    }

    #[test]
    fn a_request_without_parameters_gets_some() {
        let meta = ClientMeta {
            capabilities: "{}",
            info: None,
            log_level: None,
        };
        let with = r#","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list""#;
        let sent = to_modern(format!("{bare}}}").as_bytes(), &meta).unwrap();
        assert_eq!(sent, format!("{bare}{with}"));
        let null = to_modern(format!(r#"{bare},"params":null}}"#).as_bytes(), &meta).unwrap();
        assert_eq!(null, format!("{bare}{with}"));
        assert!(to_modern(br#"{"id":1,"params":[1]}"#, &meta).is_err());
        assert!(to_modern(br#"{"id":1,"params":{"_meta":7}}"#, &meta).is_err());
    }

    #[test]
    fn a_task_is_not_asked_for_across_eras() {
        let sent = modern(r#"{"id":1,"params":{"name":"t","task":{"ttl":60000}}}"#);
        assert!(sent.starts_with(r#"{"id":1,"params":{"name":"t","_meta":{"#));
    }

    #[test]
    fn what_the_session_knows_wins_over_what_the_request_claims() {
        let sent = modern(
            r#"{"id":1,"params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"sampling":{}}}}}"#,
        );
        assert!(sent.contains(r#"clientCapabilities":{"elicitation":{}}"#));
        assert!(!sent.contains("sampling"));
    }

    #[test]
    fn a_modern_request_forgets_who_asks() {
        assert_eq!(
            legacy(
                "tools/call",
                r#"{"jsonrpc":"2.0", "id":2,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},"name":"x","inputResponses":{"k":{"action":"accept"}},"requestState":"s"}}"#
            ),
            r#"{"jsonrpc":"2.0", "id":2,"method":"tools/call","params":{"_meta":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},"name":"x"}}"#
        );
        assert_eq!(
            legacy(
                "tools/list",
                r#"{"id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
            ),
            r#"{"id":2,"method":"tools/list"}"#
        );
        let vendor = r#"{"id":2,"params":{"requestState":"mine"}}"#;
        assert_eq!(legacy("vendor/thing", vendor), vendor);
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        for request in [
            r#"{"jsonrpc":"2.0","id":"\u0041","method":"tools/list"}"#,
            r#"{ "params" : { "name" : "t" , "arguments" : { "n" : 1.10 } } , "id" : 1e2 }"#,
            r#"{"id":1,"params":{"_meta":{"progressToken":3},"cursor":"c"}}"#,
        ] {
            assert_eq!(legacy("tools/call", &modern(request)), request);
        }
    }

    #[test]
    fn headers_say_what_the_body_says() {
        let params = Param::all(
            r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"gone":{"type":"integer","x-mcp-header":"Gone"}}}"#,
        )
        .unwrap();
        let body = modern(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"h\u00e9","arguments":{"region":" eu ","gone":null}}}"#,
        );
        let envelope = Envelope::read(body.as_bytes()).unwrap();
        let sent = headers(&envelope, &params);
        assert_eq!(sent["mcp-protocol-version"], "2026-07-28");
        assert_eq!(sent["mcp-method"], "tools/call");
        assert_eq!(sent["mcp-name"], "=?base64?aMOp?=");
        assert_eq!(sent["mcp-param-region"], "=?base64?IGV1IA==?=");
        assert_eq!(sent.len(), 4);
        check(&sent, &envelope).unwrap();
        check_params(&params, &sent, envelope.arguments().unwrap()).unwrap();

        let body = modern(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#);
        let sent = headers(&Envelope::read(body.as_bytes()).unwrap(), &[]);
        assert_eq!(sent.len(), 2);
    }
}
