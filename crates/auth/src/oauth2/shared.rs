use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bartizan_clock::{Clock, Instant};
use fastrand::Rng;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, time::timeout};

use crate::{
    AuthorizeError, Secret,
    authorize::{Challenge, Flow},
};

use super::{
    OAuth2Config, Token, TokenClient, TokenError, TokenErrorKind,
    chain::Chain,
    exchange::{Granted, Refusal},
    flight,
    state::{Landing, State},
};

/// What all clones of a cache share.
pub(crate) struct Shared<S> {
    pub(crate) config: OAuth2Config,
    pub(crate) clock: Clock,
    /// The token that is sent. Written under the lock of `state` only.
    pub(crate) current: ArcSwapOption<Token>,
    /// Taken around flights, by callers without a token, and for refusals: not while there is a
    /// token that nothing is wrong with.
    pub(crate) state: Mutex<State>,
    pub(crate) chain: Arc<Chain<Secret>>,
    /// The refresh token that our store would give to a restart, if that is known.
    pub(crate) saved: Mutex<Option<Secret>>,
    /// Whether that has to be another one.
    pub(crate) unsaved: AtomicBool,
    /// Only to be cloned, once a flight; clients need not be `Sync`.
    pub(crate) client: Mutex<S>,
    /// What finds out how to authorize, where that is not configured.
    pub(crate) flow: Option<Arc<Flow>>,
}

/// What a caller who wants a token gets.
pub(crate) enum Boarding {
    Token(Arc<Token>),
    Failed(TokenError),
    Wait(watch::Receiver<Landing>),
}

/// An issuer that says less is asked at most once a second, not once a request.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// How much longer callers wait than their flight takes at most. It tells them more when it sends
/// them away; but its runtime may be one that stands still, and then its timer does.
const GRACE: Duration = Duration::from_millis(100);

impl<S> Shared<S> {
    pub(crate) fn new(config: OAuth2Config, client: S, clock: Clock) -> Self {
        let first = config.access.clone().map(|(secret, header)| {
            let now = clock.now();
            let expires_at = now + config.default_lifetime;
            let renew_at = renew_at(&config, now, expires_at, &mut Rng::new());
            Arc::new(Token::new(secret, header, 1, renew_at, expires_at))
        });
        Self {
            clock,
            state: Mutex::new(State::new(u64::from(first.is_some()))),
            current: ArcSwapOption::new(first),
            chain: Arc::default(),
            saved: Mutex::default(),
            unsaved: AtomicBool::default(),
            client: Mutex::new(client),
            config,
            flow: None,
        }
    }

    /// Whether nothing can be done about a missing token before a service has asked for it.
    pub(crate) fn is_unchallenged(&self) -> bool {
        let flow = self.flow.as_ref();
        let is_idle = || {
            let state = self.state.lock();
            state.flight().is_none() && state.step_up().is_none()
        };
        flow.is_some_and(|flow| !flow.can_grant() && is_idle())
    }

    /// Whether a restart would not know what this cache does.
    pub(crate) fn is_unsaved(&self) -> bool {
        let flow = self.flow.as_ref();
        self.unsaved.load(Ordering::Relaxed) || flow.is_some_and(|flow| flow.is_unsaved())
    }

    /// The failure that keeps the issuer from being asked for such a token as there was. That a user
    /// gave no wider one, or not yet, is none, where this one is had without asking, and not otherwise.
    pub(crate) fn blocked(&self, state: &State, now: Instant) -> Option<TokenError> {
        let flow = self.flow.as_ref();
        let only_refreshes = || flow.is_some_and(|flow| flow.only_refreshes(now));
        let blocked = state.blocked(now);
        blocked.filter(|error| match error.kind() {
            kind if kind.is_awaited() => false,
            kind => !kind.is_tiresome() || !only_refreshes(),
        })
    }

    /// Makes the granted token the current one, which is `wider` than that before or not.
    pub(crate) fn succeed(&self, granted: Granted, wider: bool) -> Arc<Token> {
        let now = self.clock.now();
        let lifetime = granted.lifetime.unwrap_or(self.config.default_lifetime);
        let expires_at = (granted.sent + lifetime).max(now + MIN_LIFETIME);
        let mut state = self.state.lock();
        let renew_at = renew_at(&self.config, now, expires_at, &mut state.random);
        state.generation += 1;
        let token = Arc::new(Token::new(
            granted.secret,
            granted.header,
            state.generation,
            renew_at,
            expires_at,
        ));
        self.current.store(Some(Arc::clone(&token)));
        *state.place(wider) = None;
        state.refused = None;
        let recovered = state.recover();
        drop(state);
        drop(granted.turn);
        let lifetime_ms = u64::try_from((expires_at - now).as_millis()).unwrap_or(u64::MAX);
        let (service, issuer) = (self.service(), self.issuer());
        let generation = token.generation();
        if recovered {
            tracing::info!(
                service,
                issuer,
                generation,
                lifetime_ms,
                "token endpoint recovered"
            );
        } else {
            tracing::debug!(
                service,
                issuer,
                generation,
                lifetime_ms,
                "access token fetched"
            );
        }
        token
    }

    /// Remembers the failure and lets go of the flight.
    pub(crate) fn fail(&self, refusal: &Refusal, wider: bool) -> TokenError {
        let mut state = self.state.lock();
        *state.place(wider) = None;
        let error = state.fail(refusal, self.clock.now(), &self.config.failure_pause);
        self.failed(state, wider, error)
    }

    /// Remembers in the same way why nothing has come of a flight that goes on.
    pub(crate) fn delay(&self, refusal: &Refusal, wider: bool) -> TokenError {
        let mut state = self.state.lock();
        let error = state.delay(refusal, self.clock.now(), &self.config.failure_pause);
        self.failed(state, wider, error)
    }

    fn failed(
        &self,
        mut state: MutexGuard<'_, State>,
        wider: bool,
        error: TokenError,
    ) -> TokenError {
        // The token than which there is no wider one is as good as it was.
        if !wider {
            if let Some(refused) = state.refused.take() {
                self.current.store(Some(refused));
            }
            if let Some(token) = &*self.current.load() {
                token.renewal.rearm(state.renew_at());
            }
        }
        drop(state);
        let (service, issuer) = (self.service(), self.issuer());
        if error.kind().is_terminal() {
            tracing::error!(service, issuer, %error, "token endpoint wants another configuration");
        } else {
            tracing::warn!(service, issuer, %error, "no access token");
        }
        error
    }

    /// What comes of a flight, for a caller.
    pub(crate) async fn landed(
        &self,
        mut flight: watch::Receiver<Landing>,
    ) -> Result<Arc<Token>, TokenError> {
        let patience = self.config.load_timeout.saturating_add(GRACE);
        let kind = match timeout(patience, flight.wait_for(Option::is_some)).await {
            Ok(landing) => match landing.ok().and_then(|landing| landing.clone()) {
                Some(result) => return result,
                None => TokenErrorKind::Abandoned,
            },
            Err(_) => TokenErrorKind::TimedOut,
        };
        Err(TokenError::new(kind, Some(Duration::ZERO)))
    }

    /// Forgets the token of this generation for good, if it is the current one.
    pub(crate) fn invalidate(&self, generation: u64) -> bool {
        let mut state = self.state.lock();
        let is_it = |token: &Arc<Token>| token.generation() == generation;
        if state.refused.as_ref().is_some_and(is_it) {
            state.refused = None;
            return true;
        }
        let current = self.current.load().as_ref().is_some_and(is_it);
        if current {
            self.current.store(None);
        }
        current
    }

    /// What the tokens are for, for logs.
    pub(crate) fn service(&self) -> Option<&str> {
        self.config.name.as_deref()
    }

    /// Host and port of the token endpoint, for logs, unless it has to be found out.
    pub(crate) fn issuer(&self) -> Option<&str> {
        let authority = self.config.token_url.authority();
        let authority = authority.filter(|_| self.flow.is_none());
        authority.map(http::uri::Authority::as_str)
    }
}

impl<S: TokenClient> Shared<S> {
    /// The current token, or what to wait for.
    pub(crate) fn board(self: &Arc<Self>) -> Boarding {
        let now = self.clock.now();
        let mut state = self.state.lock();
        // The token may have come while this caller waited for the lock.
        if let Some(token) = self.current.load_full()
            && token.is_valid(now)
        {
            return Boarding::Token(token);
        }
        if let Some(flow) = &self.flow {
            let silent = flow.can_grant();
            // Who can bring none without a user has to wait for the one who is asked for more.
            let flight = state.flight();
            if let Some(flight) = flight.or(state.step_up().filter(|_| !silent)) {
                return Boarding::Wait(flight.clone());
            }
            if !silent {
                let unchallenged = AuthorizeError::Unchallenged.into();
                return Boarding::Failed(TokenError::new(unchallenged, Some(Duration::ZERO)));
            }
        }
        if let Some(error) = self.blocked(&state, now) {
            return Boarding::Failed(error);
        }
        Boarding::Wait(self.flight(&mut state, None))
    }

    /// Starts the renewal of a token that is due, once; whether it can be sent meanwhile.
    #[cold]
    pub(crate) fn renew(self: &Arc<Self>, token: &Arc<Token>, now: Instant) -> bool {
        if !token.is_valid(now) {
            return false;
        }
        if self.flow.as_ref().is_some_and(|flow| !flow.can_grant()) {
            // Nobody is asked before the service says so, when the token has expired.
            token.renewal.rearm(u64::MAX);
            return true;
        }
        if token.renewal.claim(now.as_nanos()) {
            let mut state = self.state.lock();
            let current = self.current.load();
            if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, token)) {
                if self.blocked(&state, now).is_some() {
                    token.renewal.rearm(state.renew_at());
                } else {
                    self.flight(&mut state, None);
                }
            }
        }
        true
    }

    /// Takes notice that a service refused a token; whether another is there or on its way.
    pub(crate) fn unauthorized(self: &Arc<Self>, generation: u64) -> bool {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let current = self.current.load();
        match &*current {
            Some(token) if token.generation() == generation => {
                if state.blocked(now).is_some()
                    || !state.admit_refusal(now, &self.config.failure_pause)
                {
                    return false;
                }
                state.refused = self.current.swap(None);
                self.flight(&mut state, None);
                let (service, issuer) = (self.service(), self.issuer());
                tracing::info!(service, issuer, generation, "access token refused");
                true
            }
            Some(_) => true,
            None => state.flight().is_some(),
        }
    }

    /// The flight under way, or a new one, which answers a challenge if there is one.
    pub(crate) fn flight(
        self: &Arc<Self>,
        state: &mut State,
        challenge: Option<Challenge>,
    ) -> watch::Receiver<Landing> {
        let wider = challenge.as_ref().is_some_and(|it| it.insufficient_scope);
        let under_way = if wider {
            state.step_up()
        } else {
            state.flight()
        };
        if let Some(flight) = under_way {
            return flight.clone();
        }
        let (landing, flight) = watch::channel(None);
        // A task of its own: whoever asked first may go away, and others wait for it.
        tokio::spawn(flight::fly(Arc::clone(self), challenge, landing));
        *state.place(wider) = Some(flight.clone());
        flight
    }
}

/// Each token draws its own time, so that processes that started together drift apart.
fn renew_at(config: &OAuth2Config, now: Instant, expires_at: Instant, random: &mut Rng) -> Instant {
    let buffer = config.expiry_buffer.mul_f64(1.0 - random.f64() / 2.0);
    expires_at - buffer.min((expires_at - now) / 2)
}
