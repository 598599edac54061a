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

use super::{
    meta::SERVER_INFO,
    text::{member, strip},
    tools,
};

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
        Self::of(edit::get(answer, &["result", "resultType"]))
    }

    fn of(raw: Option<&'a str>) -> Self {
        let Some(raw) = raw else {
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
    let Some(result) = edit::get(answer, &["result"]) else {
        return recode(answer, |code| match code {
            INVALID_PARAMS if method == RESOURCES_READ => Some(RESOURCE_NOT_FOUND),
            MISSING_CAPABILITY | UNSUPPORTED_VERSION => Some(INVALID_PARAMS),
            HEADER_MISMATCH => Some(INTERNAL),
            _ => None,
        });
    };
    let members = edit::members(result.as_bytes()).unwrap_or_default();
    let kind = match ResultKind::of(member(&members, "resultType")) {
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
    let mut edit = Edit::new(answer);
    edit.remove(&["result", "resultType"]);
    if is_cacheable(method) {
        edit.remove(&["result", "ttlMs"])
            .remove(&["result", "cacheScope"]);
    }
    let meta = member(&members, "_meta");
    strip(&mut edit, meta, &["result", "_meta"], &[SERVER_INFO]);
    match method {
        TOOLS_LIST => tools::drop_unreadable_schemas(&mut edit, member(&members, "tools")),
        TOOLS_CALL => {
            let structured = member(&members, "structuredContent");
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
/// A `-32021` stays that names the capabilities it wants: it means what its code says.
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
    let Some(result) = edit::get(answer, &["result"]) else {
        return recode(answer, |code| match code {
            RESOURCE_NOT_FOUND => Some(INVALID_PARAMS),
            // Older than its code is what it means, if it says which capabilities it means.
            MISSING_CAPABILITY if requires_capabilities(answer) => None,
            UNSUPPORTED_VERSION..=HEADER_MISMATCH | URL_ELICITATION_REQUIRED => Some(INTERNAL),
            _ => None,
        });
    };
    let mut edit = Edit::new(answer);
    edit.set(&["result", "resultType"], "\"complete\"");
    if is_cacheable(method) {
        edit.set(&["result", "ttlMs"], "0");
        edit.set(&["result", "cacheScope"], "\"private\"");
    }
    if let Some(info) = server_info {
        let meta = edit::get(result.as_bytes(), &["_meta"]);
        let silent = meta.is_none_or(|meta| {
            meta.starts_with('{') && edit::get(meta.as_bytes(), &[SERVER_INFO]).is_none()
        });
        if silent {
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

/// An error with another code, where `translate` gives one; anything else as it is.
fn recode(answer: &[u8], translate: impl FnOnce(i64) -> Option<i64>) -> Result<Bytes, EditError> {
    let Some(code) = code(answer).and_then(translate) else {
        return Ok(Bytes::copy_from_slice(answer));
    };
    let mut edit = Edit::new(answer);
    edit.set(&["error", "code"], &code.to_string());
    edit.finish()
}

/// Whether an error names capabilities that the client would have to have.
fn requires_capabilities(answer: &[u8]) -> bool {
    edit::get(answer, &["error", "data", "requiredCapabilities"])
        .is_some_and(|required| required.starts_with('{'))
}

/// The code of an error; `None` for results and for codes that are no numbers.
pub(super) fn code(answer: &[u8]) -> Option<i64> {
    edit::get(answer, &["error", "code"])?.parse().ok()
}

#[cfg(test)]
mod tests;
