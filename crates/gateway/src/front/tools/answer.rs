//! What became of a tool's call, in the words of this door.

use std::{sync::Arc, time::SystemTime};

use axum::body::Body;
use bartizan_classify::{Fault, FaultKind, retry_after, retry_after_seconds};
use bartizan_protocol::{edit, error as code};
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{
    body::is_json,
    error::Error,
    front::detail,
    mcp::tool::Called,
    service::{Cause, Failure, Payload, Service},
};

/// The longest text of a backend that an error repeats, in characters.
const LONGEST_TEXT: usize = 10_000;

/// The answer of a REST backend.
pub(super) fn answered(response: &Response<Payload>, now: SystemTime) -> Response<Body> {
    let (status, bytes) = (response.status(), &response.body().bytes);
    if status.is_success() {
        if is_json(bytes) {
            return detail::bytes(StatusCode::OK, bytes.clone());
        }
        let text = "Backend error: the answer is not valid JSON";
        return detail::refuse(StatusCode::BAD_REQUEST, text);
    }
    let text = String::from_utf8_lossy(bytes);
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    let text = format!("Backend error: {} {text}", status.as_u16());
    let wait = retry_after(response.headers(), || now).map(retry_after_seconds);
    detail::refuse_until(passed_on(status), text.trim_end(), wait)
}

/// What a backend says of the request passes; what it says of itself, or of the gateway's
/// credential, is not the caller's fault.
fn passed_on(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            StatusCode::BAD_GATEWAY
        }
        status if status.is_client_error() => status,
        status if status.is_server_error() => StatusCode::INTERNAL_SERVER_ERROR,
        // A redirect, which nobody follows.
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// A REST backend that gave no answer.
pub(super) fn failed(service: &Service, failure: &Failure) -> Response<Body> {
    let name = service.name();
    match Error::of_failure(name, failure) {
        Some(error @ (Error::CircuitOpen { .. } | Error::NoInstances { .. })) => {
            let wait = error.retry_after_seconds().or_else(|| next_probe(service));
            return unusable(name, wait);
        }
        Some(error) => return detail::error(&error),
        None => {}
    }
    match &failure.cause {
        Cause::TimedOut { limit, .. } => timed_out(limit.unwrap_or_else(|| service.timeout())),
        Cause::Deadline => timed_out(service.timeout()),
        // Nobody is there.
        _ if failure.fault() == FaultKind::NotSent => unusable(name, next_probe(service)),
        cause => detail::refuse(StatusCode::BAD_GATEWAY, format!("Backend error: {cause}")),
    }
}

fn timed_out(after: std::time::Duration) -> Response<Body> {
    let after = humantime::format_duration(after);
    let text = format!("Backend timeout: no answer within {after}");
    detail::refuse(StatusCode::GATEWAY_TIMEOUT, text)
}

fn unusable(service: &str, retry_after: Option<u64>) -> Response<Body> {
    let text = format!("Backend server unhealthy: {service}");
    detail::refuse_until(StatusCode::SERVICE_UNAVAILABLE, text, retry_after)
}

/// Whole seconds until it may be known that an instance is back.
fn next_probe(service: &Service) -> Option<u64> {
    let checker = service.checker()?;
    Some(retry_after_seconds(checker.config().recheck()))
}

/// What became of a tool of a service that speaks MCP.
pub(super) fn called(service: &Arc<str>, called: Called) -> Response<Body> {
    match called {
        Called::Result(result) => detail::bytes(StatusCode::OK, content(&result)),
        Called::Failed(_, text) => {
            let text = format!("Backend error: {text}");
            detail::refuse(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
        Called::Refused(refused) => {
            let (text, wait) = (&refused.message, refused.retry_after);
            let status = match refused.code {
                code::CIRCUIT_OPEN => return unusable(service, wait),
                code::UNREACHABLE => StatusCode::SERVICE_UNAVAILABLE,
                code::OVERLOADED => StatusCode::SERVICE_UNAVAILABLE,
                code::TIMED_OUT => {
                    let text = format!("Backend timeout: {text}");
                    return detail::refuse(StatusCode::GATEWAY_TIMEOUT, text);
                }
                code::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
                code::CREDENTIAL | code::BAD_ANSWER | code::TOO_LARGE => StatusCode::BAD_GATEWAY,
                code::INVALID_PARAMS => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            detail::refuse_until(status, format!("Backend error: {text}"), wait)
        }
    }
}

/// The result for those who know nothing of MCP: what is structured, or the text if there is
/// nothing else, which may be JSON; else the result as it is.
fn content(result: &Bytes) -> Bytes {
    if let Some(structured) = edit::get(result, &["structuredContent"])
        && structured != "null"
    {
        return result.slice_ref(structured.as_bytes());
    }
    let blocks = edit::get(result, &["content"]);
    let blocks = blocks.and_then(|blocks| edit::elements(blocks.as_bytes()));
    let Some([block]) = blocks.as_deref() else {
        return result.clone();
    };
    let is_text = edit::get(block.as_bytes(), &["type"]) == Some("\"text\"");
    let text = edit::get(block.as_bytes(), &["text"]).filter(|_| is_text);
    let Some((quoted, text)) = text.and_then(|raw| Some((raw, edit::text(raw)?))) else {
        return result.clone();
    };
    if is_json(text.as_bytes()) {
        return Bytes::from(text.into_owned());
    }
    result.slice_ref(quoted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_a_result_is_what_a_rest_caller_expects() {
        for (result, expected) in [
            (
                r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"n":1.10}}"#,
                r#"{"n":1.10}"#,
            ),
            (
                r#"{"content":[{"type":"text","text":"{\"a\": 1}"}]}"#,
                r#"{"a": 1}"#,
            ),
            (
                r#"{"content":[{"type":"text","text":"line\nof text"}]}"#,
                r#""line\nof text""#,
            ),
            (
                r#"{"content":[{"type":"text","text":"7"}],"structuredContent":null}"#,
                "7",
            ),
        ] {
            assert_eq!(content(&Bytes::from(result)), expected, "{result}");
        }
        for whole in [
            r#"{"content":[]}"#,
            r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
            r#"{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}]}"#,
        ] {
            assert_eq!(content(&Bytes::from(whole)), whole);
        }
    }
}
