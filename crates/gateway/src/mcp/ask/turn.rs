use std::sync::Arc;

use bartizan_protocol::method::may_require_input;
use bartizan_transport::{bridge::Abilities, host::QUIET};
use http::{HeaderName, HeaderValue};

use super::{
    ModernClient, Request,
    habits::{Habits, Subject},
    turns::{Held, TURN, Turns},
};
use crate::{
    mcp::{Door, Refusal, upstream::UpstreamSession},
    service::Upstream,
};

/// Whose a question of the upstream is, where several clients share a session and the upstream
/// does not say.
///
/// On the one stream of a process, or of HTTP+SSE, a question names no call. So those that may be
/// asked about take turns in their session, and the others say that they are quiet. Who waits for
/// its client's answer passes the turn on, and takes another with the answer.
///
/// The default is for calls that cannot be asked about, or whose session is their client's own.
#[derive(Debug, Default)]
pub(super) struct Turn(Option<Part>);

/// What a call has to do with others.
#[derive(Debug)]
struct Part {
    turns: Arc<Turns>,
    subject: Subject,
    is_quiet: bool,
    /// How many questions there had been in the session when the call began.
    questions: u64,
    held: Option<Held>,
}

impl Turn {
    /// Waits for the turn of a call that is to be sent in `session`; not longer than the call
    /// itself may take.
    ///
    /// # Errors
    ///
    /// When the session does not begin.
    pub(super) async fn take(
        door: &Door,
        client: &ModernClient,
        request: &Request,
        session: &UpstreamSession,
    ) -> Result<Self, Refusal> {
        let may_be_asked =
            may_require_input(&request.method) && client.abilities != Abilities::default();
        if !may_be_asked || !session.live(door).await?.mixes_questions() {
            return Ok(Self::default());
        }
        let turns = session.turns();
        let subject = Subject::of(request, client.abilities);
        let is_quiet = || habits(door).is_some_and(|it| it.is_quiet(&subject));
        let mut held = None;
        if !is_quiet() {
            let (clock, patience) = (door.shared.clock(), door.service.timeout());
            held = turns.take(clock, patience).await;
        }
        // It may have been found out meanwhile.
        let is_quiet = is_quiet();
        Ok(Self(Some(Part {
            questions: turns.questions(),
            turns: Arc::clone(turns),
            subject,
            is_quiet,
            held: held.filter(|_| !is_quiet),
        })))
    }

    /// What tells the transport that others are asked about sooner.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let is_quiet = self.0.as_ref().is_some_and(|part| part.is_quiet);
        is_quiet.then_some((QUIET, HeaderValue::from_static("1")))
    }

    /// The upstream has a question.
    pub(super) fn asked(&self, door: &Door) {
        if let (Some(part), Some(habits)) = (&self.0, habits(door)) {
            part.asked(habits);
        }
    }

    /// The next may have the turn, until there is an answer.
    pub(super) fn pause(&mut self) {
        if let Some(part) = &mut self.0 {
            part.held = None;
        }
    }

    /// Waits for a turn to go on, not long: somebody has given an answer.
    pub(super) async fn resume(&mut self, door: &Door) {
        if let Some(part) = &mut self.0
            && !part.is_quiet
        {
            part.held = part.turns.take(door.shared.clock(), TURN).await;
        }
    }

    /// The call has ended with this response.
    pub(super) fn end(&mut self, door: &Door, response: &[u8]) {
        if let (Some(part), Some(habits)) = (self.0.take(), habits(door)) {
            part.ended(habits, response);
        }
    }
}

impl Part {
    fn asked(&self, habits: &Habits) {
        self.turns.question();
        habits.asked(&self.subject);
    }

    fn ended(self, habits: &Habits, response: &[u8]) {
        // Somebody else's question may have been its own.
        if self.turns.questions() == self.questions {
            habits.ended(&self.subject, response);
        }
    }
}

fn habits(door: &Door) -> Option<&Habits> {
    door.service.mcp().map(Upstream::habits)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const RESULT: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

    fn part(turns: &Arc<Turns>, tool: &str) -> Part {
        let body = format!(r#"{{"params":{{"name":"{tool}"}}}}"#);
        let request = Request::new(Bytes::from(body), "1", "tools/call");
        Part {
            questions: turns.questions(),
            turns: Arc::clone(turns),
            subject: Subject::of(&request, Abilities::default()),
            is_quiet: false,
            held: None,
        }
    }

    #[test]
    fn a_call_teaches_nothing_if_another_was_asked_about_meanwhile() {
        let (habits, turns) = (Habits::default(), Arc::default());
        let subject = part(&turns, "a").subject;
        let (meanwhile, other) = (part(&turns, "a"), part(&turns, "b"));
        other.asked(&habits);
        other.ended(&habits, RESULT);
        meanwhile.ended(&habits, RESULT);
        assert!(!habits.is_quiet(&subject));
        let afterwards = part(&turns, "a");
        afterwards.ended(&habits, RESULT);
        assert!(habits.is_quiet(&subject));
    }
}
