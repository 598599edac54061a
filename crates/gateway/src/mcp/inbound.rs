use std::borrow::Cow;

use bartizan_protocol::{
    Envelope, Era, Version, error as code,
    headers::{self, MCP_METHOD, MCP_PROTOCOL_VERSION},
    method::INITIALIZE,
};
use http::{HeaderMap, StatusCode};

use super::Refusal;

/// The era that a message claims, by its headers and its own words.
///
/// Any claim to be modern, a malformed one as well, is held to the rules of 2026-07-28; what
/// makes none is legacy.
///
/// # Errors
///
/// When the version header of a message without a modern claim names no revision.
pub(super) fn era(headers: &HeaderMap, envelope: &Envelope<'_>) -> Result<Era, Refusal> {
    let says_modern = envelope.protocol_version().is_some();
    let Some(header) = headers.get(MCP_PROTOCOL_VERSION) else {
        let mirrors = headers.contains_key(MCP_METHOD) && !begins_a_session(envelope);
        let modern = says_modern || mirrors;
        return Ok(if modern { Era::Modern } else { Era::Legacy });
    };
    match header.to_str().ok().and_then(Version::parse) {
        Some(version) if !says_modern => Ok(version.era()),
        None if !says_modern && !headers.contains_key(MCP_METHOD) => {
            let requested = String::from_utf8_lossy(header.as_bytes());
            Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                code::INVALID_REQUEST,
                format!("Bad Request: unsupported MCP-Protocol-Version {requested}"),
            ))
        }
        Some(_) | None => Ok(Era::Modern),
    }
}

/// Whether this is the one request that only an older revision knows.
fn begins_a_session(envelope: &Envelope<'_>) -> bool {
    envelope.method() == Some(INITIALIZE)
}

/// What 2026-07-28 demands of a request before anybody looks at what it asks for.
///
/// # Errors
///
/// The refusal that the protocol gives to the first rule broken.
pub(super) fn check(headers: &HeaderMap, envelope: &Envelope<'_>) -> Result<(), Refusal> {
    if envelope.id().is_none() {
        // A notification has no `_meta` to speak of.
        return Ok(());
    }
    let bad = |message: Cow<'static, str>| {
        Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            code::INVALID_PARAMS,
            message,
        ))
    };
    let Some(version) = envelope.protocol_version_text() else {
        return bad("_meta[\"io.modelcontextprotocol/protocolVersion\"] is required".into());
    };
    headers::check(headers, envelope).map_err(|mismatch| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            code::HEADER_MISMATCH,
            mismatch.to_string(),
        )
    })?;
    if Version::parse(&version).is_none_or(|version| version.era() != Era::Modern) {
        return Err(Refusal::unsupported_version(&version));
    }
    if envelope.client_capabilities().is_none() {
        return bad("_meta[\"io.modelcontextprotocol/clientCapabilities\"] is required".into());
    }
    Ok(())
}
