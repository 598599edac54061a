use bartizan_protocol::edit;
use bartizan_transport::{
    bridge::{InputResponses, Question, input_required},
    seal::Purpose,
    sessions::SessionId,
};
use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;

use super::{Request, legacy_upstream::Call};
use crate::mcp::{Door, Refusal, house::no_room};

/// How long a client of 2026-07-28 may think about a question, in seconds.
const PATIENCE: u64 = 300;
/// The one question of a round: an older server waits for one answer at a time.
const KEY: &str = "question";

/// In the place of a call's handle where there is no call that waits.
const NOTHING_WAITS: SessionId = SessionId::from_bytes([0; 16]);

/// A call whose upstream asked something and waits, while its client has the question.
///
/// The client comes back with another request, which takes it out; if it does not, the table's
/// idle limit drops it, and that tells the upstream.
#[derive(Debug)]
pub(crate) struct Parked {
    waiting: Mutex<Option<Waiting>>,
}

impl Drop for Parked {
    /// Nobody came back: the upstream is told what that means, and then that the call is over.
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.get_mut().take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let answer = waiting.question.give_up(&waiting.asked);
            // Whatever comes of it, the call ends with this task.
            let _ = waiting.call.answer(answer).await;
        });
    }
}

/// What an upstream waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) call: Call,
    /// The id of the upstream's question, raw.
    pub(super) asked: String,
    pub(super) question: Question,
}

/// Puts a call aside and gives the result that asks its client.
///
/// # Errors
///
/// When there is no room for it.
pub(super) fn park(door: &Door, request: &Request, waiting: Waiting) -> Result<Bytes, Refusal> {
    let handle = SessionId::random();
    let state = door.shared.mcp().keys().seal(
        Purpose::RequestState,
        door.caller.principal(),
        door.shared.unix_seconds() + PATIENCE,
        &state(door, request, handle),
    );
    let info = edit::get(waiting.call.live().result(), &["serverInfo"]);
    let answer = input_required(&request.id, [(KEY, &waiting.question)], &state, info);
    let parked = door.shared.mcp().parked().insert(
        handle,
        door.caller.principal(),
        Parked {
            waiting: Mutex::new(Some(waiting)),
        },
    );
    parked.map(|_| answer).map_err(|error| no_room(&error))
}

/// The result that asks a client for what must be done before its call is sent anew; nothing
/// waits meanwhile.
pub(super) fn ask_first(
    door: &Door,
    request: &Request,
    questions: &[Question],
    info: Option<&str>,
) -> Bytes {
    let sealed = door.shared.mcp().keys().seal(
        Purpose::RequestState,
        door.caller.principal(),
        door.shared.unix_seconds() + PATIENCE,
        &state(door, request, NOTHING_WAITS),
    );
    let keys: Vec<_> = (1..=questions.len())
        .map(|n| format!("{KEY}-{n}"))
        .collect();
    let asked = keys.iter().map(String::as_str).zip(questions);
    input_required(&request.id, asked, &sealed, info)
}

/// The call that `request` goes on with, and the raw answer to its question; none if it is a
/// request of its own.
///
/// # Errors
///
/// When its state is not one that was given to this client for this request, or too old.
pub(super) fn take(
    door: &Door,
    request: &Request,
) -> Result<Option<(Waiting, Option<String>)>, Refusal> {
    let Some(responses) = InputResponses::read(&request.body) else {
        return Ok(None);
    };
    let expired = || {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            bartizan_protocol::error::INVALID_PARAMS,
            "requestState is unknown or too old: send the request again without it",
        )
    };
    let opened = door.shared.mcp().keys().open(
        Purpose::RequestState,
        door.caller.principal(),
        door.shared.unix_seconds(),
        responses.request_state().unwrap_or_default(),
    );
    let opened = opened.map_err(|_| expired())?;
    let handle = opened
        .payload()
        .first_chunk()
        .copied()
        .ok_or_else(expired)?;
    let handle = SessionId::from_bytes(handle);
    if opened.payload() != state(door, request, handle) {
        return Err(expired());
    }
    if handle == NOTHING_WAITS {
        return Ok(None);
    }
    let principal = door.caller.principal();
    let parked = door.shared.mcp().parked().remove(&handle, principal);
    let parked = parked.ok_or_else(expired)?;
    let waiting = parked.waiting.lock().take().ok_or_else(expired)?;
    let result = responses.result(KEY).map(str::to_owned);
    Ok(Some((waiting, result)))
}

/// What is sealed: which call, and what it was about, so that it cannot answer for another.
fn state(door: &Door, request: &Request, handle: SessionId) -> Vec<u8> {
    let subject = ["name", "uri"].map(|name| edit::get(&request.body, &["params", name]));
    let mut state = Vec::with_capacity(128);
    state.extend_from_slice(handle.as_bytes());
    state.extend_from_slice(&door.service.id().to_le_bytes());
    state.extend_from_slice(request.method.as_bytes());
    for subject in subject.into_iter().flatten() {
        state.push(0);
        state.extend_from_slice(subject.as_bytes());
    }
    state
}
