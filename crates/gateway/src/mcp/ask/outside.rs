//! What an upstream of an older revision asks outside of calls: a file server for the roots of its
//! client as soon as the session has begun.

use std::sync::Arc;

use bartizan_protocol::{Edit, Envelope, edit, method::NOTIFICATION_CANCELLED};
use bytes::Bytes;

use super::{
    from_legacy::{answer_to, renamed},
    from_modern::answer_locally,
    legacy_upstream::ANSWER_WITHIN,
};
use crate::mcp::{
    Door,
    client::ClientSession,
    live::Live,
    questions::{Asked, Origin},
    refusal::Refusal,
};

/// Puts a question that was asked in `live` to its client, on the stream that the client holds
/// open, and has what comes of it sent back. Whoever holds none, or never said that it can answer,
/// is not asked, nor is anybody if several clients share the session.
pub(in crate::mcp) async fn put(
    door: &Door,
    live: &Arc<Live>,
    client: Option<&Arc<ClientSession>>,
    question: Bytes,
) {
    match client.and_then(|client| put_to(door, client, &question)) {
        // In a task of its own: whoever heard the question has more to hear meanwhile.
        Some(asked) => {
            let (door, live) = (door.clone(), Arc::clone(live));
            tokio::spawn(async move {
                if let Some(answer) = answer_in_time(&door, asked, question).await {
                    let _ = door.send(live.aside(answer)).await;
                }
            });
        }
        None => {
            let answer = answer_locally(id_of(&question), &question);
            let _ = door.send(live.aside(answer)).await;
        }
    }
}

fn put_to(door: &Door, client: &Arc<ClientSession>, question: &Bytes) -> Option<Asked> {
    let method = edit::get(question, &["method"]).and_then(edit::text)?;
    let params = edit::get(question, &["params"]);
    client.abilities().admit(&method, params).ok()?;
    let origin = Origin::of(door, question);
    client.ask_on_stream(origin, |ours| renamed(question, ours))
}

/// Whether an upstream takes a question of its own back.
pub(in crate::mcp) fn takes_back(message: &[u8]) -> bool {
    let envelope = Envelope::read(message);
    envelope.is_ok_and(|it| it.method() == Some(NOTIFICATION_CANCELLED))
}

/// Forgets the question that the door's service takes back in `message`, and gives what its client
/// is told: that the question which it knows by another id is taken back. Nothing if it is not
/// asked any more.
pub(in crate::mcp) fn taken_back(
    door: &Door,
    client: &ClientSession,
    message: &Bytes,
) -> Option<Bytes> {
    let envelope = Envelope::read(message).ok()?;
    let ours = client.withdraw(door.service.id(), envelope.request_id()?)?;
    let mut edit = Edit::new(message);
    edit.set(&["params", "requestId"], &ours);
    edit.finish().ok()
}

/// What the client answers, or an error if it goes away or takes too long.
async fn answer_in_time(door: &Door, asked: Asked, question: Bytes) -> Option<Bytes> {
    let clock = door.shared.clock();
    let client = asked.client();
    let refused = |text| {
        let refusal = Refusal::answer(bartizan_protocol::error::INTERNAL, text);
        Some(refusal.to_bytes(Some(id_of(&question))))
    };
    tokio::select! {
        biased;
        answer = answer_to(question.clone(), asked) => answer,
        () = client.has_left(clock) => refused("the client went away"),
        () = clock.sleep(ANSWER_WITHIN) => refused("the client did not answer"),
    }
}

fn id_of(question: &[u8]) -> &str {
    edit::get(question, &["id"]).unwrap_or("null")
}
