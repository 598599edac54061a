use std::sync::{Arc, Weak, atomic::Ordering};

use bartizan_classify::Outcome;
use bartizan_clock::Instant;

use crate::{Busy, Endpoint, load::Lane, set::Entry};

/// One call in flight at an endpoint.
pub(crate) struct Claim<T> {
    /// Empty once it has become a [`Busy`], which is the end of this claim.
    lane: Option<Arc<Lane<T>>>,
    /// When the call began, if latencies are measured and none has been recorded yet.
    begun: Option<Instant>,
    /// The generation of the endpoint's streak, until an outcome is recorded.
    generation: Option<u32>,
}

// Always inlined: a pick that is handed over through memory stalls on loads that are wider than
// the stores before them, twice a call, for as long as an atomic operation each time.
impl<T> Claim<T> {
    #[inline(always)]
    pub(crate) fn new(entry: &Entry<T>, begun: Option<Instant>) -> Self {
        Self {
            lane: Some(entry.begin()),
            begun,
            generation: Some(entry.endpoint.streak.generation()),
        }
    }

    #[inline]
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.lane().endpoint
    }

    /// What reaches the endpoint.
    #[inline]
    pub(crate) fn service(&self) -> &T {
        &self.lane().service
    }

    #[inline]
    fn lane(&self) -> &Lane<T> {
        match &self.lane {
            Some(lane) => lane,
            None => unreachable!("a claim lives as long as its lane"),
        }
    }

    /// Records how the call went. Only the first outcome of a call counts.
    #[inline(always)]
    pub(crate) fn record(&mut self, outcome: Outcome) {
        let Some(generation) = self.generation.take() else {
            return;
        };
        let begun = self.begun.take();
        let endpoint = self.endpoint();
        match outcome {
            Outcome::Success => {
                endpoint.streak.success(generation);
                if let Some(begun) = begun {
                    let now = endpoint.clock.now();
                    endpoint.latency.observe(now - begun, now);
                }
                if !endpoint.score.is_perfect() {
                    endpoint.score.success(endpoint.clock.now());
                }
            }
            Outcome::Failure { .. } | Outcome::Limited { .. } => {
                endpoint.record_failure(outcome, generation, begun);
            }
            Outcome::Ignored => {}
        }
    }

    /// What keeps the endpoint busy from here on. The claim is of no use afterwards; it is not
    /// moved, because copying what has just been written costs as much as an atomic operation.
    #[inline(always)]
    pub(crate) fn take_busy(&mut self) -> Busy
    where
        T: Send + Sync + 'static,
    {
        self.observe();
        match self.lane.take() {
            Some(lane) => Busy::new(lane),
            None => unreachable!("a claim lives as long as its lane"),
        }
    }

    /// Takes note of a call that ends without an outcome.
    #[inline(always)]
    fn observe(&mut self) {
        if let Some(begun) = self.begun.take() {
            let endpoint = self.endpoint();
            let now = endpoint.clock.now();
            endpoint.latency.observe_at_least(now - begun, now);
        }
    }
}

impl<T> Drop for Claim<T> {
    #[inline]
    fn drop(&mut self) {
        if self.lane.is_some() {
            self.observe();
        }
    }
}

impl Endpoint {
    #[cold]
    fn record_failure(&self, outcome: Outcome, generation: u32, begun: Option<Instant>) {
        let now = self.clock.now();
        self.score.failure(now);
        if let Some(begun) = begun {
            let hint = outcome.retry_after();
            self.latency.penalise(now - begun, hint, now);
        }
        // An endpoint that asks for fewer calls lives: that is no step towards its ejection.
        if let Outcome::Failure { .. } = outcome {
            self.failures.fetch_add(1, Ordering::Relaxed);
            if let Some(failures) = self.streak.failure(generation)
                && let Some(fleet) = self.fleet.as_ref().and_then(Weak::upgrade)
            {
                fleet.consider_ejection(self, failures);
            }
        }
    }
}
