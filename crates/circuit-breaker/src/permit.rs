use std::sync::Arc;

use bartizan_classify::Outcome;

use crate::circuit::{Admission, Circuit};

/// The admission of one call, to be spent by recording its outcome.
///
/// # Cancellation
///
/// Dropping it unrecorded means that the call was cancelled: nothing is counted, and a probe
/// makes room for another one. A permit from before a change of state has no effect however it
/// ends.
#[derive(Debug)]
#[must_use = "dropping a permit means that the call was cancelled"]
pub struct Permit {
    circuit: Arc<Circuit>,
    admission: Admission,
}

impl Permit {
    #[inline]
    pub(crate) fn new(circuit: Arc<Circuit>, admission: Admission) -> Self {
        Self { circuit, admission }
    }

    /// Whether this call is a probe of a half-open circuit.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.admission.is_probe
    }

    /// Records what became of the call.
    ///
    /// [`Outcome::Ignored`] is the same as dropping the permit.
    #[inline]
    pub fn record(mut self, outcome: Outcome) {
        let admission = self.admission;
        // The outcome settles the probe; there is nothing left for `drop` to give back.
        self.admission.is_probe = false;
        self.circuit.record(admission, outcome);
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if self.admission.is_probe {
            self.circuit.give_back(self.admission);
        }
    }
}
