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

// Admission and outcome are always inlined: a permit that is handed over through memory stalls on
// loads that are wider than the stores before them, which costs as much as the atomics do.
impl Permit {
    #[inline(always)]
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
    #[inline(always)]
    pub fn record(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    /// As [`Permit::record`], without moving the permit.
    #[inline(always)]
    pub(crate) fn settle(&mut self, outcome: Outcome) {
        if self.admission.is_probe {
            self.circuit.record_probe(&self.admission, outcome);
            // There is nothing left for `drop` to give back.
            self.admission.is_probe = false;
        } else {
            self.circuit.record_call(&self.admission, outcome);
        }
    }
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        if self.admission.is_probe {
            self.circuit.give_back(&self.admission);
        }
    }
}
