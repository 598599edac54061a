use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

/// Longest operation accepted, in bytes.
const MAX_LENGTH: usize = 512;

/// What of a listed name stays as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/');

/// An operation that cannot be a path below `/api/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "invalid operation: use letters, digits, '_', '-', '.' and '/' between non-empty segments \
     other than '.' and '..', {MAX_LENGTH} bytes at most"
)]
pub(crate) struct InvalidOperation;

/// The path of `operation` at a backend that has its operations below `prefix`, which begins and
/// ends with a slash: `/api/{operation}`, for instance.
///
/// Nothing that gets through can leave the prefix, start a query or a fragment, or be read in two
/// ways by two servers: no dot segments, no empty segments, no percent signs, no backslashes.
///
/// # Errors
///
/// When the operation contains anything else.
pub(crate) fn backend_path(
    prefix: &str,
    operation: &str,
) -> Result<PathAndQuery, InvalidOperation> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    if !operation.bytes().all(is_plain) {
        return Err(InvalidOperation);
    }
    below(prefix, operation)
}

/// The path of what an operator has listed by `name`: as [`backend_path`] makes it, but that any
/// character may be in it, and is escaped.
///
/// # Errors
///
/// When a segment is none, or the path would be too long.
pub(crate) fn listed_path(prefix: &str, name: &str) -> Result<PathAndQuery, InvalidOperation> {
    below(prefix, &utf8_percent_encode(name, PLAIN).to_string())
}

fn below(prefix: &str, operation: &str) -> Result<PathAndQuery, InvalidOperation> {
    let mut segments = operation.split('/');
    let is_sound = operation.len() <= MAX_LENGTH
        && segments.all(|segment| !matches!(segment, "" | "." | ".."));
    if !is_sound {
        return Err(InvalidOperation);
    }
    let mut path = String::with_capacity(prefix.len() + operation.len());
    path.push_str(prefix);
    path.push_str(operation);
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(path)).map_err(|_| InvalidOperation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_operations_become_paths() {
        for operation in [
            "getUser",
            "users/123",
            "v1.2/get-user_profile",
            "a...b",
            "..a",
        ] {
            let path = backend_path("/api/", operation).unwrap();
            assert_eq!(path.as_str(), format!("/api/{operation}"));
        }
    }

    #[test]
    fn any_listed_name_becomes_a_path() {
        for (name, path) in [
            ("with space", "with%20space"),
            ("get:item/v1.2", "get:item/v1.2"),
            ("a?b#c", "a%3Fb%23c"),
            ("%2e%2e/ü", "%252e%252e/%C3%BC"),
            ("..\\x\n", "..%5Cx%0A"),
        ] {
            let listed = listed_path("/tools/", name).unwrap();
            assert_eq!(listed.as_str(), format!("/tools/{path}"));
        }
        for name in ["", "..", "a/../b", "a//b", "/a", &" ".repeat(171)] {
            assert_eq!(listed_path("/tools/", name), Err(InvalidOperation));
        }
    }

    #[test]
    fn nothing_escapes_from_api() {
        for operation in [
            "",
            "..",
            "../health",
            "a/../../health",
            "a/..",
            "./a",
            "/health",
            "a//b",
            "a/",
            "users/123?x=1",
            "a#b",
            "%2e%2e/health",
            "..%2fhealth",
            "a\\..\\b",
            "a b",
            "a\r\nHost: evil",
            "a\0",
            "ü",
            "http://evil/",
            "@evil",
            "a:80",
            ";a",
        ] {
            assert_eq!(
                backend_path("/api/", operation),
                Err(InvalidOperation),
                "{operation:?}"
            );
        }
        assert_eq!(
            backend_path("/api/", &"a".repeat(513)),
            Err(InvalidOperation)
        );
    }
}
