use http::StatusCode;

use crate::{Era, edit};

use super::{
    HEADER_MISMATCH, METHOD_NOT_FOUND, MISSING_CAPABILITY, SESSION_NOT_FOUND,
    SESSION_NOT_FOUND_ALTERNATIVE, UNSUPPORTED_VERSION,
};

/// The HTTP status that the answer to a request travels with, by its error.
///
/// A call that was accepted and then failed is answered with 200, whatever a server calls what went
/// wrong: clients take 401 for a reason to log in, 404 for the end of their session, and other
/// statuses for that of their connection, and read the body of 200 only. The modern era has four
/// errors of its own that it tells otherwise: 404 for unknown methods, 400 for the others.
///
/// What is wrong with the HTTP request itself is not told that way: who finds that out before there
/// is a call says 400 itself, for [`INVALID_PARAMS`](super::INVALID_PARAMS) of a modern request
/// without the `_meta` that it must have as well.
#[must_use]
pub fn http_status(code: i64, era: Era) -> StatusCode {
    match (code, era) {
        (HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION, Era::Modern) => {
            StatusCode::BAD_REQUEST
        }
        (METHOD_NOT_FOUND, Era::Modern) => StatusCode::NOT_FOUND,
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
/// That is HTTP 404, unless its body is a result or says that the method is unknown, or a JSON-RPC
/// error −32001 or −32015 whose message speaks of a session: both codes mean other things, too. An
/// error that [names the request](names_request), or comes with a status of success, may be that of a
/// tool that ran and has sessions of its own, so what must not be done twice is not to be sent again
/// for that alone. A 404 to a `GET` may come of a server that has no such route.
///
/// A session that is lost says nothing about the health of the server, and asking again with the
/// same session can only fail again: open a new one.
#[must_use]
pub fn is_session_lost(status: StatusCode, body: &[u8]) -> bool {
    let code = edit::get(body, &["error", "code"]).and_then(|raw| raw.parse::<i64>().ok());
    if status == StatusCode::NOT_FOUND {
        return code != Some(METHOD_NOT_FOUND) && edit::get(body, &["result"]).is_none();
    }
    if !matches!(
        code,
        Some(SESSION_NOT_FOUND | SESSION_NOT_FOUND_ALTERNATIVE)
    ) {
        return false;
    }
    message_of(body).is_some_and(|message| message.contains("session"))
}

/// Whether an error says in so many words that there is no such session, as the official SDKs and
/// others do. What a tool says of a session of its own may well be something else.
#[must_use]
pub fn is_session_unknown(body: &[u8]) -> bool {
    const WORDS: [&str; 7] = [
        "session not found",
        "session id not found",
        "session does not exist",
        "unknown session",
        "no such session",
        "invalid session id",
        "no valid session",
    ];
    message_of(body).is_some_and(|message| WORDS.iter().any(|words| message.contains(words)))
}

/// Whether an answer names its request: whoever gave it has read that, and may have done what it
/// asks for. Most SDKs refuse what belongs to no session without a look at the message.
#[must_use]
pub fn names_request(body: &[u8]) -> bool {
    edit::get(body, &["id"]).is_some_and(|id| id != "null")
}

/// The message of an error, in small letters.
fn message_of(body: &[u8]) -> Option<String> {
    let message = edit::get(body, &["error", "message"])?;
    Some(edit::text(message)?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            CIRCUIT_OPEN, INTERNAL, INVALID_PARAMS, INVALID_REQUEST, RATE_LIMITED,
            RESOURCE_NOT_FOUND, TIMED_OUT, TOO_LARGE, UNAUTHENTICATED, UNREACHABLE,
        },
        *,
    };

    #[test]
    fn what_a_tool_says_of_its_own_session_is_no_unknown_session() {
        let says = |message: &str| {
            let error = format!(r#"{{"code":-32001,"message":"{message}"}}"#);
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#);
            is_session_unknown(body.as_bytes())
        };
        for message in [
            "Session not found",
            "Bad Request: No valid session ID provided",
            "no such session: 7",
        ] {
            assert!(says(message), "{message}");
        }
        for message in [
            "session invalidated after checkout",
            "session closed: item not found",
            "browser session closed",
            "not found",
        ] {
            assert!(!says(message), "{message}");
        }
        assert!(!is_session_unknown(b"{}"));
    }

    #[test]
    fn statuses_of_the_eras() {
        for (code, modern) in [
            (METHOD_NOT_FOUND, 404),
            (HEADER_MISMATCH, 400),
            (MISSING_CAPABILITY, 400),
            (UNSUPPORTED_VERSION, 400),
            (INVALID_REQUEST, 200),
            (INVALID_PARAMS, 200),
            (INTERNAL, 200),
            (RESOURCE_NOT_FOUND, 200),
            // Those of a server look like our own.
            (UNAUTHENTICATED, 200),
            (TOO_LARGE, 200),
            (40_400, 200),
            (CIRCUIT_OPEN, 200),
            (i64::MAX, 200),
        ] {
            assert_eq!(http_status(code, Era::Modern), modern, "{code}");
            assert_eq!(http_status(code, Era::Legacy), 200, "{code}");
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
        let result = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert!(!is_session_lost(StatusCode::NOT_FOUND, result));
        assert!(!is_session_lost(StatusCode::UNAUTHORIZED, b""));
    }
}
