use std::time::Duration;

use pin_project::pin_project;
use tokio::time::Sleep;

use crate::{Reason, RetryBudget};

/// A retry that has been decided on and is not sent yet.
#[pin_project(project = WaitingProjection)]
pub(crate) struct Waiting<Res, E> {
    #[pin]
    pub(crate) sleep: Sleep,
    /// The outcome that called for the retry; the caller gets it if there will be none.
    pub(crate) result: Option<Result<Res, E>>,
    pub(crate) withdrawal: Withdrawal,
    pub(crate) delay: Duration,
    pub(crate) reason: Reason,
    /// Whether the service was found unready once already.
    pub(crate) unready: bool,
}

/// One retry taken from a budget, given back when it is dropped unspent.
pub(crate) struct Withdrawal(Option<RetryBudget>);

impl Withdrawal {
    /// Takes one retry from the budget; `None` if that is exhausted. Without a budget a
    /// withdrawal costs nothing.
    pub(crate) fn new(budget: Option<RetryBudget>) -> Option<Self> {
        match budget {
            Some(budget) if !budget.withdraw() => None,
            budget => Some(Self(budget)),
        }
    }

    /// The retry is being sent.
    pub(crate) fn spend(&mut self) {
        self.0 = None;
    }

    /// The retry will not be sent. The same happens when this is dropped.
    pub(crate) fn refund(&mut self) {
        if let Some(budget) = self.0.take() {
            budget.refund();
        }
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        self.refund();
    }
}
