use std::{fmt, ops::Deref, sync::Arc};

use bartizan_classify::Outcome;
use bartizan_clock::Instant;

use crate::{Endpoint, endpoint::Slot};

/// The endpoint that a balancer chose for one call.
///
/// The endpoint counts the call as in flight until this value, or the [`Busy`] made of it, is
/// dropped. It stays usable when the endpoint leaves the set meanwhile: in-flight calls end in
/// peace.
///
/// Dropping it without a [`record`](Picked::record) means that the call was given up. That is
/// nobody's failure, but if latencies are measured it shows how long the endpoint took at least.
pub struct Picked<T> {
    claim: Claim<T>,
    /// The generation of the endpoint's streak, until an outcome is recorded.
    generation: Option<u32>,
}

// Always inlined: a pick that is handed over through memory stalls on loads that are wider than
// the stores before them, twice a call, for as long as an atomic operation each time.
impl<T> Picked<T> {
    #[inline(always)]
    pub(crate) fn new(slot: Arc<Slot<T>>, measured: bool) -> Self {
        let endpoint = &slot.endpoint;
        endpoint.load.begin();
        let generation = Some(endpoint.streak.generation());
        let begun = measured.then(|| slot.clock.now());
        Self {
            claim: Claim {
                slot: Some(slot),
                begun,
            },
            generation,
        }
    }

    /// The service that reaches the endpoint.
    #[inline]
    #[must_use]
    pub fn service(&self) -> &T {
        &self.claim.slot().service
    }

    /// Records how the call went. Only the first outcome of a call counts.
    ///
    /// With the strategies that measure it, the latency of the call ends here: at the head of a
    /// response, not at the end of its body.
    #[inline(always)]
    pub fn record(&mut self, outcome: Outcome) {
        let Some(generation) = self.generation.take() else {
            return;
        };
        let begun = self.claim.begun.take();
        let slot = self.claim.slot();
        let endpoint = &slot.endpoint;
        match outcome {
            Outcome::Success => {
                endpoint.streak.success(generation);
                if let Some(begun) = begun {
                    let now = slot.clock.now();
                    endpoint.latency.observe(now - begun, now);
                }
                if !endpoint.score.is_perfect() {
                    endpoint.score.success(slot.clock.now());
                }
            }
            Outcome::Failure { .. } | Outcome::Limited { .. } => {
                slot.record_failure(outcome, generation, begun);
            }
            Outcome::Ignored => {}
        }
    }

    /// What keeps the endpoint busy, without the service: for a response body to hold until it
    /// ends. Outcomes can no longer be recorded.
    #[must_use]
    pub fn into_busy(mut self) -> Busy
    where
        T: Send + Sync + 'static,
    {
        self.take_busy()
    }

    /// [`into_busy`](Picked::into_busy) without moving the pick, which is of no use afterwards.
    /// Copying what has just been written costs as much as an atomic operation.
    #[inline(always)]
    pub(crate) fn take_busy(&mut self) -> Busy
    where
        T: Send + Sync + 'static,
    {
        self.claim.observe();
        match self.claim.slot.take() {
            Some(slot) => Busy { occupied: slot },
            None => unreachable!("a claim lives as long as its slot"),
        }
    }
}

impl<T> Slot<T> {
    #[cold]
    fn record_failure(&self, outcome: Outcome, generation: u32, begun: Option<Instant>) {
        let endpoint = &self.endpoint;
        let now = self.clock.now();
        endpoint.score.failure(now);
        if let Some(begun) = begun {
            let hint = outcome.retry_after();
            endpoint.latency.penalise(now - begun, hint, now);
        }
        // An endpoint that asks for fewer calls lives: that is no step towards its ejection.
        if let Outcome::Failure { .. } = outcome {
            endpoint
                .failures
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if let Some(failures) = endpoint.streak.failure(generation)
                && let Some(fleet) = self.fleet.upgrade()
            {
                fleet.consider_ejection(endpoint, failures);
            }
        }
    }
}

impl<T> Deref for Picked<T> {
    type Target = Endpoint;

    #[inline]
    fn deref(&self) -> &Endpoint {
        &self.claim.slot().endpoint
    }
}

impl<T> fmt::Debug for Picked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picked").field(&**self).finish()
    }
}

/// One call in flight.
struct Claim<T> {
    /// Empty once it has become a [`Busy`], which is the end of this claim.
    slot: Option<Arc<Slot<T>>>,
    /// When the call began, if latencies are measured and none has been recorded yet.
    begun: Option<Instant>,
}

impl<T> Claim<T> {
    #[inline]
    fn slot(&self) -> &Slot<T> {
        match &self.slot {
            Some(slot) => slot,
            None => unreachable!("a claim lives as long as its slot"),
        }
    }

    /// Takes note of a call that ends without an outcome.
    #[inline(always)]
    fn observe(&mut self) {
        if let Some(begun) = self.begun.take() {
            let slot = self.slot();
            let now = slot.clock.now();
            slot.endpoint.latency.observe_at_least(now - begun, now);
        }
    }
}

impl<T> Drop for Claim<T> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.observe();
            self.slot().endpoint.load.end();
        }
    }
}

/// Keeps an endpoint busy until it is dropped.
///
/// Made of a [`Picked`] by [`into_busy`](Picked::into_busy). Does not name the type of the
/// service, so that neither does a response body that holds it.
pub struct Busy {
    occupied: Arc<dyn Occupied>,
}

impl Busy {
    /// The endpoint that is busy.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.occupied.endpoint()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.endpoint().load.end();
    }
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Busy").field(self.endpoint()).finish()
    }
}

trait Occupied: Send + Sync {
    fn endpoint(&self) -> &Endpoint;
}

impl<T: Send + Sync> Occupied for Slot<T> {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}
