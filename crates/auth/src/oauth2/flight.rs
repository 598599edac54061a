use std::{
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use super::{
    Grant, SavedRefreshToken, TokenClient, TokenErrorKind,
    exchange::{self, Granted, Refusal},
    shared::Shared,
    state::Landing,
};
use crate::{AuthorizeError, Secret, authorize::Challenge};

/// How long an answer is waited for beyond the time that callers wait, when a refresh token
/// was presented: the issuer may have replaced it, and whoever does not hear of it is left with
/// one whose use revokes the family.
const LATE: Duration = Duration::from_secs(30);

/// Fetches one token, in answer to a challenge if there was one, and lands whatever comes of it.
pub(crate) async fn fly<S: TokenClient>(
    shared: Arc<Shared<S>>,
    challenge: Option<Challenge>,
    landing: watch::Sender<Landing>,
) {
    let flight = Flight {
        shared: &shared,
        landing,
        wider: challenge.as_ref().is_some_and(|it| it.insufficient_scope),
        landed: false,
    };
    let patience = shared.config.load_timeout;
    let mut granted = pin!(obtain(&shared, challenge));
    let result = match timeout(patience, granted.as_mut()).await {
        Ok(result) => result,
        Err(_) if matches!(shared.config.grant, Grant::RefreshToken { .. }) => {
            flight.delay(TokenErrorKind::TimedOut);
            granted.await
        }
        Err(_) if let Some(flow) = &shared.flow => {
            flight.delay(AuthorizeError::Awaiting.into());
            let late = timeout(flow.longest(), granted).await;
            late.unwrap_or_else(|_| Err(TokenErrorKind::TimedOut.into()))
        }
        Err(_) => Err(TokenErrorKind::TimedOut.into()),
    };
    let is_granted = result.is_ok();
    flight.land(result);
    if let Some(flow) = shared.flow.as_ref().filter(|_| is_granted) {
        let mut state = shared.state.lock();
        // One that began meanwhile may ask a user itself.
        if state.flight().is_none()
            && let Some(challenge) = flow.wants_more()
        {
            shared.flight(&mut state, Some(challenge));
        }
    }
}

/// A flight under way. Dropped before it has landed, which takes a panic or the end of its
/// runtime, it fails.
struct Flight<'a, S> {
    shared: &'a Shared<S>,
    landing: watch::Sender<Landing>,
    /// Whether it is to bring more than there is.
    wider: bool,
    landed: bool,
}

impl<S> Flight<'_, S> {
    /// Sends the callers away, and stays up.
    fn delay(&self, reason: TokenErrorKind) {
        let error = self.shared.delay(&reason.into(), self.wider);
        self.landing.send_replace(Some(Err(error)));
    }

    fn land(mut self, result: Result<Granted, Refusal>) {
        self.landed = true;
        let result = match result {
            Ok(granted) => Ok(self.shared.succeed(granted, self.wider)),
            Err(refusal) => Err(self.shared.fail(&refusal, self.wider)),
        };
        self.landing.send_replace(Some(result));
    }
}

impl<S> Drop for Flight<'_, S> {
    fn drop(&mut self) {
        if !self.landed {
            let error = self
                .shared
                .fail(&TokenErrorKind::Abandoned.into(), self.wider);
            self.landing.send_replace(Some(Err(error)));
        }
    }
}

async fn obtain<S: TokenClient>(
    shared: &Shared<S>,
    challenge: Option<Challenge>,
) -> Result<Granted, Refusal> {
    if let Some(flow) = &shared.flow {
        return flow.obtain(&shared.client, shared.clock, challenge).await;
    }
    // Each step has its own: however long a turn was waited for, the answer is.
    let patience = shared.config.load_timeout.saturating_add(LATE);
    let late = |_| TokenErrorKind::TimedOut;
    let turn = timeout(patience, shared.chain.turn()).await;
    let _turn = turn.map_err(late)?;
    let refresh = timeout(patience, newest_refresh_token(shared)).await;
    let refresh = refresh.map_err(late)??;
    let request = exchange::request(&shared.config, refresh.as_ref());
    let client = shared.client.lock().clone();
    let sent = shared.clock.now();
    let response = timeout(patience, client.exchange(request)).await;
    let response = response.map_err(late)??;
    let granted = exchange::read(&response, sent, shared.clock.wall())?;
    if let Some(presented) = &refresh {
        let newest = granted.refresh.as_ref().unwrap_or(presented);
        // In memory first: it must not be lost if the store hangs and the flight with it.
        shared.chain.grow(newest.clone());
        // Also where it has stayed the same, and could not be saved or was another cache's.
        if shared.saved.lock().as_ref() != Some(newest) {
            save(shared, newest).await;
        }
    }
    Ok(granted)
}

/// The refresh token to present, if the grant is one.
async fn newest_refresh_token<S>(shared: &Shared<S>) -> Result<Option<Secret>, TokenErrorKind> {
    let Grant::RefreshToken { refresh, .. } = &shared.config.grant else {
        return Ok(None);
    };
    let known = shared.chain.newest();
    if known.is_some() {
        return Ok(known);
    }
    let saved = match &shared.config.store {
        Some(store) => store.load().await,
        None => Ok(None),
    };
    let saved = saved.map_err(|error| TokenErrorKind::Store(Arc::new(error)))?;
    let newest = saved
        .filter(|saved| saved.configured == *refresh)
        .map_or_else(|| refresh.clone(), |saved| saved.current);
    shared.chain.grow(newest.clone());
    *shared.saved.lock() = Some(newest.clone());
    Ok(Some(newest))
}

/// Callers are not released before the token is safe, or will not be: after a crash in between
/// nobody would know the token that the issuer expects next.
async fn save<S>(shared: &Shared<S>, next: &Secret) {
    let (Some(store), Grant::RefreshToken { refresh, .. }) =
        (&shared.config.store, &shared.config.grant)
    else {
        return;
    };
    let token = SavedRefreshToken {
        configured: refresh.clone(),
        current: next.clone(),
    };
    // Until it has been: this may be given up at any time.
    shared.unsaved.store(true, Ordering::Relaxed);
    let saved = timeout(shared.config.load_timeout, store.save(token)).await;
    let saved = saved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match saved {
        Ok(()) => {
            *shared.saved.lock() = Some(next.clone());
            shared.unsaved.store(false, Ordering::Relaxed);
        }
        Err(error) => {
            let (service, issuer) = (shared.service(), shared.issuer());
            tracing::error!(service, issuer, %error, "the new refresh token could not be saved");
        }
    }
}
