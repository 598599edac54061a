use http::StatusCode;

use crate::{Era, edit};

use super::{
    HEADER_MISMATCH, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_CAPABILITY, PARSE_ERROR,
    SESSION_NOT_FOUND, SESSION_NOT_FOUND_ALTERNATIVE, UNSUPPORTED_VERSION,
};

/// The HTTP status that an error travels with.
///
/// What is wrong with the HTTP request itself is 400 in both eras. The modern era also tells the
/// three errors of its own that way, and 404 for unknown methods. Our own codes carry their status
/// in their first three digits, except that a call which was accepted and then failed is answered
/// with 200, so that clients read the body: that is all of 5xx but 503.
///
/// Invalid parameters are 200 here. A modern request without the `_meta` that it must have is
/// [`INVALID_PARAMS`](super::INVALID_PARAMS) *and* 400: who finds that out before dispatching
/// says 400 itself.
#[must_use]
pub fn http_status(code: i64, era: Era) -> StatusCode {
    match (code, era) {
        (PARSE_ERROR | INVALID_REQUEST, _) => StatusCode::BAD_REQUEST,
        (HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION, Era::Modern) => {
            StatusCode::BAD_REQUEST
        }
        (METHOD_NOT_FOUND, Era::Modern) => StatusCode::NOT_FOUND,
        (40_000..=49_999 | 50_300..=50_399, _) => u16::try_from(code / 100)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::OK),
        _ => StatusCode::OK,
    }
}

/// Whether an error answer shows that the server is of the modern era.
///
/// [`METHOD_NOT_FOUND`] also does when it comes with HTTP 404; on standard input and output it is
/// what legacy servers say of `server/discover`.
#[must_use]
pub fn is_modern_error(code: i64) -> bool {
    matches!(
        code,
        HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION
    )
}

/// Whether an answer to a request *within a session* means that the server no longer knows the
/// session.
///
/// That is HTTP 404, unless its body says that the method is unknown, or a JSON-RPC error −32001 or
/// −32015 whose message speaks of a session: both codes mean other things, too. A session that is lost says nothing about the health of the server,
/// and asking again with the same session can only fail again: open a new one.
#[must_use]
pub fn is_session_lost(status: StatusCode, body: &[u8]) -> bool {
    let error = edit::get(body, &["error"]).unwrap_or_default();
    let member = |name| edit::get(error.as_bytes(), &[name]);
    let code = member("code").and_then(|raw| raw.parse::<i64>().ok());
    if status == StatusCode::NOT_FOUND {
        return code != Some(METHOD_NOT_FOUND);
    }
    if !matches!(
        code,
        Some(SESSION_NOT_FOUND | SESSION_NOT_FOUND_ALTERNATIVE)
    ) {
        return false;
    }
    member("message")
        .and_then(edit::text)
        .is_some_and(|message| {
            message
                .as_bytes()
                .windows("session".len())
                .any(|window| window.eq_ignore_ascii_case(b"session"))
        })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            CIRCUIT_OPEN, FORBIDDEN, INTERNAL, INVALID_PARAMS, OVERLOADED, RATE_LIMITED,
            RESOURCE_NOT_FOUND, TIMED_OUT, TOO_LARGE, UNAUTHENTICATED, UNREACHABLE,
        },
        *,
    };

    #[test]
    fn statuses_of_the_eras() {
        for (code, modern, legacy) in [
            (PARSE_ERROR, 400, 400),
            (INVALID_REQUEST, 400, 400),
            (METHOD_NOT_FOUND, 404, 200),
            (INVALID_PARAMS, 200, 200),
            (INTERNAL, 200, 200),
            (RESOURCE_NOT_FOUND, 200, 200),
            (HEADER_MISMATCH, 400, 200),
            (MISSING_CAPABILITY, 400, 200),
            (UNSUPPORTED_VERSION, 400, 200),
            (UNAUTHENTICATED, 401, 401),
            (FORBIDDEN, 403, 403),
            (TOO_LARGE, 413, 413),
            (RATE_LIMITED, 429, 429),
            (CIRCUIT_OPEN, 503, 503),
            (OVERLOADED, 503, 503),
            (UNREACHABLE, 200, 200),
            (TIMED_OUT, 200, 200),
            (i64::MAX, 200, 200),
        ] {
            assert_eq!(http_status(code, Era::Modern), modern, "{code}");
            assert_eq!(http_status(code, Era::Legacy), legacy, "{code}");
        }
    }

    #[test]
    fn our_own_codes_are_outside_of_what_is_reserved() {
        for code in [
            RATE_LIMITED,
            CIRCUIT_OPEN,
            TIMED_OUT,
            UNREACHABLE,
            TOO_LARGE,
        ] {
            assert!(!(-32768..=-32000).contains(&code));
            assert!(!is_modern_error(code));
        }
    }

    #[test]
    fn d25_size_limits_are_reported_as_413() {
        assert_eq!(
            http_status(TOO_LARGE, Era::Legacy),
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(
            http_status(TOO_LARGE, Era::Modern),
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }

    #[test]
    fn d2_a_lost_session_is_told_from_other_errors() {
        let ok = StatusCode::OK;
        for lost in [
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32015,"message":"unknown SESSION"}}"#,
        ] {
            assert!(is_session_lost(ok, lost.as_bytes()), "{lost}");
            assert!(is_session_lost(StatusCode::BAD_REQUEST, lost.as_bytes()));
        }
        for other in [
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Request timed out"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"session not found"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"message":"session not found"}}"#,
            "session not found",
            "",
        ] {
            assert!(!is_session_lost(ok, other.as_bytes()), "{other}");
        }
        assert!(is_session_lost(StatusCode::NOT_FOUND, b""));
        let unknown = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#;
        assert!(!is_session_lost(StatusCode::NOT_FOUND, unknown));
        assert!(!is_session_lost(StatusCode::UNAUTHORIZED, b""));
    }
}
