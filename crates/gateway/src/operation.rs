use http::uri::PathAndQuery;
use thiserror::Error;

/// Longest operation accepted, in bytes.
const MAX_LENGTH: usize = 512;

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
    let sound = operation.len() <= MAX_LENGTH
        && operation
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
        && operation
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."));
    if !sound {
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
