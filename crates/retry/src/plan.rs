use std::time::Duration;

use bartizan_classify::RequestClass;
use bartizan_clock::Clock;

use crate::{GiveUp, Policy, RetryConfig, budget::Ticket, waiting::Withdrawal};

/// What may follow an attempt, and when.
///
/// The request of the next attempt and where its service comes from are fields of the future
/// itself, where they are written once: moving what was just written stalls for about as long
/// as an atomic operation takes.
pub(crate) struct Plan {
    /// Whose outcome is judged; `None` if retrying is switched off.
    pub(crate) class: Option<RequestClass>,
    pub(crate) config: RetryConfig,
    pub(crate) budget: Option<Ticket>,
    pub(crate) clock: Clock,
    /// The delay before the attempt in flight, once there has been one.
    pub(crate) previous: Option<Duration>,
}

impl Plan {
    /// Decides when to send `copy` after so many attempts, and pays for it.
    ///
    /// What depends on the request alone is asked first and the budget last, so that a retry
    /// that could not be sent anyway takes nothing from those that could.
    #[cold]
    pub(crate) fn prepare<P, Req, Res, E>(
        &mut self,
        policy: &P,
        copy: Option<&Req>,
        attempts: u32,
        after: Option<Duration>,
    ) -> Result<(Clock, Duration, Withdrawal), GiveUp>
    where
        P: Policy<Req, Res, E>,
    {
        if attempts > 1 && attempts >= self.config.max_attempts() {
            return Err(GiveUp::AttemptsExhausted);
        }
        let copy = copy.ok_or(GiveUp::NotReplayable)?;
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

    /// Gives back what a retry cost that a layer inside refused.
    #[cold]
    pub(crate) fn refund(&self) {
        if let Some(budget) = self.budget.and_then(Ticket::budget) {
            budget.refund();
        }
    }

    /// The request of attempt number `attempt`, taken from `copy` and marked as such, unless its
    /// time is over or it can no longer be sent.
    pub(crate) fn request<P, Req, Res, E>(
        &self,
        policy: &P,
        copy: &mut Option<Req>,
        attempt: u32,
    ) -> Result<Req, GiveUp>
    where
        P: Policy<Req, Res, E>,
    {
        let mut request = copy.take().ok_or(GiveUp::NotReplayable)?;
        if !policy.replayable(&request) {
            return Err(GiveUp::NotReplayable);
        }
        // A timer fires late, never early, and the service may have taken its time as well.
        if let Some(deadline) = policy.deadline(&request)
            && self.clock.now() >= deadline
        {
            return Err(GiveUp::DeadlineTooClose);
        }
        if attempt < self.config.max_attempts() {
            *copy = policy.replay(&request);
        }
        policy.attempt(&mut request, attempt);
        Ok(request)
    }
}
