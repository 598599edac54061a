use std::task::{Context, Poll};

use bartizan_classify::RequestClass;
use bartizan_clock::Clock;
use tower_service::Service;

use crate::{
    Policy, ResponseFuture, RetryBudget, RetryConfig,
    plan::Plan,
    spare::{Prototype, Spare},
};

/// Sends a request again when the policy says so. Made by [`RetryLayer`](crate::RetryLayer).
///
/// Readiness is that of the inner service, for the first attempt. For a later attempt the future
/// drives a clone of the inner service to readiness; see [`ResponseFuture`].
#[derive(Clone, Debug)]
pub struct Retry<P, S> {
    pub(crate) inner: S,
    /// What later attempts are cloned from.
    pub(crate) prototype: Prototype<S>,
    pub(crate) policy: P,
    pub(crate) config: RetryConfig,
    pub(crate) budget: Option<RetryBudget>,
    pub(crate) clock: Clock,
}

impl<P, S> Retry<P, S> {
    /// The inner service.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// What limits the share of retries, if anything does.
    pub fn budget(&self) -> Option<&RetryBudget> {
        self.budget.as_ref()
    }
}

impl<P: Clone, S> Retry<P, S> {
    #[inline(always)]
    fn plan(&self, class: Option<RequestClass>) -> Plan {
        Plan {
            class,
            config: self.config,
            budget: self.budget.as_ref().map(RetryBudget::ticket),
            clock: self.clock,
            previous: None,
        }
    }
}

impl<P, S, Req> Service<Req> for Retry<P, S>
where
    P: Policy<Req, S::Response, S::Error> + Clone,
    S: Service<Req> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<P, S, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        // Of a call that is never repeated nothing is kept for that.
        let repeats = self.config.max_attempts() > 1;
        ResponseFuture {
            copy: match repeats {
                true => self.policy.replay(&request),
                false => None,
            },
            plan: self.plan(repeats.then(|| self.policy.class(&request))),
            spare: match repeats {
                true => self.prototype.spare(&self.inner),
                false => Spare::None,
            },
            policy: self.policy.clone(),
            attempts: 1,
            waiting: None,
            // By the instance that was made ready; a later attempt's has a readiness of its own.
            attempt: Some(self.inner.call(request)),
        }
    }
}
