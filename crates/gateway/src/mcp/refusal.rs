use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::body::Body;
use bartizan_classify::{retry_after, retry_after_seconds};
use bartizan_protocol::{
    Version,
    error::{self as code, ErrorMessage},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use super::Door;
use crate::{
    error::Error,
    service::{Cause, Failure},
};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a message was not answered by an upstream, as JSON-RPC says it.
///
/// What the gateway itself refuses for the sake of an upstream is a JSON-RPC error in an answer
/// of status 200: every client reads that as what it is, while some take a 429 or 503 for a
/// failure of the transport. What is wrong with the HTTP request has the status that
/// the protocol gives it.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: i64,
    message: Cow<'static, str>,
    data: Option<String>,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: i64,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            data: None,
            retry_after: None,
        }
    }

    /// An error that travels as an ordinary answer.
    pub(crate) fn answer(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::OK, code, message)
    }

    /// The same with `data`, which is JSON.
    pub(crate) fn with_data(mut self, data: String) -> Self {
        self.data = Some(data);
        self
    }

    /// The revision asked for is none of ours.
    pub(crate) fn unsupported_version(requested: &str) -> Self {
        let requested = bartizan_protocol::edit::string(requested);
        Self::new(
            StatusCode::BAD_REQUEST,
            code::UNSUPPORTED_VERSION,
            "unsupported protocol version",
        )
        .with_data(format!(
            r#"{{"supported":["{}"],"requested":{requested}}}"#,
            Version::LATEST
        ))
    }

    /// The session is not, or no longer, known: its client begins another.
    pub(crate) fn session_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code::SESSION_NOT_FOUND,
            "Session not found: initialize again",
        )
    }

    /// The service refused the gateway's own credential, or wants one and has none.
    pub(crate) fn unauthorized(service: &str, status: StatusCode) -> Self {
        Self::answer(
            code::CREDENTIAL,
            format!(
                "{service} does not accept the gateway's credential: its operator must see to it"
            ),
        )
        .with_data(format!(
            r#"{{"state":"auth","status":{}}}"#,
            status.as_u16()
        ))
    }

    /// The answer of `service` has more bytes than an answer may have.
    pub(crate) fn too_large(service: &str, limit: usize) -> Self {
        Self::answer(
            code::TOO_LARGE,
            format!("{service}: the answer is larger than {limit} bytes"),
        )
    }

    /// The service of `door` answered with a status that is no success and said nothing that MCP knows.
    pub(super) fn of_status(door: &Door, status: StatusCode, headers: &HeaderMap) -> Self {
        let text = format!(
            "{} answered with status {}",
            door.service.name(),
            status.as_u16()
        );
        if status != StatusCode::TOO_MANY_REQUESTS {
            return Self::answer(code::BAD_ANSWER, text);
        }
        let wait = retry_after(headers, || door.shared.clock().wall());
        Self {
            retry_after: wait.map(retry_after_seconds),
            ..Self::answer(code::RATE_LIMITED, text)
        }
    }

    /// What a call to `service` that got no answer is.
    pub(crate) fn of_failure(service: &Arc<str>, failure: &Failure, timeout: Duration) -> Self {
        match Error::of_failure(service, failure) {
            Some(error) => error.into(),
            None => match &failure.cause {
                Cause::TimedOut { limit, .. } => {
                    let after = humantime::format_duration(limit.unwrap_or(timeout));
                    let text = format!("{service} did not answer within {after}");
                    Self::answer(code::TIMED_OUT, text)
                }
                Cause::Deadline => Self::answer(
                    code::TIMED_OUT,
                    format!("{service} gave no access token in time"),
                ),
                cause @ Cause::Encoded { .. } => {
                    Self::answer(code::BAD_ANSWER, format!("{service}: {cause}"))
                }
                cause => Self::answer(code::UNREACHABLE, format!("{service}: {cause}")),
            },
        }
    }

    /// The code of JSON-RPC.
    pub(crate) fn code(&self) -> i64 {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whole seconds after which it may be worth asking again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Whether the upstream may be at it still.
    pub(crate) fn is_timeout(&self) -> bool {
        self.code == code::TIMED_OUT
    }

    /// The message for the request of this id.
    pub(crate) fn to_bytes(&self, id: Option<&str>) -> Bytes {
        let retry = self
            .retry_after
            .map(|seconds| format!(r#"{{"retryAfter":{seconds}}}"#));
        ErrorMessage {
            id,
            code: self.code,
            message: &self.message,
            data: self.data.as_deref().or(retry.as_deref()),
        }
        .to_bytes()
    }

    /// The answer to the request of this id.
    pub(crate) fn response(&self, id: Option<&str>) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_bytes(id)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let retry_after = error.retry_after_seconds();
        // Its own text is of another door, whose clients know it.
        let mut message = match &error {
            Error::RateLimited { .. } => "rate limited".to_owned(),
            _ => error.to_string(),
        };
        if let Some(seconds) = retry_after {
            message = format!("{message}, retry in {seconds} s");
        }
        let (status, code) = match &error {
            Error::CircuitOpen { .. } | Error::NoInstances { .. } => {
                (StatusCode::OK, code::CIRCUIT_OPEN)
            }
            Error::RateLimited { .. } => (StatusCode::OK, code::RATE_LIMITED),
            Error::Busy { .. } => (StatusCode::OK, code::OVERLOADED),
            Error::Credential { .. } => (StatusCode::OK, code::CREDENTIAL),
            Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE),
            Error::Internal => (StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL),
            other => (other.status(), code::INVALID_REQUEST),
        };
        Self {
            retry_after,
            ..Self::new(status, code, message)
        }
    }
}
