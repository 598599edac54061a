use std::task::{Context, Poll};

use bartizan_clock::Clock;
use tower_service::Service;

use crate::{
    Policy, ResponseFuture, RetryBudget, RetryConfig,
    future::State,
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
    /// A call that is not repeated, whatever becomes of it.
    #[cold]
    fn once<Req>(&mut self, request: Req) -> ResponseFuture<P, S, Req>
    where
        S: Service<Req>,
    {
        ResponseFuture {
            policy: self.policy.clone(),
            plan: Plan {
                class: None,
                copy: None,
                spare: Spare::None,
                config: self.config,
                budget: None,
                clock: self.clock,
                previous: None,
            },
            attempts: 1,
            state: State::Called(self.inner.call(request)),
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

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        if self.config.max_attempts() == 1 {
            return self.once(request);
        }
        let class = self.policy.class(&request);
        let copy = self.policy.replay(&request);
        // A later attempt's service has a readiness of its own; this is the instance that was
        // made ready.
        let first = self.inner.call(request);
        ResponseFuture {
            policy: self.policy.clone(),
            plan: Plan {
                class: Some(class),
                copy,
                spare: self.prototype.spare(&self.inner),
                config: self.config,
                budget: self.budget.as_ref().map(RetryBudget::ticket),
                clock: self.clock,
                previous: None,
            },
            attempts: 1,
            state: State::Called(first),
        }
    }
}
