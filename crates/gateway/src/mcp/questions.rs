//! The questions that are open with one client.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bartizan_protocol::{Id, edit, error};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Door, Refusal, ask::progress_token, client::ClientSession};

/// The most questions of calls that may be open with one client, and the most outside of calls.
const MAX_OPEN: usize = 64;
/// How many of those outside of calls may be one service's, so that no service takes the places of
/// all.
const MAX_OUTSIDE: usize = 8;

/// Questions by the ids that the client knows.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: AtomicU64,
    open: Mutex<HashMap<String, Question>>,
}

#[derive(Debug)]
struct Question {
    number: u64,
    origin: Option<Origin>,
    /// What the client is asked, if it is outside of calls: then it is asked again on the next of
    /// its streams.
    outside: Option<Bytes>,
    answer: oneshot::Sender<Bytes>,
}

impl Question {
    fn is_outside_of(&self, service: u64) -> bool {
        let origin = self.origin.as_ref();
        self.outside.is_some() && origin.is_some_and(|it| it.service == service)
    }
}

impl Questions {
    /// Opens one that belongs to a call of `client`'s.
    pub(super) fn open(&self, client: &Arc<ClientSession>, origin: Option<Origin>) -> Asked {
        let (number, id) = self.next();
        let mut open = self.open.lock();
        let of_calls = open.values().filter(|it| it.outside.is_none());
        let answer = (of_calls.count() < MAX_OPEN).then(|| {
            let (answer, answered) = oneshot::channel();
            let question = Question {
                number,
                origin,
                outside: None,
                answer,
            };
            open.insert(id.clone(), question);
            answered
        });
        drop(open);
        Asked {
            session: Arc::clone(client),
            id,
            answer,
        }
    }

    /// Opens one that belongs to no call, if its service may ask one more, and gives its text.
    pub(super) fn open_outside(
        &self,
        client: &Arc<ClientSession>,
        origin: Origin,
        question: impl FnOnce(&str) -> Bytes,
    ) -> Option<(Asked, Bytes)> {
        let (number, id) = self.next();
        let mut open = self.open.lock();
        let outside = open.values().filter(|it| it.outside.is_some());
        let of_service = open.values().filter(|it| it.is_outside_of(origin.service));
        if of_service.count() >= MAX_OUTSIDE || outside.count() >= MAX_OPEN {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let text = question(&id);
        let question = Question {
            number,
            origin: Some(origin),
            outside: Some(text.clone()),
            answer,
        };
        open.insert(id.clone(), question);
        drop(open);
        let asked = Asked {
            session: Arc::clone(client),
            id,
            answer: Some(answered),
        };
        Some((asked, text))
    }

    fn next(&self) -> (u64, String) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        (number, format!("\"bartizan-{number}\""))
    }

    /// The texts of those that belong to no call, the oldest first.
    pub(super) fn outside(&self) -> Vec<Bytes> {
        let open = self.open.lock();
        let mut outside: Vec<_> = open
            .values()
            .filter_map(|it| Some((it.number, it.outside.clone()?)))
            .collect();
        drop(open);
        outside.sort_unstable_by_key(|(number, _)| *number);
        outside.into_iter().map(|(_, text)| text).collect()
    }

    /// Hands an answer to whoever asked; whether somebody did.
    pub(super) fn answered(&self, id: &str, answer: Bytes) -> bool {
        let asked = self.open.lock().remove(id);
        asked.is_some_and(|asked| asked.answer.send(answer).is_ok())
    }

    /// Where the question comes from that has this id, if it is open and a service's.
    pub(super) fn origin(&self, id: &str) -> Option<Origin> {
        self.open.lock().get(id)?.origin.clone()
    }

    /// Forgets the question that a service takes back, which calls it `theirs`; its id.
    pub(super) fn withdraw(&self, service: u64, theirs: Id<'_>) -> Option<String> {
        let mut open = self.open.lock();
        let is_it = |question: &Question| {
            let origin = question.origin.as_ref();
            origin.is_some_and(|it| it.service == service && Id::new(&it.id) == Some(theirs))
        };
        let (id, _) = open.iter().find(|(_, question)| is_it(question))?;
        let id = id.clone();
        open.remove(&id);
        Some(id)
    }

    /// Forgets all of them: nobody will answer.
    pub(super) fn clear(&self) {
        self.open.lock().clear();
    }
}

/// Whose question it is, in the words of an older service.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) service: u64,
    /// Raw JSON.
    pub(super) id: Box<str>,
    /// Raw JSON: what it wants progress to be told under, if it wants that.
    pub(crate) token: Option<Box<str>>,
}

impl Origin {
    /// Where `question` comes from, a request of the door's service.
    pub(crate) fn of(door: &Door, question: &[u8]) -> Self {
        Self {
            service: door.service.id(),
            id: edit::get(question, &["id"]).unwrap_or("null").into(),
            token: progress_token(question).map(Into::into),
        }
    }
}

/// A question that was put to a client, until this is dropped.
pub(crate) struct Asked {
    session: Arc<ClientSession>,
    id: String,
    /// None if it was not put, as too many are open.
    answer: Option<oneshot::Receiver<Bytes>>,
}

impl Asked {
    /// The question's id, if it is open.
    pub(super) fn id(&self) -> Option<&str> {
        self.answer.is_some().then_some(&*self.id)
    }

    /// Who was asked.
    pub(crate) fn client(&self) -> Arc<ClientSession> {
        Arc::clone(&self.session)
    }

    /// Waits for the answer: the client's, or an error. There is none to a question that was
    /// taken back.
    pub(crate) async fn answer(mut self) -> Option<Bytes> {
        match &mut self.answer {
            Some(answer) => answer.await.ok(),
            None => {
                let text = "too many questions are open with this client";
                let refusal = Refusal::answer(error::INTERNAL, text);
                Some(refusal.to_bytes(Some(&self.id)))
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.session.questions().open.lock().remove(&self.id);
    }
}
