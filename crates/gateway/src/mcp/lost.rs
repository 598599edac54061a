//! Answers that must be looked into before anybody else gets them.

use bartizan_protocol::{Envelope, error};
use http::{Response, StatusCode};
use http_body::Body;

use super::{Door, Refusal, ask, is_event_stream};
use crate::service::Payload;

/// The longest answer of success that is looked into: the loss of a session takes few words.
const SMALL: u64 = 512;

/// An answer whose body is here as a whole if it can tell that something is wrong: all that are
/// no success, and short ones that are.
///
/// # Errors
///
/// When the answer broke off or is too large.
pub(super) async fn look(
    door: &Door,
    response: Response<Payload>,
) -> Result<Response<Payload>, Refusal> {
    let Some(stream) = &response.body().stream else {
        return Ok(response);
    };
    let is_small = stream.size_hint().exact().is_some_and(|it| it <= SMALL);
    if is_event_stream(&response) || response.status().is_success() && !is_small {
        return Ok(response);
    }
    whole(door, response).await
}

/// An answer with all of its body.
///
/// # Errors
///
/// When the answer broke off or is too large.
pub(super) async fn whole(
    door: &Door,
    response: Response<Payload>,
) -> Result<Response<Payload>, Refusal> {
    let (head, mut payload) = response.into_parts();
    let (endpoint, attempts) = (payload.endpoint.clone(), payload.attempts);
    let mut body = Response::new(Payload {
        bytes: std::mem::take(&mut payload.bytes),
        stream: payload.stream.take(),
        endpoint: endpoint.clone(),
        attempts,
    });
    if let Some(kind) = head.headers.get(http::header::CONTENT_TYPE) {
        body.headers_mut()
            .insert(http::header::CONTENT_TYPE, kind.clone());
    }
    let bytes = match door.exchange(body).next().await {
        Some(Ok(bytes)) => bytes,
        Some(Err(error)) => return Err(ask::broken_off(door, Some(error))),
        None => bytes::Bytes::new(),
    };
    let payload = Payload {
        bytes,
        stream: None,
        endpoint,
        attempts,
    };
    Ok(Response::from_parts(head, payload))
}

/// Whether an answer that was looked into says that its session is lost.
pub(super) fn is_session_lost(response: &Response<Payload>) -> bool {
    let body = response.body();
    let told = body.stream.is_none() || response.status() == StatusCode::NOT_FOUND;
    told && error::is_session_lost(response.status(), &body.bytes)
}

/// Refuses what is no answer of MCP: that the gateway's credential is not good enough, that it
/// should ask elsewhere, and whatever is wrong without a message that says what.
///
/// # Errors
///
/// When it is none.
pub(super) fn check(door: &Door, response: &Response<Payload>) -> Result<(), Refusal> {
    let status = response.status();
    if is_credential(status) {
        return Err(Refusal::unauthorized(door.service.name(), status));
    }
    let payload = response.body();
    let says_why = payload.stream.is_some() || Envelope::read(&payload.bytes).is_ok();
    if status.is_success() || !status.is_redirection() && says_why {
        return Ok(());
    }
    Err(Refusal::of_status(
        door.service.name(),
        status,
        response.headers(),
    ))
}

/// Whether a status says that the gateway's own credential is missing, wrong or not enough.
pub(super) fn is_credential(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    )
}
