//! An upstream's results and errors, in the words of the client's era.

use std::borrow::Cow;

use bartizan_protocol::{
    edit::{self, Edit, EditError},
    error::{
        self, ErrorMessage, HEADER_MISMATCH, INTERNAL, INVALID_PARAMS, METHOD_NOT_FOUND,
        MISSING_CAPABILITY, NOT_BRIDGED, RESOURCE_NOT_FOUND, UNSUPPORTED_VERSION,
        URL_ELICITATION_REQUIRED,
    },
    method::{RESOURCES_READ, TOOLS_CALL, TOOLS_LIST, is_cacheable},
};
use bytes::Bytes;

use super::{meta::SERVER_INFO, text::strip, tools};

/// What kind of result a server of 2026-07-28 gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultKind<'a> {
    /// The final one. A result that does not say what it is counts as this, and so does an error.
    Complete,
    /// The server wants to ask something first: see [`InputRequired`](super::InputRequired).
    InputRequired,
    /// A kind that only an extension knows, as `task`; `""` where it is not even a text.
    Other(Cow<'a, str>),
}

impl<'a> ResultKind<'a> {
    /// Reads the `resultType` of a whole JSON-RPC answer.
    pub fn read(answer: &'a [u8]) -> Self {
        let Some(raw) = edit::get(answer, &["result", "resultType"]) else {
            return Self::Complete;
        };
        match edit::text(raw) {
            Some(kind) if kind == "complete" => Self::Complete,
            Some(kind) if kind == "input_required" => Self::InputRequired,
            kind => Self::Other(kind.unwrap_or_default()),
        }
    }
}

/// The answer of a 2026-07-28 server to `method`, for a client of an older revision.
///
/// From a result it takes `resultType`, the server's name in `_meta`, and, where the method is
/// [cacheable](is_cacheable), `ttlMs` and `cacheScope`. Two things that 2026-07-28 allows and
/// clients of the older revisions reject together with all that came along are taken away as
/// well: an `outputSchema` whose root is no object, and `structuredContent` that is none; the
/// text of the same result says it again.
///
/// In an error only the code changes: `-32602` from `resources/read` becomes `-32002`, resource
/// not found; `-32021` and `-32022` become `-32602`; `-32020` becomes `-32603`, because it is the
/// gateway that wrote the headers. The message and its data stay as they are.
///
/// A result that is not complete becomes the error [`NOT_BRIDGED`]: an `input_required` one must
/// be answered, not passed on, and the kinds of extensions do not cross.
///
/// # Errors
///
/// [`EditError`] if the answer is not JSON.
pub fn to_legacy(method: &str, answer: &[u8]) -> Result<Bytes, EditError> {
    let mut edit = Edit::new(answer);
    if let Some(code) = code(answer) {
        let code = match code {
            INVALID_PARAMS if method == RESOURCES_READ => RESOURCE_NOT_FOUND,
            MISSING_CAPABILITY | UNSUPPORTED_VERSION => INVALID_PARAMS,
            HEADER_MISMATCH => INTERNAL,
            _ => return Ok(Bytes::copy_from_slice(answer)),
        };
        edit.set(&["error", "code"], &code.to_string());
        return edit.finish();
    }
    let kind = match ResultKind::read(answer) {
        ResultKind::Complete => None,
        ResultKind::InputRequired => Some(Cow::Borrowed("input_required")),
        ResultKind::Other(kind) => Some(kind),
    };
    if let Some(kind) = kind {
        let text = format!(
            "the server answered with a result of type `{kind}`, which this revision does not have"
        );
        let error = ErrorMessage {
            id: edit::get(answer, &["id"]),
            code: NOT_BRIDGED,
            message: &text,
            data: None,
        };
        return Ok(error.to_bytes());
    }
    edit.remove(&["result", "resultType"]);
    if is_cacheable(method) {
        edit.remove(&["result", "ttlMs"])
            .remove(&["result", "cacheScope"]);
    }
    strip(&mut edit, answer, &["result", "_meta"], &[SERVER_INFO]);
    match method {
        TOOLS_LIST => tools::drop_unreadable_schemas(&mut edit, answer),
        TOOLS_CALL => {
            let structured = edit::get(answer, &["result", "structuredContent"]);
            if structured.is_some_and(|raw| !raw.starts_with('{')) {
                edit.remove(&["result", "structuredContent"]);
            }
        }
        _ => {}
    }
    edit.finish()
}

/// The answer of an older server to `method`, for a client of 2026-07-28.
///
/// Marks a result as complete and, where the method is [cacheable](is_cacheable), as not to be
/// kept or shared: an older server never said that it may be. `server_info`, the raw
/// `Implementation` from the handshake, goes into `_meta` unless one is there.
///
/// In an error only the code changes: `-32002` becomes `-32602`; `-32020` to `-32022`, which mean
/// something only since 2026-07-28, and `-32042`, which means nothing any more, become `-32603`.
/// Before that, an error that asks for the user to visit a URL can be told as
/// [questions](super::Question::required_by).
///
/// # Errors
///
/// [`EditError`] if the answer is not JSON or its result is not an object.
pub fn to_modern(
    method: &str,
    answer: &[u8],
    server_info: Option<&str>,
) -> Result<Bytes, EditError> {
    let mut edit = Edit::new(answer);
    if let Some(code) = code(answer) {
        let code = match code {
            RESOURCE_NOT_FOUND => INVALID_PARAMS,
            UNSUPPORTED_VERSION..=HEADER_MISMATCH | URL_ELICITATION_REQUIRED => INTERNAL,
            _ => return Ok(Bytes::copy_from_slice(answer)),
        };
        edit.set(&["error", "code"], &code.to_string());
        return edit.finish();
    }
    edit.set(&["result", "resultType"], "\"complete\"");
    if is_cacheable(method) {
        edit.set(&["result", "ttlMs"], "0");
        edit.set(&["result", "cacheScope"], "\"private\"");
    }
    if let Some(info) = server_info {
        let meta = edit::get(answer, &["result", "_meta"]);
        if meta.is_none_or(|meta| meta.starts_with('{'))
            && edit::get(answer, &["result", "_meta", SERVER_INFO]).is_none()
        {
            edit.set(&["result", "_meta", SERVER_INFO], info);
        }
    }
    edit.finish()
}

/// An empty result: what `ping`, `logging/setLevel`, `resources/subscribe` and
/// `resources/unsubscribe` are answered with where the gateway does the work.
///
/// `id` is the raw id of the request.
pub fn empty_result(id: &str) -> Bytes {
    error::response(id, "{}")
}

/// The error `-32601` by which a [refused](super::Verdict::Refuse) request is answered.
///
/// `id` is the raw id of the request, `reason` the text of the verdict.
pub fn refusal(id: &str, reason: &str) -> Bytes {
    ErrorMessage {
        id: Some(id),
        code: METHOD_NOT_FOUND,
        message: reason,
        data: None,
    }
    .to_bytes()
}

/// The code of an error; `None` for results and for codes that are no numbers.
pub(super) fn code(answer: &[u8]) -> Option<i64> {
    edit::get(answer, &["error", "code"])?.parse().ok()
}

#[cfg(test)]
mod tests;
