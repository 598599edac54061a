//! Answers that must be looked into before anybody else gets them.

use bartizan_classify::RequestClass;
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

/// What a message in a session asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// What may be done twice.
    Again,
    /// What must not be done twice.
    Once,
    /// A stream of news.
    Stream,
    /// Nothing: it answers a question, which nobody asked in another session.
    Nothing,
}

impl Asks {
    pub(super) fn of(class: RequestClass) -> Self {
        match class {
            RequestClass::Unsafe => Self::Once,
            _ => Self::Again,
        }
    }
}

/// What an answer says of the session that its message was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Nothing,
    /// It is lost, and nothing was done with the message.
    Lost,
    /// It is lost, or the answer is about something else.
    Perhaps,
}

/// What an answer that was looked into says of a session with `instance`.
///
/// An error that names its request, or comes in an answer of success, may be that of a tool which ran
/// and has sessions of its own; so may a 404 in words that are no message. A 404 to a `GET` may come
/// of a server that has no such route.
pub(super) fn says(response: &Response<Payload>, asks: Asks, instance: &str) -> Says {
    let (status, body) = (response.status(), response.body());
    let is_refused = matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND);
    // An instance that was asked in the place of the one that failed does not know the session, in
    // whatever words it says so.
    let is_elsewhere = is_refused && is_elsewhere(response, instance);
    let told = body.stream.is_none() || status == StatusCode::NOT_FOUND;
    if !is_elsewhere && (!told || !error::is_session_lost(status, &body.bytes)) {
        return Says::Nothing;
    }
    let is_error = || Envelope::read(&body.bytes).is_ok_and(|it| it.error_code().is_some());
    let is_unread = !error::names_request(&body.bytes);
    let is_unknown = || error::is_session_unknown(&body.bytes);
    let is_certain = match asks {
        Asks::Again => is_elsewhere || is_unread || is_unknown(),
        Asks::Once => is_refused && is_unread && (is_elsewhere || is_unknown()),
        Asks::Nothing => is_refused,
        Asks::Stream => is_elsewhere || status != StatusCode::NOT_FOUND || is_error(),
    };
    if is_certain {
        Says::Lost
    } else {
        Says::Perhaps
    }
}

/// Whether a message goes again whose session an answer called lost *perhaps*, now that a ping says
/// that it is: what must not be done twice does if the answer said just that, or came of who had not
/// read the message.
pub(super) fn goes_again(response: &Response<Payload>, asks: Asks) -> bool {
    match asks {
        Asks::Again | Asks::Stream => true,
        Asks::Once => {
            let body = &response.body().bytes;
            !error::names_request(body) || error::is_session_unknown(body)
        }
        Asks::Nothing => false,
    }
}

/// An answer in a session that goes on. Its client takes a 404 for the end of its session, and would
/// say again in another what was done.
///
/// # Errors
///
/// When there is no message in it.
pub(super) fn goes_on(
    door: &Door,
    asks: Asks,
    mut response: Response<Payload>,
) -> Result<Response<Payload>, Refusal> {
    if response.status() == StatusCode::NOT_FOUND && asks != Asks::Stream {
        check(door, &response)?;
        *response.status_mut() = StatusCode::OK;
    }
    Ok(response)
}

/// Whether another instance answered than this one.
pub(super) fn is_elsewhere(response: &Response<Payload>, instance: &str) -> bool {
    *response.body().endpoint != *instance
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
    Err(Refusal::of_status(door, status, response.headers()))
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
