//! `initialize` told as `server/discover`, and the reverse.

use std::borrow::Cow;

use bartizan_protocol::{
    edit::{self, Edit, EditError},
    version::Version,
};
use bytes::Bytes;

use super::{
    capability,
    meta::SERVER_INFO,
    text::{given, object, strip},
};

/// The notification by which a client of the older revisions ends the handshake.
pub const INITIALIZED: Bytes =
    Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);

/// The `result` of `server/discover` for a client of 2026-07-28, from an older server's `result`
/// of `initialize`.
///
/// The one version offered is the one that the bridge speaks towards clients. Capabilities pass
/// as [`server_capabilities`](super::server_capabilities) says; `serverInfo` moves into `_meta`;
/// instructions and unknown members stay. The result may not be cached: another principal's session may see other
/// capabilities, and a restarted server may have others.
///
/// # Errors
///
/// [`EditError`] if the text is not a JSON object.
pub fn discover_result(initialize_result: &str) -> Result<Bytes, EditError> {
    let json = initialize_result.as_bytes();
    let capabilities = given(edit::get(json, &["capabilities"])).unwrap_or("{}");
    let mut edit = Edit::new(json);
    if edit::get(json, &["_meta"]) == Some("null") {
        // For some servers that is how to say that there is none.
        edit.remove(&["_meta"]);
    }
    edit.remove(&["protocolVersion"])
        .remove(&["serverInfo"])
        .set(&["resultType"], "\"complete\"")
        .set(
            &["supportedVersions"],
            &format!("[\"{}\"]", Version::LATEST),
        )
        .set(&["capabilities"], &capability::server(capabilities)?)
        .set(&["ttlMs"], "0")
        .set(&["cacheScope"], "\"private\"");
    if let Some(info) = object(edit::get(json, &["serverInfo"])) {
        edit.set(&["_meta", SERVER_INFO], info);
    }
    edit.finish()
}

/// The `result` of `initialize` for a client of an older revision, from the `result` of a
/// 2026-07-28 server's `server/discover`.
///
/// `version` is what the gateway and the client agreed on. `serverInfo`, which the older
/// revisions require and the newest only recommends, comes from `_meta`, or else is
/// `gateway_info`, the gateway's own `Implementation`. Capabilities pass as
/// [`server_capabilities`](super::server_capabilities) says; instructions and unknown members
/// stay.
///
/// # Errors
///
/// [`EditError`] if one of the texts is not a JSON object.
pub fn initialize_result(
    discover_result: &str,
    version: Version,
    gateway_info: &str,
) -> Result<Bytes, EditError> {
    let json = discover_result.as_bytes();
    let capabilities = given(edit::get(json, &["capabilities"])).unwrap_or("{}");
    let info = object(edit::get(json, &["_meta", SERVER_INFO])).unwrap_or(gateway_info);
    let mut edit = Edit::new(json);
    edit.remove(&["resultType"])
        .remove(&["supportedVersions"])
        .remove(&["ttlMs"])
        .remove(&["cacheScope"])
        .set(&["protocolVersion"], &format!("\"{version}\""))
        .set(&["capabilities"], &capability::server(capabilities)?)
        .set(&["serverInfo"], info);
    let meta = edit::get(json, &["_meta"]);
    strip(&mut edit, meta, &["_meta"], &[SERVER_INFO]);
    edit.finish()
}

/// The request by which the gateway opens a session of an older revision.
///
/// `id`, `client_capabilities` and `client_info` are raw JSON: the capabilities as
/// [`client_to_legacy`](super::client_to_legacy) gives them, the rest as the client sent it. Every
/// `Implementation` needs a name, so a client that did not introduce itself is presented by the
/// gateway's own.
pub fn initialize_request(
    id: &str,
    version: Version,
    client_capabilities: &str,
    client_info: &str,
) -> Bytes {
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{client_capabilities},"clientInfo":{client_info}}}}}"#
    ))
}

/// What a client of an older revision said of itself in `initialize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIntroduction<'a> {
    /// The revision it asked for; `""` if it named none.
    pub protocol_version: Cow<'a, str>,
    /// Its `ClientCapabilities`; `{}` if it declared none.
    pub capabilities: &'a str,
    /// Its `Implementation`, if it introduced itself.
    pub client_info: Option<&'a str>,
}

impl<'a> ClientIntroduction<'a> {
    /// Reads an `initialize` request.
    pub fn read(request: &'a [u8]) -> Self {
        let member = |name| edit::get(request, &["params", name]);
        Self {
            protocol_version: member("protocolVersion")
                .and_then(edit::text)
                .unwrap_or_default(),
            capabilities: object(member("capabilities")).unwrap_or("{}"),
            client_info: object(member("clientInfo")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the lifecycle page of 2025-11-25, with a member that no revision knows.
    const INITIALIZE_RESULT: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"logging":{},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"tools":{"listChanged":true},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"ExampleServer","title":"Example Server Display Name","version":"1.0.0","icons":[{"src":"https://example.com/server-icon.svg","sizes":["any"]}]},"instructions":"Optional \u0069nstructions for the client","x-vendor":1.10}"#;

    #[test]
    fn an_initialize_result_is_told_as_discovery() {
        let told = discover_result(INITIALIZE_RESULT).unwrap();
        assert_eq!(
            std::str::from_utf8(&told).unwrap(),
            r#"{"capabilities":{"logging":{},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"tools":{"listChanged":true}},"instructions":"Optional \u0069nstructions for the client","x-vendor":1.10,"resultType":"complete","supportedVersions":["2026-07-28"],"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"ExampleServer","title":"Example Server Display Name","version":"1.0.0","icons":[{"src":"https://example.com/server-icon.svg","sizes":["any"]}]}}}"#
        );
    }

    #[test]
    fn null_is_how_some_servers_say_that_they_have_none() {
        let told = discover_result(
            r#"{"protocolVersion":"2025-06-18","capabilities":null,"serverInfo":{"name":"s","version":"1"},"_meta":null}"#,
        );
        assert_eq!(
            std::str::from_utf8(&told.unwrap()).unwrap(),
            r#"{"capabilities":{},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"resultType":"complete","supportedVersions":["2026-07-28"],"ttlMs":0,"cacheScope":"private"}"#
        );
        let told = initialize_result(r#"{"capabilities":null}"#, Version::V2025_06_18, "{}");
        assert_eq!(
            std::str::from_utf8(&told.unwrap()).unwrap(),
            r#"{"capabilities":{},"protocolVersion":"2025-06-18","serverInfo":{}}"#
        );
    }

    #[test]
    fn discovery_is_told_as_an_initialize_result() {
        let discovered = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"extensions":{"io.modelcontextprotocol/tasks":{}}},"instructions":"i","ttlMs":3600000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#;
        let told = initialize_result(discovered, Version::V2025_06_18, r#"{"name":"gateway"}"#);
        assert_eq!(
            std::str::from_utf8(&told.unwrap()).unwrap(),
            r#"{"capabilities":{"tools":{"listChanged":true},"extensions":{}},"instructions":"i","protocolVersion":"2025-06-18","serverInfo":{"name":"s","version":"1"}}"#
        );
    }

    #[test]
    fn a_server_without_a_name_goes_by_the_gateways() {
        let told = initialize_result(
            r#"{"capabilities":{},"_meta":{"a":1}}"#,
            Version::V2025_11_25,
            r#"{"name":"gateway","version":"2"}"#,
        );
        assert_eq!(
            std::str::from_utf8(&told.unwrap()).unwrap(),
            r#"{"capabilities":{},"_meta":{"a":1},"protocolVersion":"2025-11-25","serverInfo":{"name":"gateway","version":"2"}}"#
        );
    }

    #[test]
    fn what_initialize_tells_is_what_discovery_told() {
        let told = discover_result(INITIALIZE_RESULT).unwrap();
        let back = initialize_result(
            std::str::from_utf8(&told).unwrap(),
            Version::V2025_11_25,
            "{}",
        )
        .unwrap();
        let mut expected: serde_json::Value = serde_json::from_str(INITIALIZE_RESULT).unwrap();
        expected["capabilities"]
            .as_object_mut()
            .unwrap()
            .remove("tasks");
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&back).unwrap(),
            expected
        );
    }

    #[test]
    fn a_session_is_opened_in_the_clients_name() {
        let request = initialize_request(
            "\"init-1\"",
            Version::V2025_11_25,
            r#"{"roots":{}}"#,
            r#"{"name":"c","version":"1.10"}"#,
        );
        let introduction = ClientIntroduction::read(&request);
        assert_eq!(introduction.protocol_version, "2025-11-25");
        assert_eq!(introduction.capabilities, r#"{"roots":{}}"#);
        assert_eq!(
            introduction.client_info,
            Some(r#"{"name":"c","version":"1.10"}"#)
        );
        let silent = ClientIntroduction::read(br#"{"id":1,"method":"initialize"}"#);
        assert_eq!(silent.capabilities, "{}");
        assert_eq!(silent.client_info, None);
    }
}
