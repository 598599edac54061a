//! Clients of the older revisions, in a session of the gateway's.

use std::sync::Arc;

use bartizan_protocol::{Edit, edit, method::TOOLS_LIST};
use bartizan_transport::bridge::{self, ClientMeta, InputRequired, ResultKind, read_answer};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    Request,
    legacy_upstream::{Call, Heard},
    modern_upstream::{self, fresh_id},
    outside, progress_token,
    turn::Turn,
    untranslatable, without,
};
use crate::mcp::{
    Door, Refusal,
    client::ClientSession,
    questions::{Asked, Origin},
    talk::Outgoing,
    tools,
};

/// How often a call may ask back before it is given up.
const MAX_ROUNDS: usize = 16;

/// To an upstream of 2026-07-28. When it requires input, the client is asked in the middle of
/// its call, and the call goes to the upstream once more with the answers.
pub(super) async fn to_modern(
    door: &Door,
    client: &Arc<ClientSession>,
    request: &Request,
    out: &Outgoing,
) -> Result<Bytes, Refusal> {
    let unreadable = |error: &dyn std::fmt::Display| untranslatable(door, error);
    let meta = ClientMeta {
        capabilities: client.modern_capabilities(),
        info: Some(&client.introduction().info),
        log_level: client.log_level(),
    };
    let original = bridge::request_to_modern(&request.body, &meta).map_err(|it| unreadable(&it))?;
    let mut body = original.clone();
    for _ in 0..MAX_ROUNDS {
        let answer = modern_upstream::exchange(door, body, request, out).await?;
        if ResultKind::read(&answer) != ResultKind::InputRequired {
            return bridge::answer_to_legacy(&request.method, &answer)
                .map_err(|it| unreadable(&it));
        }
        let required = match InputRequired::read(&request.method, &answer, client.abilities()) {
            Ok(required) => required,
            Err(invalid) => return Ok(invalid.answer(&request.id)),
        };
        let mut results = Vec::new();
        for question in required.questions() {
            let put = |id: &str| question.request(id);
            let asked = if out.is_nowhere() {
                // Of a question that came in a result, nothing but its service is known.
                client.ask_on_stream(Origin::of(door, b"{}"), put)
            } else {
                Some(client.ask(out, None, put).await)
            };
            let answer = match asked {
                // No server of this revision takes its question back.
                Some(asked) => asked.answer().await.unwrap_or_default(),
                None => bridge::refusal("null", "this client cannot be asked for that"),
            };
            match read_answer(&answer) {
                Ok(result) => results.push(result.to_owned()),
                Err(failed) => return Ok(failed.answer(&request.id, question)),
            }
        }
        let results = results.iter().map(String::as_str);
        body = required
            .retry(&original, &fresh_id(), results)
            .map_err(|it| unreadable(&it))?;
    }
    Ok(bridge::refusal(
        &request.id,
        "the server asked back too often",
    ))
}

/// To an upstream of an older revision too, in a session of its own with the upstream. Requests
/// of the upstream reach the client under ids that are unique among all its upstreams.
pub(super) async fn to_legacy(
    door: &Door,
    client: &Arc<ClientSession>,
    request: &Request,
    out: &Outgoing,
) -> Result<Bytes, Refusal> {
    let unreadable = |error: &dyn std::fmt::Display| untranslatable(door, error);
    let session = client.upstream(door);
    // As an ordinary call, since nobody could ask for the result of a task.
    let body = without(&request.body, &["params", "task"]);
    let mut call = Call::begin(door, &session, body, Turn::default(), &request.given_up).await?;
    let mut asked = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(answer) = asked.next() => if let Some(answer) = answer {
                call.answer(answer).await?;
            },
            heard = call.hear(request) => match heard? {
                Heard::Message(message) if outside::takes_back(&message) => {
                    match outside::taken_back(door, client, &message) {
                        Some(message) if out.is_nowhere() => client.tell(message),
                        Some(message) => out.say(message).await,
                        None => {}
                    }
                }
                Heard::Message(message) => out.say(message).await,
                // A list that the gateway asks for itself has no stream that the client reads.
                Heard::Request(message) if out.is_nowhere() => {
                    outside::put(door, call.live(), Some(client), message).await;
                }
                Heard::Request(message) => {
                    let origin = Origin::of(door, &message);
                    let put = client
                        .ask(out, Some(origin), |ours| renamed(&message, ours))
                        .await;
                    asked.push(answer_to(message, put));
                }
                Heard::Response(response) => {
                    let mut edit = Edit::new(&response);
                    edit.set(&["id"], &request.id);
                    let answer = edit.finish().map_err(|it| unreadable(&it))?;
                    if &*request.method == TOOLS_LIST {
                        tools::learn(door, &answer);
                    }
                    if !asked.is_empty() {
                        call.leave(asked);
                    }
                    return Ok(answer);
                }
            }
        }
    }
}

/// Waits for what the client answers to a question of its upstream, and gives it under the
/// upstream's id; nothing once the upstream has taken it back.
pub(super) async fn answer_to(message: Bytes, asked: Asked) -> Option<Bytes> {
    let id = edit::get(&message, &["id"]).unwrap_or("null");
    let answer = asked.answer().await?;
    Some(with_id(&answer, id))
}

/// A question of an upstream's under the id `ours`, which serves for its progress token too: it is
/// unique among all that the client is asked.
pub(super) fn renamed(question: &[u8], ours: &str) -> Bytes {
    let mut edit = Edit::new(question);
    edit.set(&["id"], ours);
    if progress_token(question).is_some() {
        edit.set(&["params", "_meta", "progressToken"], ours);
    }
    edit.finish().unwrap_or_default()
}

fn with_id(message: &[u8], id: &str) -> Bytes {
    let mut edit = Edit::new(message);
    edit.set(&["id"], id);
    edit.finish().unwrap_or_default()
}
