use std::time::Duration;

use bartizan_protocol::method::may_require_input;
use bartizan_transport::{bridge::Abilities, host::SELDOM_ASKS};
use http::{HeaderName, HeaderValue};
use tokio::sync::OwnedMutexGuard;

use super::{
    ModernClient, Request,
    habits::{Habits, Subject},
};
use crate::{
    mcp::{Door, Refusal, upstream::UpstreamSession},
    service::Upstream,
};

/// How long a call waits for its turn before it goes without.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whose a question of the upstream is, where several clients share a session and the upstream
/// does not say.
///
/// On the one stream of a process, or of HTTP+SSE, a question names no call. So those that may be
/// asked about take turns in their session, and the others say that they are quiet. Who waits for
/// its client's answer passes the turn on, and takes it again with the answer; nobody waits long,
/// for a call may be slow without a question.
///
/// The default is for calls that cannot be asked about, or whose session is their client's own.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// None where the upstream says whose its questions are, or the client cannot be asked.
    subject: Option<Subject>,
    is_quiet: bool,
    was_asked: bool,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    /// Waits for the turn of a call that is to be sent in `session`.
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
        let mut turn = Self::default();
        let may_be_asked =
            may_require_input(&request.method) && client.abilities != Abilities::default();
        if !may_be_asked || !session.live(door).await?.mixes_questions() {
            return Ok(turn);
        }
        let subject = Subject::of(request);
        turn.is_quiet = habits(door).is_some_and(|it| it.is_quiet(&subject));
        turn.subject = Some(subject);
        turn.resume(door, session).await;
        Ok(turn)
    }

    /// What tells the transport that others are asked about sooner.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let yes = HeaderValue::from_static("1");
        self.is_quiet.then_some((SELDOM_ASKS, yes))
    }

    /// There is a question: the next may have the turn until it is answered.
    pub(super) fn pause(&mut self, door: &Door) {
        self.was_asked = true;
        self.guard = None;
        if let (Some(habits), Some(subject)) = (habits(door), &self.subject) {
            habits.asked(subject);
        }
    }

    /// Waits for the turn to go on.
    pub(super) async fn resume(&mut self, door: &Door, session: &UpstreamSession) {
        if self.subject.is_none() || self.is_quiet {
            return;
        }
        self.guard = tokio::select! {
            biased;
            guard = session.turn() => Some(guard),
            () = door.shared.clock().sleep(PATIENCE) => None,
        };
    }

    /// The call has ended with this response.
    pub(super) fn end(&mut self, door: &Door, response: &[u8]) {
        self.guard = None;
        if !self.was_asked
            && let (Some(habits), Some(subject)) = (habits(door), &self.subject)
        {
            habits.ended(subject, response);
        }
    }
}

fn habits(door: &Door) -> Option<&Habits> {
    door.service.mcp().map(Upstream::habits)
}
