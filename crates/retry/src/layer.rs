use bartizan_clock::Clock;
use tower_layer::Layer;

use crate::{Retry, RetryBudget, RetryConfig, spare::Prototype};

/// Makes services that repeat what their policy says may be repeated.
///
/// All services of a layer and of its clones draw on the one budget that was given here. Give
/// the same budget to several layers when they lead to the same service.
#[derive(Clone, Debug)]
pub struct RetryLayer<P> {
    policy: P,
    config: RetryConfig,
    budget: Option<RetryBudget>,
    clock: Clock,
}

impl<P> RetryLayer<P> {
    /// A layer that retries by this policy, as often and as soon as `config` says.
    ///
    /// Without a budget nothing but `config` limits the retries: when everything fails, the
    /// service gets [`max_attempts`](RetryConfig::max_attempts) times the load.
    ///
    /// # Panics
    ///
    /// A service of this layer panics on its first retry outside a tokio runtime with its timer
    /// enabled, as [`tokio::time::sleep`] does.
    #[must_use]
    pub fn new(policy: P, config: RetryConfig, budget: Option<RetryBudget>, clock: Clock) -> Self {
        Self {
            policy,
            config,
            budget,
            clock,
        }
    }
}

impl<P: Clone, S: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retry<P, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry {
            prototype: Prototype::new(&inner),
            inner,
            policy: self.policy.clone(),
            config: self.config,
            budget: self.budget.clone(),
            clock: self.clock,
        }
    }
}
