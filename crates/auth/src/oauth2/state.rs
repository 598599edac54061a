use std::{sync::Arc, time::Duration};

use bartizan_backoff::Backoff;
use bartizan_clock::Instant;
use fastrand::Rng;
use tokio::sync::watch;

use super::{Token, TokenError, TokenErrorKind, exchange::Refusal};

/// What a flight brought home; nothing while it is under way.
pub(crate) type Landing = Option<Result<Arc<Token>, TokenError>>;

/// What a cache knows beside the current token. Read and written around flights only.
pub(crate) struct State {
    /// The last request for a token that has not landed.
    flight: Option<watch::Receiver<Landing>>,
    /// The last one for a wider token than there is, which may take as long as a user does: what
    /// there is goes on beside.
    step_up: Option<watch::Receiver<Landing>>,
    /// The token that a service refused and a flight is to replace. It comes back if the flight
    /// fails: the refusal may have been about one request, and the token good for all others.
    pub(crate) refused: Option<Arc<Token>>,
    pub(crate) generation: u64,
    pub(crate) refreshes: u64,
    pub(crate) failures: u64,
    pub(crate) random: Rng,
    failure: Option<Failure>,
    failures_in_a_row: u32,
    refusals: Refusals,
}

struct Failure {
    kind: TokenErrorKind,
    /// When the issuer may be asked again; never, if there is no such time.
    until: Option<Instant>,
}

/// What an issuer's `Retry-After` can ask for at most.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

impl State {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            flight: None,
            step_up: None,
            refused: None,
            generation,
            refreshes: 0,
            failures: 0,
            random: Rng::new(),
            failure: None,
            failures_in_a_row: 0,
            refusals: Refusals::default(),
        }
    }

    /// The request for a token that is under way, unless its task was dropped before it began, as
    /// one is that is spawned at the end of a runtime: nobody has let go of that.
    pub(crate) fn flight(&self) -> Option<&watch::Receiver<Landing>> {
        under_way(self.flight.as_ref())
    }

    /// The request for a wider token that is under way.
    pub(crate) fn step_up(&self) -> Option<&watch::Receiver<Landing>> {
        under_way(self.step_up.as_ref())
    }

    /// Where the one or the other stands.
    pub(crate) fn place(&mut self, wider: bool) -> &mut Option<watch::Receiver<Landing>> {
        if wider {
            &mut self.step_up
        } else {
            &mut self.flight
        }
    }

    /// Remembers the failure of an attempt, and for how long.
    pub(crate) fn fail(&mut self, refusal: &Refusal, now: Instant, pause: &Backoff) -> TokenError {
        let error = self.delay(refusal, now, pause);
        self.failures += 1;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        error
    }

    /// Remembers in the same way why nothing has come of an attempt that goes on.
    pub(crate) fn delay(&mut self, refusal: &Refusal, now: Instant, pause: &Backoff) -> TokenError {
        let failures = self.failures_in_a_row.saturating_add(1);
        let delay = pause.delay(failures, &mut self.random);
        let asked = refusal.retry_after.unwrap_or_default();
        let delay = delay.max(asked.min(MAX_RETRY_AFTER));
        let until = (!refusal.kind.is_terminal()).then(|| now + delay);
        self.failure = Some(Failure {
            kind: refusal.kind.clone(),
            until,
        });
        TokenError::new(refusal.kind.clone(), until.map(|until| until - now))
    }

    /// Forgets all failures; whether there was one.
    pub(crate) fn recover(&mut self) -> bool {
        self.refreshes += 1;
        self.failures_in_a_row = 0;
        self.failure.take().is_some()
    }

    /// The failure that keeps the issuer from being asked at `now`.
    pub(crate) fn blocked(&self, now: Instant) -> Option<TokenError> {
        let failure = self.failure.as_ref()?;
        let left = failure.until.map(|until| until - now);
        (left != Some(Duration::ZERO)).then(|| TokenError::new(failure.kind.clone(), left))
    }

    /// The last failure, if nothing has succeeded since.
    pub(crate) fn last_error(&self, now: Instant) -> Option<TokenError> {
        let failure = self.failure.as_ref()?;
        let left = failure.until.map(|until| until - now);
        Some(TokenError::new(failure.kind.clone(), left))
    }

    /// When a token that is still good may be renewed again, as [`Renewal`] counts it.
    ///
    /// [`Renewal`]: super::renewal::Renewal
    pub(crate) fn renew_at(&self) -> u64 {
        let until = self.failure.as_ref().and_then(|failure| failure.until);
        until.map_or(u64::MAX, Instant::as_nanos)
    }

    /// Whether a refused token may be replaced at `now`.
    pub(crate) fn admit_refusal(&mut self, now: Instant, pause: &Backoff) -> bool {
        self.refusals.admit(now, pause, &mut self.random)
    }
}

fn under_way(flight: Option<&watch::Receiver<Landing>>) -> Option<&watch::Receiver<Landing>> {
    flight.filter(|flight| flight.has_changed().is_ok())
}

/// Bounds how often refusals by a service lead to requests for tokens: a service that answers
/// every request with 401 must not turn its load over to the issuer.
#[derive(Default)]
struct Refusals {
    count: u32,
    /// Before this, none is followed up.
    until: Option<Instant>,
}

/// So many follow each other without a pause: keys rotate, and replicas learn of it in turn.
const FREE_REFUSALS: u32 = 3;

/// After so long without a refusal all is forgotten.
const CALM: Duration = Duration::from_secs(60);

impl Refusals {
    fn admit(&mut self, now: Instant, pause: &Backoff, random: &mut Rng) -> bool {
        if let Some(until) = self.until {
            if now < until {
                return false;
            }
            if now - until >= CALM {
                self.count = 0;
            }
        }
        self.count = self.count.saturating_add(1);
        let delay = match self.count.saturating_sub(FREE_REFUSALS - 1) {
            0 => Duration::ZERO,
            over => pause.delay(over, random),
        };
        self.until = Some(now + delay);
        true
    }
}

#[cfg(test)]
mod tests {
    use bartizan_backoff::Jitter;

    use super::*;

    fn pause() -> Backoff {
        Backoff::exponential(Duration::from_secs(1))
            .max(Duration::from_secs(4))
            .jitter(Jitter::None)
            .build()
            .unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(0) + Duration::from_secs(seconds)
    }

    #[test]
    fn failures_pause_longer_each_time_until_one_succeeds() {
        let mut state = State::new(0);
        let refusal = Refusal::from(TokenErrorKind::TimedOut);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let error = state.fail(&refusal, at(9), &pause());
            pauses.push(error.retry_after().unwrap().as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 4]);
        assert!(state.blocked(at(12)).is_some());
        assert!(state.blocked(at(13)).is_none());
        assert!(state.last_error(at(13)).is_some());
        assert!(state.recover());
        assert!(state.last_error(at(13)).is_none() && !state.recover());
        let error = state.fail(&refusal, at(20), &pause());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn the_issuer_can_ask_for_a_longer_pause_within_reason() {
        let mut state = State::new(0);
        let mut pause_of = |seconds| {
            let refusal = Refusal {
                kind: TokenErrorKind::TimedOut,
                retry_after: Some(Duration::from_secs(seconds)),
            };
            state.fail(&refusal, at(9), &pause()).retry_after().unwrap()
        };
        assert_eq!(pause_of(60), Duration::from_secs(60));
        assert_eq!(pause_of(86_400), MAX_RETRY_AFTER);
        assert_eq!(pause_of(0), Duration::from_secs(4));
    }

    #[test]
    fn a_spent_grant_is_never_tried_again() {
        let mut state = State::new(0);
        let refusal = Refusal::from(TokenErrorKind::Refused {
            status: http::StatusCode::BAD_REQUEST,
            code: Some("invalid_grant".into()),
        });
        assert_eq!(state.fail(&refusal, at(9), &pause()).retry_after(), None);
        assert!(state.blocked(at(u64::MAX)).is_some());
        assert_eq!(state.renew_at(), u64::MAX);
    }

    #[test]
    fn refusals_come_in_bursts_or_slowly() {
        let (mut refusals, mut random) = (Refusals::default(), Rng::with_seed(1));
        let mut admit = |second| refusals.admit(at(second), &pause(), &mut random);
        assert!(admit(10) && admit(10) && admit(10), "three are free");
        assert!(!admit(10));
        assert!(admit(11) && !admit(12) && admit(13) && !admit(16) && admit(17));
        assert!(admit(81), "a minute of calm after the pause of 4 s");
        assert!(admit(81) && admit(81) && !admit(81));
    }
}
