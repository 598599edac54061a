use std::time::Duration;

use bartizan_classify::RequestClass;
use bartizan_clock::Clock;
use tower_service::Service;

use crate::{GiveUp, Policy, RetryConfig, budget::Ticket, spare::Spare, waiting::Withdrawal};

/// What may follow an attempt.
///
/// All fields of one struct and no variants, although most are of no use without some others:
/// the copy then is written where it stays. Moving a request that was just written costs more
/// than deciding what to do with it.
pub(crate) struct Plan<S, Req> {
    /// Whose outcome is judged; `None` if retrying is switched off or has been given up.
    pub(crate) class: Option<RequestClass>,
    /// What to send next; `None` on the last attempt, or when the policy made no further copy.
    pub(crate) copy: Option<Req>,
    pub(crate) spare: Spare<S>,
    pub(crate) config: RetryConfig,
    pub(crate) budget: Option<Ticket>,
    pub(crate) clock: Clock,
    /// The delay before the attempt in flight, once there has been one.
    pub(crate) previous: Option<Duration>,
}

impl<S, Req> Plan<S, Req> {
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
        if self.copy.is_none() && attempts == 1 {
            return Err(GiveUp::NotReplayable);
        }
        if attempts >= self.config.max_attempts() {
            return Err(GiveUp::AttemptsExhausted);
        }
        let copy = self.copy.as_ref().ok_or(GiveUp::NotReplayable)?;
        if !policy.replayable(copy) {
            return Err(GiveUp::NotReplayable);
        }
        let previous = self.previous.unwrap_or(self.config.backoff().initial());
        let delay = self.config.delay(attempts, previous, after)?;
        if let Some(deadline) = policy.deadline(copy)
            && self.clock.now() + delay >= deadline
        {
            return Err(GiveUp::DeadlineTooClose);
        }
        let budget = self.budget.and_then(Ticket::budget);
        let withdrawal = Withdrawal::new(budget).ok_or(GiveUp::BudgetExhausted)?;
        self.previous = Some(delay);
        Ok((self.clock, delay, withdrawal))
    }

    /// Lets go of everything that another attempt would need.
    pub(crate) fn abandon(&mut self) {
        self.class = None;
        self.copy = None;
        self.spare = Spare::None;
    }

    /// The request of attempt number `attempt`, marked as such, unless its time is over or it
    /// can no longer be sent.
    pub(crate) fn request<P>(&mut self, policy: &P, attempt: u32) -> Result<Req, GiveUp>
    where
        P: Policy<Req, S::Response, S::Error>,
        S: Service<Req>,
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
