//! Clients of 2026-07-28.

use bartizan_protocol::{
    Envelope, edit,
    method::{NOTIFICATION_MESSAGE, PING, TOOLS_LIST, may_require_input},
};
use bartizan_transport::bridge::{self, LogLevel, Question, Undeclared};
use bytes::Bytes;

use super::{
    ModernClient, Request,
    legacy_upstream::{self, Call, Heard},
    modern_upstream,
    parked::{self, Waiting},
    turn::Turn,
    untranslatable,
};
use crate::mcp::{Door, Refusal, talk::Outgoing, tools};

/// To an upstream that speaks as the client does: nothing changes but the id.
pub(super) async fn to_modern(
    door: &Door,
    request: &Request,
    out: &Outgoing,
) -> Result<Bytes, Refusal> {
    modern_upstream::exchange(door, request.body.clone(), request, out).await
}

/// To an upstream of an older revision. What it asks in the middle of the call ends the call
/// here, as a result that requires input; the client repeats the call with the answer, and the
/// upstream, which has waited, goes on.
pub(super) async fn to_legacy(
    door: &Door,
    client: &ModernClient,
    request: &Request,
    out: &Outgoing,
) -> Result<Bytes, Refusal> {
    let mut call = match parked::take(door, request)? {
        Some((mut waiting, Some(result))) => {
            let answer = waiting.question.answer(&waiting.asked, &result);
            waiting.call.go_on(answer).await?;
            waiting.call
        }
        // It came back without the answer: asked again.
        Some((waiting, None)) => return parked::park(door, request, waiting),
        None => {
            let session = legacy_upstream::pooled(door, client)?;
            if client.log_level.is_some() {
                session.log_everything(door).await?;
            }
            let body = bridge::request_to_legacy(&request.method, &request.body)
                .map_err(|error| untranslatable(door, &error))?;
            let turn = Turn::take(door, client, request, &session).await?;
            Call::begin(door, &session, body, turn, &request.given_up).await?
        }
    };
    loop {
        match call.hear(request).await? {
            Heard::Message(message) => {
                if wants(client, &message) {
                    out.say(message).await;
                }
            }
            Heard::Request(asked) => {
                let id = edit::get(&asked, &["id"]).unwrap_or("null").to_owned();
                let question = Question::read(&asked);
                if question.is_some() {
                    call.asked();
                }
                match question {
                    None => call.answer(answer_locally(&id, &asked)).await?,
                    // A list, say, cannot end with a question.
                    Some(question) if !may_require_input(&request.method) => {
                        let why = Undeclared::NoCallWaits;
                        call.answer(question.refuse(&id, why)).await?;
                    }
                    Some(question) => match question.admit(client.abilities) {
                        Err(why) => call.answer(question.refuse(&id, why)).await?,
                        Ok(()) => {
                            call.pause();
                            let waiting = Waiting {
                                call,
                                asked: id,
                                question,
                            };
                            return parked::park(door, request, waiting);
                        }
                    },
                }
            }
            Heard::Response(response) => {
                if let Some(questions) = demanded(client, &response) {
                    let info = edit::get(call.live().result(), &["serverInfo"]);
                    return Ok(parked::ask_first(door, request, &questions, info));
                }
                let info = edit::get(call.live().result(), &["serverInfo"]);
                let mut edit = bartizan_protocol::Edit::new(&response);
                edit.set(&["id"], &request.id);
                let response = edit
                    .finish()
                    .map_err(|error| untranslatable(door, &error))?;
                let answer = bridge::answer_to_modern(&request.method, &response, info)
                    .map_err(|error| untranslatable(door, &error))?;
                if &*request.method == TOOLS_LIST {
                    return Ok(tools::listed(door, answer));
                }
                return Ok(answer);
            }
        }
    }
}

/// The URLs that an older server demands to be visited before the call is sent again, if the
/// client can be asked for that.
fn demanded(client: &ModernClient, response: &[u8]) -> Option<Vec<Question>> {
    let questions = Question::required_by(response)?;
    let admitted = |it: &Question| it.admit(client.abilities).is_ok();
    questions.iter().all(admitted).then_some(questions)
}

/// Log messages are for those who ask for them, request by request.
fn wants(client: &ModernClient, message: &[u8]) -> bool {
    let Ok(envelope) = Envelope::read(message) else {
        return false;
    };
    envelope.method() != Some(NOTIFICATION_MESSAGE)
        || LogLevel::admits_message(client.log_level, message)
}

/// The answer to what an older server may ask of any client.
pub(in crate::mcp) fn answer_locally(id: &str, asked: &[u8]) -> Bytes {
    let method = edit::get(asked, &["method"]).and_then(edit::text);
    if method.as_deref() == Some(PING) {
        bridge::empty_result(id)
    } else {
        bridge::refusal(id, "this client cannot be asked for that")
    }
}
