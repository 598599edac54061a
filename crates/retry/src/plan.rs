use std::time::Duration;

use bartizan_classify::RequestClass;
use bartizan_clock::Clock;
use tower_service::Service;

use crate::{GiveUp, Policy, RetryConfig, budget::Ticket, waiting::Withdrawal};

/// What may follow an attempt.
pub(crate) enum Plan<S, Req> {
    /// Retrying is switched off.
    Off,
    /// The request cannot be copied, so its first attempt is the only one.
    Once(RequestClass),
    /// Another attempt is possible.
    Again(Again<S, Req>),
}

impl<S, Req> Plan<S, Req> {
    /// The request's class, if the outcome is to be judged at all.
    #[inline]
    pub(crate) fn class(&self) -> Option<RequestClass> {
        match self {
            Self::Off => None,
            Self::Once(class) => Some(*class),
            Self::Again(again) => Some(again.class),
        }
    }

    /// Decides when to retry after so many attempts, and pays for it.
    ///
    /// What depends on the request alone is asked first and the budget last, so that a retry
    /// that could not be sent anyway takes nothing from those that could.
    #[cold]
    pub(crate) fn prepare<P, Res, E>(
        &mut self,
        policy: &P,
        attempts: u32,
        after: Option<Duration>,
    ) -> Result<(Clock, Duration, Withdrawal), GiveUp>
    where
        P: Policy<Req, Res, E>,
    {
        let Self::Again(again) = self else {
            return Err(GiveUp::NotReplayable);
        };
        if attempts >= again.config.max_attempts() {
            return Err(GiveUp::AttemptsExhausted);
        }
        let copy = again.copy.as_ref().ok_or(GiveUp::NotReplayable)?;
        if !policy.replayable(copy) {
            return Err(GiveUp::NotReplayable);
        }
        let delay = again.config.delay(attempts, again.previous, after)?;
        if let Some(deadline) = policy.deadline(copy)
            && again.clock.now() + delay >= deadline
        {
            return Err(GiveUp::DeadlineTooClose);
        }
        let budget = again.budget.and_then(Ticket::budget);
        let withdrawal = Withdrawal::new(budget).ok_or(GiveUp::BudgetExhausted)?;
        again.previous = delay;
        Ok((again.clock, delay, withdrawal))
    }
}

/// What another attempt takes.
pub(crate) struct Again<S, Req> {
    pub(crate) class: RequestClass,
    /// What to send next; `None` on the last attempt, or when the policy made no further copy.
    pub(crate) copy: Option<Req>,
    /// A clone of the inner service with a readiness of its own.
    pub(crate) service: S,
    pub(crate) config: RetryConfig,
    pub(crate) budget: Option<Ticket>,
    pub(crate) clock: Clock,
    /// The delay before the attempt in flight; the initial one before any.
    pub(crate) previous: Duration,
}

impl<S, Req> Again<S, Req>
where
    S: Service<Req>,
{
    /// The request of attempt number `attempt`, marked as such, unless its time is over or it
    /// can no longer be sent.
    pub(crate) fn request<P>(&mut self, policy: &P, attempt: u32) -> Result<Req, GiveUp>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        let mut request = self.copy.take().ok_or(GiveUp::NotReplayable)?;
        // A timer fires late, never early, and the service may have taken its time as well.
        if let Some(deadline) = policy.deadline(&request)
            && self.clock.now() >= deadline
        {
            return Err(GiveUp::DeadlineTooClose);
        }
        if attempt < self.config.max_attempts() {
            self.copy = policy.replay(&request);
        }
        policy.attempt(&mut request, attempt);
        Ok(request)
    }
}
