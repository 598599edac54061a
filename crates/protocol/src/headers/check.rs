use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::{Envelope, Kind, error, method};

use super::{InvalidHeader, MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, decode};

/// A header that does not say what the body says.
///
/// The values themselves are in neither the message nor `Debug`: arguments are the caller's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("header `{header}` {reason}")]
pub struct HeaderMismatch {
    header: HeaderName,
    reason: HeaderMismatchReason,
}

impl HeaderMismatch {
    pub(super) fn new(header: HeaderName, reason: HeaderMismatchReason) -> Self {
        Self { header, reason }
    }

    /// The JSON-RPC code that says so, which travels with HTTP 400.
    #[must_use]
    pub fn code(&self) -> i64 {
        error::HEADER_MISMATCH
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> HeaderMismatchReason {
        self.reason
    }
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderMismatchReason {
    /// It is not there and must be.
    #[error("is missing")]
    Missing,
    /// It is there more than once.
    #[error("is given more than once")]
    Duplicate,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Invalid(#[from] InvalidHeader),
    /// It says something else than the body.
    #[error("differs from the body")]
    Different,
}

/// Checks that the headers of 2026-07-28 are there and say what the body says.
///
/// `MCP-Protocol-Version` and `Mcp-Method` must accompany every request, `Mcp-Name` those whose
/// method is applied to something. On notifications they may be absent. Where the body lacks what a
/// header mirrors, its fault is not the header's: a body without `_meta` passes here, and it is
/// for the caller to answer invalid parameters.
///
/// Arguments mirrored by a tool's schema are checked by [`check_params`](super::check_params).
///
/// # Errors
///
/// [`HeaderMismatch`], for the first header that is missing, given twice, unreadable or different.
pub fn check(headers: &HeaderMap, envelope: &Envelope<'_>) -> Result<(), HeaderMismatch> {
    let required = envelope.kind() == Kind::Request;
    if let Some(value) = single(headers, &MCP_PROTOCOL_VERSION, required)? {
        let version = read(&MCP_PROTOCOL_VERSION, value, literal)?;
        if let Some(raw) = envelope.protocol_version() {
            same(
                &MCP_PROTOCOL_VERSION,
                &version,
                crate::edit::text(raw).as_deref(),
            )?;
        }
    }
    let Some(of_body) = envelope.method() else {
        return Ok(());
    };
    if let Some(value) = single(headers, &MCP_METHOD, required)? {
        let of_header = read(&MCP_METHOD, value, literal)?;
        same(&MCP_METHOD, &of_header, Some(of_body))?;
    }
    if !method::is_modern(of_body) || method::subject_member(of_body).is_none() {
        return Ok(());
    }
    let subject = envelope.subject();
    if let Some(value) = single(headers, &MCP_NAME, required && subject.is_some())? {
        let of_header = read(&MCP_NAME, value, decode)?;
        same(&MCP_NAME, &of_header, subject.as_deref())?;
    }
    Ok(())
}

/// The only value of a header.
pub(super) fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    required: bool,
) -> Result<Option<&'h HeaderValue>, HeaderMismatch> {
    let mut values = headers.get_all(name).iter();
    let reason = match (values.next(), values.next()) {
        (Some(_), Some(_)) => HeaderMismatchReason::Duplicate,
        (None, _) if required => HeaderMismatchReason::Missing,
        (value, _) => return Ok(value),
    };
    Err(HeaderMismatch::new(name.clone(), reason))
}

pub(super) fn read<'h>(
    name: &HeaderName,
    value: &'h HeaderValue,
    how: impl FnOnce(&'h HeaderValue) -> Result<Cow<'h, str>, InvalidHeader>,
) -> Result<Cow<'h, str>, HeaderMismatch> {
    how(value).map_err(|invalid| HeaderMismatch::new(name.clone(), invalid.into()))
}

fn same(name: &HeaderName, of_header: &str, of_body: Option<&str>) -> Result<(), HeaderMismatch> {
    if of_body == Some(of_header) {
        Ok(())
    } else {
        Err(HeaderMismatch::new(
            name.clone(),
            HeaderMismatchReason::Different,
        ))
    }
}

/// The value of a header that is never encoded.
fn literal(value: &HeaderValue) -> Result<Cow<'_, str>, InvalidHeader> {
    match value.to_str() {
        Ok(text) if !text.contains('\t') => Ok(Cow::Borrowed(text)),
        _ => Err(InvalidHeader::Characters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add",
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

    fn checked(
        body: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<(), (HeaderName, HeaderMismatchReason)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let envelope = Envelope::read(body.as_bytes()).unwrap();
        check(&map, &envelope).map_err(|error| {
            assert_eq!(error.code(), -32020);
            (error.header().clone(), error.reason())
        })
    }

    #[test]
    fn headers_must_say_what_the_body_says() {
        use HeaderMismatchReason::{Different, Duplicate, Invalid, Missing};
        let version = (MCP_PROTOCOL_VERSION, "2026-07-28");
        let call = (MCP_METHOD, "tools/call");
        let add = (MCP_NAME, "add");
        let all = [version.clone(), call.clone(), add.clone()];
        assert_eq!(checked(CALL, &all), Ok(()));
        let encoded = (MCP_NAME, "=?base64?YWRk?=");
        assert_eq!(
            checked(CALL, &[version.clone(), call.clone(), encoded]),
            Ok(())
        );

        for index in 0..all.len() {
            let name = all[index].0.clone();
            let mut without = all.to_vec();
            without.remove(index);
            assert_eq!(checked(CALL, &without), Err((name.clone(), Missing)));
            let mut twice = all.to_vec();
            twice.push(all[index].clone());
            assert_eq!(checked(CALL, &twice), Err((name.clone(), Duplicate)));
            for (value, reason) in [
                ("Tools/Call", Different),
                ("", Different),
                ("é", Invalid(InvalidHeader::Characters)),
                ("a\tb", Invalid(InvalidHeader::Characters)),
            ] {
                let mut other = all.to_vec();
                other[index].1 = value;
                assert_eq!(
                    checked(CALL, &other),
                    Err((name.clone(), reason)),
                    "{value}"
                );
            }
        }
        let broken = (MCP_NAME, "=?base64?YWR?=");
        assert_eq!(
            checked(CALL, &[version, call, broken]),
            Err((MCP_NAME, Invalid(InvalidHeader::Base64)))
        );
    }

    #[test]
    fn a_name_is_asked_for_only_where_there_is_a_subject() {
        let headers = [
            (MCP_PROTOCOL_VERSION, "2026-07-28"),
            (MCP_METHOD, "tools/list"),
        ];
        assert_eq!(checked(LIST, &headers), Ok(()));
        let task = LIST
            .replace("tools/list", "tasks/get")
            .replace("\"_meta\"", "\"taskId\":\"t\",\"_meta\"");
        let headers = [
            (MCP_PROTOCOL_VERSION, "2026-07-28"),
            (MCP_METHOD, "tasks/get"),
        ];
        assert_eq!(
            checked(&task, &headers),
            Err((MCP_NAME, HeaderMismatchReason::Missing))
        );
    }

    #[test]
    fn a_body_that_lacks_its_part_is_not_the_headers_fault() {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
        let headers = [
            (MCP_PROTOCOL_VERSION, "2026-07-28"),
            (MCP_METHOD, "tools/call"),
        ];
        assert_eq!(checked(body, &headers), Ok(()));
        let mut named = headers.to_vec();
        named.push((MCP_NAME, "add"));
        assert_eq!(
            checked(body, &named),
            Err((MCP_NAME, HeaderMismatchReason::Different))
        );
    }

    #[test]
    fn a_notification_may_come_without_but_not_with_others() {
        let body = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
        assert_eq!(checked(body, &[]), Ok(()));
        assert_eq!(
            checked(body, &[(MCP_METHOD, "notifications/y")]),
            Err((MCP_METHOD, HeaderMismatchReason::Different))
        );
    }
}
