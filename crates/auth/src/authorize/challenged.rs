use std::sync::Arc;

use super::{AuthorizeError, Challenge, Flow};
use crate::{Token, TokenCache, TokenClient, TokenError, TokenErrorKind, oauth2::Shared};

impl From<AuthorizeError> for TokenErrorKind {
    fn from(error: AuthorizeError) -> Self {
        Self::Authorize(error)
    }
}

impl TokenErrorKind {
    /// Whether a request without a token is what can help: its refusal begins anew.
    pub(crate) fn is_unchallenged(&self) -> bool {
        matches!(self, Self::Authorize(AuthorizeError::Unchallenged))
    }

    /// Whether a user has been asked, and may still answer.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self, Self::Authorize(AuthorizeError::Awaiting))
    }

    /// Whether asking a user again soon would only bother.
    pub(crate) fn is_tiresome(&self) -> bool {
        matches!(self, Self::Authorize(error) if error.is_tiresome())
    }
}

impl<S: TokenClient> Shared<S> {
    /// Takes notice that a service refused a token, or a request without one, and of what it
    /// said; whether another token is there or on its way.
    pub(crate) fn challenged(
        self: &Arc<Self>,
        flow: &Flow,
        generation: u64,
        challenge: Challenge,
    ) -> bool {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let current = self.current.load_full();
        let is_newer = |token: &Arc<Token>| token.generation() != generation && token.is_valid(now);
        if current.as_ref().is_some_and(is_newer) || state.flight().is_some() {
            return true;
        }
        let wider = challenge.insufficient_scope;
        let steps_up = state.step_up().is_some();
        if steps_up && (wider || !flow.can_grant()) {
            return true;
        }
        let blocked = if wider {
            state.blocked(now)
        } else {
            self.blocked(&state, now)
        };
        if blocked.is_some_and(|error| !error.kind().is_unchallenged())
            || !flow.admits(&challenge)
            || !state.admit_refusal(now, &self.config.failure_pause)
        {
            return false;
        }
        let service = self.service();
        tracing::info!(
            service,
            generation,
            wider,
            "the service asks for authorization"
        );
        if !wider {
            state.refused = self.current.swap(None);
        }
        // Where a user is asked already, only what needs none.
        self.flight(&mut state, Some(challenge).filter(|_| !steps_up));
        true
    }
}

impl<S: TokenClient> TokenCache<S> {
    /// The token that takes the place of the refused one of this generation: that which comes of the
    /// flight under way, if one is. Another one that is there is of no use to who needs a wider one.
    pub(crate) async fn replacement(
        &self,
        generation: u64,
        wider: bool,
    ) -> Result<Arc<Token>, TokenError> {
        let shared = self.shared();
        let flight = shared.flow.as_ref().and_then(|_| {
            let state = shared.state.lock();
            let (flight, step_up) = (state.flight(), state.step_up());
            let is_there = || {
                self.current()
                    .is_some_and(|it| it.generation() != generation)
            };
            let wanted = if wider {
                step_up.or(flight)
            } else {
                flight.or(step_up).filter(|_| !is_there())
            };
            wanted.cloned()
        });
        match flight {
            Some(flight) => shared.landed(flight).await,
            None => self.token().await,
        }
    }
}
