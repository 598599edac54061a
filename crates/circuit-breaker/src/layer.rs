use tower_layer::Layer;

use crate::{CircuitBreaker, CircuitBreakerService};

/// Puts a [`CircuitBreaker`] in front of a service.
///
/// The state lives in the breaker, which the caller makes and keeps a clone of: all services
/// that this layer and its clones produce share it.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<C> {
    breaker: CircuitBreaker,
    classifier: C,
}

impl<C> CircuitBreakerLayer<C> {
    /// A layer that admits calls by `breaker` and counts their results as `classifier` says.
    pub fn new(breaker: CircuitBreaker, classifier: C) -> Self {
        Self {
            breaker,
            classifier,
        }
    }

    /// The breaker, to watch or to force.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }
}

impl<S, C: Clone> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreakerService::new(inner, self.breaker.clone(), self.classifier.clone())
    }
}
