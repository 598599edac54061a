//! Answers in the words of Streamable HTTP.

use std::{collections::VecDeque, time::Duration};

use bartizan_clock::Clock;
use bartizan_protocol::{Envelope, Era, edit, error, error::ErrorMessage, method};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{
    HostBody, HostError,
    body::Source,
    connect::Refused,
    connection::{Failed, Usage},
};
use crate::{
    link::{Exchange, LinkError},
    stream::set_headers,
};

pub(super) type Answer = Result<Response<HostBody>, HostError>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn empty(status: StatusCode) -> Response<HostBody> {
    let mut response = Response::new(HostBody::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

pub(super) fn json(status: StatusCode, message: Bytes) -> Response<HostBody> {
    let mut response = Response::new(HostBody::whole(message));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

pub(super) fn refusal(
    status: StatusCode,
    id: Option<&str>,
    code: i64,
    message: &str,
) -> Response<HostBody> {
    let message = ErrorMessage {
        id,
        code,
        message,
        data: None,
    };
    json(status, message.to_bytes())
}

pub(super) fn ok() -> Response<HostBody> {
    empty(StatusCode::OK)
}

pub(super) fn accepted() -> Response<HostBody> {
    empty(StatusCode::ACCEPTED)
}

pub(super) fn not_allowed(allow: &'static str) -> Response<HostBody> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

pub(super) fn events(body: HostBody) -> Response<HostBody> {
    let mut response = Response::new(body);
    set_headers(response.headers_mut());
    response
}

/// The session is over, or never was: its client begins another.
pub(super) fn session_not_found(id: Option<&str>) -> Response<HostBody> {
    let code = error::SESSION_NOT_FOUND;
    refusal(StatusCode::NOT_FOUND, id, code, "Session not found")
}

pub(super) fn method_not_found(id: Option<&str>) -> Response<HostBody> {
    let code = error::METHOD_NOT_FOUND;
    refusal(StatusCode::NOT_FOUND, id, code, "Method not found")
}

pub(super) fn bad_request(id: Option<&str>, message: &str) -> Response<HostBody> {
    let code = error::INVALID_REQUEST;
    refusal(StatusCode::BAD_REQUEST, id, code, message)
}

/// What a server that let nobody in said; with what else it said about that.
pub(super) fn refused(refused: Refused) -> Answer {
    match refused {
        Refused::Failed(error) => Err(error),
        Refused::Answered(status, headers) => {
            let mut response = empty(status);
            for name in [WWW_AUTHENTICATE, RETRY_AFTER] {
                for value in headers.get_all(&name) {
                    response.headers_mut().append(name.clone(), value.clone());
                }
            }
            Ok(response)
        }
    }
}

/// What becomes of a message that was not sent; `lost` is the answer if the connection has ended.
pub(super) fn failed(
    failed: Failed,
    id: Option<&str>,
    lost: impl FnOnce(LinkError) -> Answer,
) -> Answer {
    match failed {
        Failed::Host(error) => Err(error),
        Failed::Link(LinkError::Invalid(reason)) => Ok(bad_request(id, reason)),
        Failed::Link(error @ LinkError::Closed { .. }) => lost(error),
        Failed::Link(error) => Err(error.into()),
    }
}

/// How the answer to a request begins.
pub(super) enum Begun {
    /// With the response, and nothing before it.
    Whole(Bytes),
    /// With something else, or with nothing for as long as one should wait.
    Stream(VecDeque<Result<Bytes, LinkError>>),
    Failed(LinkError),
}

impl Begun {
    /// Waits for the first word of the server; at most so long if it is a method that may take
    /// its time.
    pub(super) async fn wait(
        exchange: &mut Exchange,
        method: &str,
        stream_after: Duration,
        clock: Clock,
    ) -> Self {
        let takes_its_time = matches!(
            method,
            method::TOOLS_CALL | method::TASKS_RESULT | method::SUBSCRIPTIONS_LISTEN
        );
        let first = tokio::select! {
            biased;
            first = exchange.next() => first,
            () = clock.sleep(stream_after), if takes_its_time => {
                return Self::Stream(VecDeque::new());
            }
        };
        match first {
            Some(Ok(message)) => match exchange.next().now_or_never() {
                // The last item of an exchange is the response.
                Some(None) => Self::Whole(message),
                Some(Some(next)) => Self::Stream([Ok(message), next].into()),
                None => Self::Stream([Ok(message)].into()),
            },
            Some(Err(error)) => Self::Failed(error),
            None => Self::Failed(LinkError::Cancelled),
        }
    }

    /// The answer; `lost` is that to a request whose connection ended.
    pub(super) fn answer(
        self,
        exchange: Exchange,
        usage: Usage,
        whole: impl FnOnce(&Usage, Bytes) -> Answer,
        lost: impl FnOnce(&Usage, LinkError) -> Answer,
    ) -> Answer {
        match self {
            Self::Whole(message) => whole(&usage, message),
            Self::Stream(first) => {
                let source = Some((Source::Exchange(exchange), usage));
                Ok(events(HostBody::events(first, source)))
            }
            // The client took the request back, or the server ended the subscription: neither
            // expects a response.
            Self::Failed(LinkError::Cancelled) => Ok(events(HostBody::events([], None))),
            Self::Failed(error @ LinkError::Closed { .. }) => lost(&usage, error),
            Self::Failed(error) => Err(error.into()),
        }
    }
}

/// Waits for the response, and gives it and up to `limit` messages that came before.
pub(super) async fn response(
    exchange: &mut Exchange,
    limit: usize,
) -> Result<(Vec<Bytes>, Bytes), LinkError> {
    let mut before = Vec::new();
    let mut last = None;
    while let Some(message) = exchange.next().await {
        if let Some(message) = last.replace(message?)
            && before.len() < limit
        {
            before.push(message);
        }
    }
    last.map(|last| (before, last)).ok_or(LinkError::Cancelled)
}

/// Whether a response has a result, and not an error.
pub(super) fn is_result(response: &[u8]) -> bool {
    Envelope::read(response).is_ok_and(|envelope| envelope.result().is_some())
}

/// The code of a response that is an error.
pub(super) fn error_code(response: &[u8]) -> Option<i64> {
    edit::get(response, &["error", "code"])?.parse().ok()
}

/// The response to a message of 2026-07-28.
pub(super) fn modern(response: Bytes) -> Response<HostBody> {
    // Positive codes tell a status where the gateway says them. This is what a server said, to
    // whom they mean something else.
    let code = error_code(&response).filter(|code| *code < 0);
    let status = code.map_or(StatusCode::OK, |code| error::http_status(code, Era::Modern));
    json(status, response)
}
