use std::{fmt, ops::Deref, sync::Arc};

use bartizan_classify::Outcome;
use bartizan_clock::Instant;

use crate::{Endpoint, claim::Claim, load::Occupied, set::Entry};

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
}

impl<T> Picked<T> {
    #[inline(always)]
    pub(crate) fn new(entry: &Entry<T>, begun: Option<Instant>) -> Self {
        Self {
            claim: Claim::new(entry, begun),
        }
    }

    /// The service that reaches the endpoint.
    #[inline]
    #[must_use]
    pub fn service(&self) -> &T {
        self.claim.service()
    }

    /// Records how the call went. Only the first outcome of a call counts.
    ///
    /// With the strategies that measure it, the latency of the call ends here: at the head of a
    /// response, not at the end of its body.
    #[inline(always)]
    pub fn record(&mut self, outcome: Outcome) {
        self.claim.record(outcome);
    }

    /// What keeps the endpoint busy, without the service: for a response body to hold until it
    /// ends. Outcomes can no longer be recorded.
    #[must_use]
    pub fn into_busy(mut self) -> Busy
    where
        T: Send + Sync + 'static,
    {
        self.claim.take_busy()
    }
}

impl<T> Deref for Picked<T> {
    type Target = Endpoint;

    #[inline]
    fn deref(&self) -> &Endpoint {
        self.claim.endpoint()
    }
}

impl<T> fmt::Debug for Picked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picked").field(&**self).finish()
    }
}

/// Keeps an endpoint busy until it is dropped.
///
/// Made of a [`Picked`] by [`into_busy`](Picked::into_busy). Does not name the type of the
/// service, so that neither does a response body that holds it.
pub struct Busy {
    lane: Arc<dyn Occupied>,
}

impl Busy {
    #[inline(always)]
    pub(crate) fn new(lane: Arc<dyn Occupied>) -> Self {
        Self { lane }
    }

    /// The endpoint that is busy.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.lane.endpoint()
    }
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Busy").field(self.endpoint()).finish()
    }
}
