//! Messages of sessions.

use std::sync::Arc;

use bartizan_protocol::{Envelope, Kind, edit, error, headers::MCP_SESSION_ID};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::RETRY_AFTER, request::Parts};

use super::{
    Host, HostBody, HostError,
    answer::{self, Answer, Begun},
    body::Source,
    connection::{Role, Usage},
};
use crate::{
    link::{Ids, LinkError},
    sessions::SessionId,
};

/// How much that a server says before it has answered `initialize` is passed on.
const BEFORE: usize = 64;

impl Host {
    /// Answers `initialize`: with a session, if the server begins one.
    pub(super) async fn begin(
        &self,
        head: &Parts,
        envelope: &Envelope<'_>,
        body: &Bytes,
        owner: u64,
    ) -> Answer {
        let id = envelope.raw_id();
        if envelope.kind() != Kind::Request {
            return Ok(answer::bad_request(id, "initialize is a request"));
        }
        let name: Arc<str> = SessionId::random().to_string().into();
        let role = Role::Session(Arc::clone(&name));
        let usage = match self.open(role, owner, head).await {
            Ok(usage) => usage,
            Err(refused) => return answer::refused(refused),
        };
        let mut exchange = match usage.request(head, body.clone(), Ids::Keep).await {
            Ok(exchange) => exchange,
            Err(failed) => return answer::failed(failed, id, |error| Err(error.into())),
        };
        let (before, response) = answer::response(&mut exchange, BEFORE).await?;
        if !answer::is_result(&response) {
            return refused_or(&usage, response);
        }
        usage.prove();
        let mut answer = if before.is_empty() {
            answer::json(StatusCode::OK, response)
        } else {
            let messages = before.into_iter().chain([response]).map(Ok);
            answer::events(HostBody::events(messages, None))
        };
        if let Ok(name) = HeaderValue::from_str(&name) {
            answer.headers_mut().insert(MCP_SESSION_ID, name);
        }
        Ok(answer)
    }

    /// Answers a message of a session.
    pub(super) async fn in_session(
        &self,
        session: &str,
        head: &Parts,
        envelope: &Envelope<'_>,
        body: &Bytes,
        owner: u64,
    ) -> Answer {
        let state = &self.0.state;
        let id = envelope.raw_id();
        let not_found = |_| Ok(answer::session_not_found(id));
        let Some(usage) = state.session(session, owner) else {
            return not_found(());
        };
        usage.pass(head);
        if envelope.kind() != Kind::Request {
            return match usage.send(body.clone()).await {
                Ok(()) => Ok(answer::accepted()),
                Err(failed) => answer::failed(failed, id, |_| not_found(())),
            };
        }
        let mut exchange = match usage.request(head, body.clone(), Ids::Keep).await {
            Ok(exchange) => exchange,
            Err(failed) => return answer::failed(failed, id, |_| not_found(())),
        };
        let method = envelope.method().unwrap_or_default();
        let after = state.limits.stream_after;
        let begun = Begun::wait(&mut exchange, method, after, state.clock).await;
        // The server did not see it, or refused it as it has forgotten the session.
        begun.answer(exchange, usage, refused_or, |_, error| match error {
            LinkError::Closed { sent: false, .. } => not_found(()),
            error => Err(error.into()),
        })
    }

    /// Answers a GET: with what the server says by itself from now on.
    pub(super) fn listen(&self, session: &str, owner: u64) -> Response<HostBody> {
        let Some(usage) = self.0.state.session(session, owner) else {
            return answer::session_not_found(None);
        };
        let Some(unsolicited) = usage.connection().link.unsolicited() else {
            let text = "somebody listens to this session already";
            let code = error::INVALID_REQUEST;
            return answer::refusal(StatusCode::CONFLICT, None, code, text);
        };
        let source = Some((Source::Unsolicited(unsolicited), usage));
        answer::events(HostBody::events([], source))
    }

    /// Answers a DELETE: ends the session and its connection.
    pub(super) fn end(&self, session: &str, owner: u64) -> Response<HostBody> {
        let mut table = self.0.state.table.lock();
        let Some(connection) = table.session(session, owner).map(Arc::clone) else {
            return answer::session_not_found(None);
        };
        table.end(&connection);
        answer::ok()
    }
}

/// A response as the answer; or as an answer of HTTP that refuses, if the server of HTTP+SSE
/// refused the message so, and the answer in its place is the transport's.
fn refused_or(usage: &Usage, response: Bytes) -> Answer {
    if usage.connection().passed.is_none() {
        return Ok(answer::json(StatusCode::OK, response));
    }
    let number = |path: &[&str]| edit::get(&response, path)?.parse::<i64>().ok();
    let text = || edit::get(&response, &["error", "message"]).and_then(edit::text);
    match number(&["error", "code"]) {
        Some(error::CREDENTIAL | error::RATE_LIMITED | error::BAD_ANSWER) => {}
        Some(error::UNREACHABLE) => {
            return Err(HostError::interrupted(text().unwrap_or_default()));
        }
        Some(error::OVERLOADED) => {
            return Err(HostError::overloaded(text().unwrap_or_default()));
        }
        _ => return Ok(answer::json(StatusCode::OK, response)),
    }
    let status = number(&["error", "data", "status"]);
    let status = status.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
    let wait = number(&["error", "data", "retryAfter"]);
    let mut answer = answer::json(status.unwrap_or(StatusCode::OK), response);
    if let Some(wait) = wait {
        answer.headers_mut().insert(RETRY_AFTER, wait.into());
    }
    Ok(answer)
}
