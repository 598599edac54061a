use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_protocol::{
    Batch, Edit, Envelope, Era, Id, Kind, edit, error, headers::MCP_SESSION_ID, is_batch, method,
};
use bytes::Bytes;
use http::{Response, StatusCode};

use super::{
    call::Call,
    courier::Courier,
    messages::{Broken, Messages},
    session::Session,
    upstream::Upstream,
};

/// What became of a message.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The client has heard all that there is to hear.
    Done,
    /// A session has begun.
    Begun(Session),
    /// The service does not know the session, and has done nothing.
    Lost,
}

/// How often in a row asking for the rest of an answer may fail.
const MAX_FAILURES: u32 = 5;
/// How often in a row the rest of an answer may be asked for and nothing be said: a server of
/// 2025-11-25 may hang up on a call that takes long and have its client come back as often as it
/// takes. With a second between two that is a quarter of an hour without a word.
const MAX_POLLS: u32 = 1000;
/// How long is waited before that where the server does not say.
const RESUME_AFTER: Duration = Duration::from_secs(1);
/// The longest that a server can make us wait.
const MAX_RESUME_AFTER: Duration = Duration::from_secs(30);
/// The most pages of a list of tools that are read to find one.
const MAX_PAGES: usize = 100;

impl<U: Upstream> Courier<U> {
    /// Sends a notification or an answer, to which nothing is said.
    pub(super) async fn tell(&self, call: &Call, session: Option<&Session>) -> Outcome {
        let response = match self.post(call, session).await {
            Ok(response) => response,
            Err(reason) => {
                tracing::warn!(reason, "a message of the client was not delivered");
                return Outcome::Done;
            }
        };
        let status = response.status();
        if !status.is_success() && is_kept(call, session) {
            let body = self.whole(response).await;
            if is_lost(status, &body) {
                return Outcome::Lost;
            }
        }
        if !status.is_success() {
            let status = status.as_u16();
            tracing::debug!(status, method = ?call.method, "a message was refused");
        }
        Outcome::Done
    }

    /// Sends a request and has the client hear everything that is said to it, which ends with
    /// one response for each id, whatever happens; except to what is cancelled.
    pub(super) async fn ask(&self, call: &Call, session: Option<&Session>) -> Outcome {
        let mut refreshed = false;
        loop {
            let response = match self.post(call, session).await {
                Ok(response) => response,
                Err(reason) => {
                    self.fail(call, &call.ids, error::UNREACHABLE, &reason)
                        .await;
                    return Outcome::Done;
                }
            };
            let status = response.status();
            if status.is_success() {
                return self.answered(call, session, response).await;
            }
            let body = self.whole(response).await;
            if is_kept(call, session) && is_lost(status, &body) {
                return Outcome::Lost;
            }
            let mismatch = Envelope::read(&body)
                .is_ok_and(|it| it.error_code() == Some(error::HEADER_MISMATCH));
            if mismatch && !refreshed && call.era == Era::Modern && call.is(method::TOOLS_CALL) {
                refreshed = true;
                self.look_up_tools(call).await;
                continue;
            }
            self.refused(call, status, body).await;
            return Outcome::Done;
        }
    }

    /// What a refusal says; nothing if that breaks off.
    async fn whole(&self, refusal: Response<U::Body>) -> Bytes {
        let mut messages = Messages::new(refusal, self.limits.answer_bytes);
        let body = messages.next().await.and_then(Result::ok);
        body.unwrap_or_default()
    }

    /// Hands on an answer, resuming it where it breaks off and can be.
    async fn answered(
        &self,
        call: &Call,
        session: Option<&Session>,
        response: Response<U::Body>,
    ) -> Outcome {
        let session_id = response.headers().get(MCP_SESSION_ID).cloned();
        let mut messages = Messages::new(response, self.limits.answer_bytes);
        let mut due = call.ids.to_vec();
        let mut outcome = Outcome::Done;
        let (mut failures, mut polls) = (0, 0);
        let reason = loop {
            let broken = match messages.next().await {
                Some(Ok(message)) => {
                    polls = 0;
                    let Some(message) = self.received(call, message, &mut due) else {
                        continue;
                    };
                    if call.is(method::INITIALIZE)
                        && let Some(begun) = Session::begun(session_id.clone(), &message)
                    {
                        outcome = Outcome::Begun(begun);
                    }
                    if !self.say(message).await || due.is_empty() {
                        return outcome;
                    }
                    continue;
                }
                Some(Err(broken @ Broken::TooLarge(_))) => {
                    self.fail(call, &due, error::TOO_LARGE, &broken.to_string())
                        .await;
                    return outcome;
                }
                Some(Err(broken)) => broken.to_string(),
                None => "the answer ended before the response".to_owned(),
            };
            if due.is_empty() {
                // A batch that nothing in it is answered to.
                return outcome;
            }
            let resumable = session
                .filter(|session| call.era == Era::Legacy && session.is_kept())
                .zip(messages.last_event().cloned());
            let Some((session, last_event)) = resumable else {
                break broken;
            };
            if failures == MAX_FAILURES || polls == MAX_POLLS {
                break broken;
            }
            let wait = messages.retry().unwrap_or(RESUME_AFTER);
            Clock::default().sleep(wait.min(MAX_RESUME_AFTER)).await;
            match self.get(session, Some(&last_event)).await {
                Ok(response) if response.status().is_success() => {
                    (failures, polls) = (0, polls + 1);
                    messages.resume(response);
                }
                Ok(response) if response.status().is_client_error() => break broken,
                Ok(_) | Err(_) => failures += 1,
            }
        };
        self.fail(call, &due, error::BAD_ANSWER, &reason).await;
        outcome
    }

    /// Notes which response a message is; none if it is no message. A batch loses what is none.
    fn received(&self, call: &Call, message: Bytes, due: &mut Vec<Box<str>>) -> Option<Bytes> {
        if is_batch(&message) {
            return received_batch(message, due);
        }
        let envelope = match Envelope::read(&message) {
            Ok(envelope) => envelope,
            Err(error) => {
                tracing::warn!(%error, "the service said what is no message");
                return None;
            }
        };
        if settle(&envelope, due) && call.era == Era::Modern && call.is(method::TOOLS_LIST) {
            self.params.learn(&message);
        }
        Some(message)
    }

    /// Hands on a refusal, which must name the request even where the service did not read it.
    async fn refused(&self, call: &Call, status: StatusCode, body: Bytes) {
        let said = Envelope::read(&body).ok();
        let error = said.filter(|it| match it.kind() {
            Kind::Response => !call.is_batch(),
            kind => kind == Kind::Error,
        });
        let message = match error {
            Some(error) if call.is_batch() => {
                let code = error.error_code().unwrap_or(error::INTERNAL);
                let text = edit::get(error.error().unwrap_or_default().as_bytes(), &["message"])
                    .and_then(edit::text)
                    .unwrap_or_default();
                call.refusal(&call.ids, code, &text, None)
            }
            Some(error) => match (error.id(), call.ids.first()) {
                // None, or one of the service's own, as the Python SDK's `server-error`.
                (named, Some(id)) if named != Id::new(id) => {
                    let mut edit = Edit::new(&body);
                    edit.set(&["id"], id);
                    edit.finish().unwrap_or(body)
                }
                _ => body,
            },
            None => {
                let code = match status.as_u16() {
                    401 => error::UNAUTHENTICATED,
                    403 => error::FORBIDDEN,
                    413 => error::TOO_LARGE,
                    429 => error::RATE_LIMITED,
                    503 => error::OVERLOADED,
                    _ => error::BAD_ANSWER,
                };
                let text = format!("the service refused the message with status {status}");
                call.refusal(&call.ids, code, &text, None)
            }
        };
        if !call.is_cancelled() {
            self.say(message).await;
        }
    }

    /// Has the client hear that these of a message's requests failed.
    pub(super) async fn fail(&self, call: &Call, ids: &[Box<str>], code: i64, text: &str) {
        if call.is_cancelled() || ids.is_empty() {
            return;
        }
        self.say(call.refusal(ids, code, text, None)).await;
    }

    /// Reads the list of tools for a call that lacks headers, in the call's own words.
    async fn look_up_tools(&self, call: &Call) {
        let Ok(envelope) = Envelope::read(&call.message) else {
            return;
        };
        let meta = envelope.meta().unwrap_or("{}");
        let mut cursor: Option<String> = None;
        for page in 0..MAX_PAGES {
            let cursor_member = cursor
                .as_ref()
                .map_or_else(String::new, |cursor| format!(r#","cursor":{cursor}"#));
            let params = format!(r#"{{"_meta":{meta}{cursor_member}}}"#);
            let id = format!("\"bartizan-tools-{page}\"");
            let message = error::request(&id, method::TOOLS_LIST, Some(&params));
            let Ok(envelope) = Envelope::read(&message) else {
                return;
            };
            let list = Call::of(message.clone(), &envelope);
            let Ok(response) = self.post(&list, None).await else {
                return;
            };
            let mut messages = Messages::new(response, self.limits.answer_bytes);
            let mut due = list.ids.to_vec();
            let mut answer = None;
            while let Some(Ok(message)) = messages.next().await {
                answer = self.received(&list, message, &mut due);
                if due.is_empty() {
                    break;
                }
            }
            let next = answer
                .as_ref()
                .and_then(|answer| edit::get(answer, &["result", "nextCursor"]))
                .filter(|next| next.starts_with('"'))
                .map(str::to_owned);
            if next.is_none() || next == cursor {
                return;
            }
            cursor = next;
        }
    }
}

/// Whether the service keeps a session that this message belongs to.
fn is_kept(call: &Call, session: Option<&Session>) -> bool {
    call.era == Era::Legacy && !call.is(method::INITIALIZE) && session.is_some_and(Session::is_kept)
}

/// Whether a refusal says that the session is lost and nothing was done: one that names the request
/// does only if it says just that.
fn is_lost(status: StatusCode, body: &[u8]) -> bool {
    error::is_session_lost(status, body)
        && (!error::names_request(body) || error::is_session_unknown(body))
}

/// Notes which responses a batch holds, and takes out what is no message: one that is broken must
/// not cost the others. None if nothing is left.
fn received_batch(message: Bytes, due: &mut Vec<Box<str>>) -> Option<Bytes> {
    let batch = Batch::read(&message).ok()?;
    let mut edit = Edit::new(&message);
    let mut broken = 0;
    for (at, member) in batch.iter().enumerate() {
        match Envelope::read(member) {
            Ok(envelope) => {
                settle(&envelope, due);
            }
            Err(error) => {
                tracing::warn!(%error, "the service said what is no message");
                edit.remove(&[&at.to_string()]);
                broken += 1;
            }
        }
    }
    match broken {
        0 => Some(message),
        _ if broken == batch.len() => None,
        _ => edit.finish().ok(),
    }
}

/// Takes the request off the list that a message answers; whether it answers one.
fn settle(envelope: &Envelope<'_>, due: &mut Vec<Box<str>>) -> bool {
    if !matches!(envelope.kind(), Kind::Response | Kind::Error) {
        return false;
    }
    let Some(id) = envelope.id() else {
        return false;
    };
    let Some(at) = due.iter().position(|it| Id::new(it) == Some(id)) else {
        return false;
    };
    due.swap_remove(at);
    true
}
