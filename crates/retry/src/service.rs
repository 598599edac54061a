use std::task::{Context, Poll};

use bartizan_clock::Clock;
use tower_service::Service;

use crate::{
    Policy, ResponseFuture, RetryBudget, RetryConfig,
    plan::{Again, Plan},
};

/// Sends a request again when the policy says so. Made by [`RetryLayer`](crate::RetryLayer).
///
/// Readiness is that of the inner service, for the first attempt. For a later attempt the future
/// drives a clone of the inner service to readiness; see [`ResponseFuture`].
#[derive(Clone, Debug)]
pub struct Retry<P, S> {
    pub(crate) inner: S,
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
        let plan = if self.config.max_attempts() == 1 {
            Plan::Off
        } else {
            let class = self.policy.class(&request);
            match self.policy.replay(&request) {
                None => Plan::Once(class),
                Some(copy) => Plan::Again(Again {
                    class,
                    copy: Some(copy),
                    service: self.inner.clone(),
                    config: self.config,
                    budget: self.budget.as_ref().map(RetryBudget::ticket),
                    clock: self.clock,
                    previous: self.config.backoff().initial(),
                }),
            }
        };
        // The clone above has its own readiness; this is the instance that was made ready.
        let first = self.inner.call(request);
        ResponseFuture::new(self.policy.clone(), plan, first)
    }
}
