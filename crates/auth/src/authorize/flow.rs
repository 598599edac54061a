use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex;

use super::{
    Authorize, AuthorizeError, challenge::Challenge, config::Way, file::Saved, flight::Flight,
    server::Server,
};
use crate::{
    TokenClient, TokenErrorKind,
    oauth2::{Chain, Granted, Refusal},
};

/// Users are asked so often in a while, whatever the service says.
const MAX_CONSENTS: usize = 3;
const CONSENT_WINDOW: Duration = Duration::from_secs(10 * 60);

/// What is left for exchanges when the user has answered at the last moment.
const EXCHANGES: Duration = Duration::from_secs(2 * 60);

/// A pause after an answer, or none, that asking again would not change.
const TIRESOME: Duration = Duration::from_secs(5 * 60);

/// Becomes authorized for one resource. At most one request for a token is under way, and at most one
/// user is asked.
pub(crate) struct Flow {
    pub(super) config: Authorize,
    /// What is known of the issuer. Written by who has the turn only.
    pub(super) view: Mutex<View>,
    /// What came of it, for all who go on with that.
    pub(super) chain: Arc<Chain<Saved>>,
    /// When users were asked.
    pub(super) consents: Mutex<VecDeque<Instant>>,
    /// Why users are left alone, and until when.
    spared: Mutex<Option<(TokenErrorKind, Instant)>>,
    /// Whether what is known could not be saved.
    pub(super) unsaved: AtomicBool,
    /// Whether a user has been asked for all that the operator wants.
    widened: AtomicBool,
}

/// What a flight knows, and puts back where it was from.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) view: View,
    pub(super) saved: Saved,
}

#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The issuer's description, once it has been fetched in this process.
    pub(super) found: Option<Arc<Found>>,
    /// Whether that has brought no token the last time, and may no longer be so.
    pub(super) doubtful: bool,
    /// When the last refusal was answered with a refresh.
    pub(super) refreshed: Option<Instant>,
}

/// Who authorizes access, and under what name.
#[derive(Debug)]
pub(super) struct Found {
    /// Where the service said that it describes itself.
    pub(super) metadata: Option<String>,
    pub(super) resource: String,
    pub(super) server: Server,
}

impl Flow {
    pub(crate) fn new(config: Authorize) -> Self {
        Self {
            config,
            view: Mutex::default(),
            chain: Arc::default(),
            consents: Mutex::default(),
            spared: Mutex::default(),
            unsaved: AtomicBool::default(),
            widened: AtomicBool::default(),
        }
    }

    /// Goes on with what another has been granted, if that is of use here. What was not granted
    /// anything may yet find it in a store that the other did not have.
    pub(crate) fn join(&mut self, other: &Self) {
        let reads_more = self.config.file.is_some() && other.config.file.is_none();
        let has_any = || other.chain.is_some_and(|saved| saved.refresh.is_some());
        if self.config.continues(&other.config) && (!reads_more || has_any()) {
            self.chain = Arc::clone(&other.chain);
        }
    }

    pub(crate) fn is_unsaved(&self) -> bool {
        self.unsaved.load(Ordering::Relaxed)
    }

    /// Whether a token can be asked for without a refusal to begin with and without a user.
    pub(crate) fn can_grant(&self) -> bool {
        let user = matches!(self.config.way, Way::User { .. });
        let can_refresh = || self.chain.is_some_and(|saved| saved.refresh.is_some());
        self.view.lock().found.is_some() && (!user || can_refresh())
    }

    /// Whether a flight may bring a token, and cannot bother a user.
    pub(crate) fn only_refreshes(&self, now: Instant) -> bool {
        self.can_grant() && self.spared(now).is_some()
    }

    /// Whether it makes sense to ask for what a service wants: a wider scope only if it was not
    /// asked for before.
    pub(crate) fn admits(&self, challenge: &Challenge) -> bool {
        let asked = |scope| self.chain.is_some_and(|saved| saved.scopes.contains(scope));
        !challenge.insufficient_scope || challenge.scopes.iter().any(|it| !asked(it))
    }

    /// What is known, once a flight has found out what is saved.
    pub(super) fn memory(&self) -> Option<Memory> {
        let saved = self.chain.newest()?;
        let view = self.view.lock().clone();
        Some(Memory { view, saved })
    }

    /// What a service would have said, had it asked for the scopes that the operator has added since
    /// a user was asked; once.
    pub(crate) fn wants_more(&self) -> Option<Challenge> {
        let found = self.view.lock().found.clone()?;
        let scopes = &self.config.scopes;
        let was_asked = |saved: &Saved| scopes.iter().all(|it| saved.scopes.contains(it));
        if self.chain.is_some_and(was_asked) || self.widened.load(Ordering::Relaxed) {
            return None;
        }
        Some(Challenge {
            resource_metadata: found.metadata.clone(),
            scopes: Vec::new(),
            insufficient_scope: true,
        })
    }

    /// How long a flight may go on when all callers have been sent away.
    pub(crate) fn longest(&self) -> Duration {
        self.config.user_timeout.saturating_add(EXCHANGES)
    }

    /// Fetches a token, in answer to a challenge if there was one.
    pub(crate) async fn obtain<S: TokenClient>(
        &self,
        client: &Mutex<S>,
        clock: Clock,
        challenge: Option<Challenge>,
    ) -> Result<Granted, Refusal> {
        let mut flight = Flight {
            flow: self,
            config: &self.config,
            client,
            clock,
            turn: Some(self.chain.turn().await),
        };
        let granted = flight.run(challenge).await;
        let turn = flight.turn;
        granted
            .map(|granted| Granted { turn, ..granted })
            .map_err(|refusal| match refusal.kind {
                kind if kind.is_tiresome() => self.spare(kind, clock.now()),
                // Another authorization can help where another configuration could elsewhere.
                kind if kind.is_terminal() => AuthorizeError::Declined { code: kind.code() }.into(),
                kind => Refusal { kind, ..refusal },
            })
    }

    /// Has users left alone for a while, which does not begin anew before it has ended.
    fn spare(&self, kind: TokenErrorKind, now: Instant) -> Refusal {
        let mut spared = self.spared.lock();
        let (kind, until) = spared.get_or_insert((kind, now + TIRESOME)).clone();
        Refusal {
            kind,
            retry_after: Some(until - now),
        }
    }

    /// Why users are left alone now, whatever has been refreshed meanwhile.
    pub(super) fn spared(&self, now: Instant) -> Option<TokenErrorKind> {
        let mut spared = self.spared.lock();
        spared.take_if(|(_, until)| *until <= now);
        spared.as_ref().map(|(kind, _)| kind.clone())
    }

    /// Whether a user may be asked now.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        let mut consents = self.consents.lock();
        while consents
            .front()
            .is_some_and(|&at| now - at >= CONSENT_WINDOW)
        {
            consents.pop_front();
        }
        consents.len() < MAX_CONSENTS
    }

    /// Takes note that a user was asked.
    pub(super) fn asked(&self, now: Instant) {
        self.consents.lock().push_back(now);
        self.widened.store(true, Ordering::Relaxed);
    }
}

impl TokenErrorKind {
    /// The error code of a refusal.
    fn code(&self) -> Option<Arc<str>> {
        match self {
            Self::Refused { code, .. } => code.clone(),
            _ => None,
        }
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn a_user_is_asked_three_times_in_ten_minutes() {
        let authorize = Authorize::client_credentials("https://api.example/")
            .client_id("c")
            .client_secret(Secret::new("s"));
        let flow = Flow::new(authorize.build().unwrap());
        let minute = |n: u64| Instant::from_nanos(0) + Duration::from_secs(60 * n);
        let ask = |now| {
            let may = flow.may_ask(now);
            if may {
                flow.asked(now);
            }
            may
        };
        let admitted = [0, 1, 2, 3, 9, 10, 10, 11, 30].map(|n| ask(minute(n)));
        assert_eq!(
            admitted,
            [true, true, true, false, false, true, false, true, true]
        );
    }
}
