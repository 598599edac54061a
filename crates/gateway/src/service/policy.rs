use std::sync::Arc;

use bartizan_balance::Balancer;
use bartizan_classify::{Fault, FaultKind, RequestClass};
use bartizan_clock::Instant;
use bartizan_retry::{GiveUp, Policy, Reason, Verdict, http_verdict};
use bartizan_telemetry::ServiceMetrics;
use http::{Response, StatusCode};

use super::{Failure, Outbound, Payload, endpoint::Endpoint};

/// What is repeated: the table of [`http_verdict`] over the class that the front door found, and
/// a 500 that an instance among several answered to what may be repeated.
///
/// The one that a service has would meet the same fault again; another need not have it.
#[derive(Clone, Debug)]
pub(crate) struct CallPolicy {
    clock: bartizan_clock::Clock,
    metrics: Arc<ServiceMetrics>,
    balancer: Balancer<Endpoint>,
}

impl CallPolicy {
    pub(crate) fn new(
        clock: bartizan_clock::Clock,
        metrics: Arc<ServiceMetrics>,
        balancer: Balancer<Endpoint>,
    ) -> Self {
        Self {
            clock,
            metrics,
            balancer,
        }
    }
}

impl Policy<Outbound, Response<Payload>, Failure> for CallPolicy {
    fn class(&self, request: &Outbound) -> RequestClass {
        request.parts().class
    }

    fn replay(&self, request: &Outbound) -> Option<Outbound> {
        // Listeners come again by themselves.
        (!request.parts().listens()).then(|| request.clone())
    }

    fn verdict(
        &self,
        class: RequestClass,
        result: Result<&Response<Payload>, &Failure>,
    ) -> Verdict {
        if let Ok(response) = result
            && response.status() == StatusCode::INTERNAL_SERVER_ERROR
            && class.may_repeat()
            && self.balancer.len() > 1
        {
            return Verdict::Retry {
                after: None,
                reason: Reason::InternalError,
            };
        }
        http_verdict(class, result, || self.clock.wall())
    }

    fn deadline(&self, request: &Outbound) -> Option<Instant> {
        Some(request.deadline())
    }

    fn attempt(&self, request: &mut Outbound, attempt: u32) {
        request.set_attempt(attempt);
        let parts = request.parts();
        tracing::debug!(
            service = self.balancer.name(),
            attempt,
            request_id = parts.request_id.to_str().ok(),
            correlation_id = parts.correlation_id.to_str().ok(),
            path = parts.path.as_str(),
            "repeating a call"
        );
    }

    fn keep(
        &self,
        result: Result<Response<Payload>, Failure>,
    ) -> Option<Result<Response<Payload>, Failure>> {
        let holds_nothing = |response: &Response<Payload>| response.body().stream.is_none();
        result
            .as_ref()
            .map_or(true, holds_nothing)
            .then_some(result)
    }

    fn is_refusal(&self, result: Result<&Response<Payload>, &Failure>) -> bool {
        result.is_err_and(|failure| matches!(failure.fault(), FaultKind::Rejected { .. }))
    }

    fn on_give_up(&self, reason: GiveUp) {
        if reason == GiveUp::BudgetExhausted {
            self.metrics.retry_budget_exhausted.increment(1);
        }
        tracing::debug!(
            service = self.balancer.name(),
            reason = reason.as_str(),
            "not retrying"
        );
    }

    fn finish(&self, result: &mut Result<Response<Payload>, Failure>, attempts: u32) {
        // Not when they begin: the service's limit or breaker may still refuse them.
        if attempts > 1 {
            self.metrics.retries.increment(u64::from(attempts - 1));
        }
        match result {
            Ok(response) => response.body_mut().attempts = attempts,
            Err(failure) => failure.attempts = attempts,
        }
    }
}
