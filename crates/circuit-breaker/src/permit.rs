use std::sync::Arc;

use bartizan_classify::Outcome;

use crate::{
    circuit::{Admission, Circuit},
    slot::Slot,
};

/// The admission of one call, to be spent by recording its outcome.
///
/// # Cancellation
///
/// Dropping it unrecorded means that the call was cancelled: nothing is counted, and a probe
/// makes room for another one. A permit from before a change of state has no effect however it
/// ends, and one that is left over when its breaker and all clones of it are gone has none either;
/// only a probe, or a call that is timed, keeps its circuit until it ends.
#[derive(Debug)]
#[must_use = "dropping a permit means that the call was cancelled"]
pub struct Permit {
    slot: &'static Slot,
    admission: Admission,
    /// Of probes, and of all calls if it matters how long they take.
    circuit: Option<Arc<Circuit>>,
}

// Admission and outcome are always inlined: a permit that is handed over through memory stalls on
// loads that are wider than the stores before them, which costs as much as the atomics do.
impl Permit {
    #[inline(always)]
    pub(crate) fn plain(slot: &'static Slot, admission: Admission) -> Self {
        Self {
            slot,
            admission,
            circuit: None,
        }
    }

    pub(crate) fn of(circuit: &Arc<Circuit>, admission: Admission) -> Self {
        let needs_circuit = admission.is_probe || circuit.is_timed();
        Self {
            slot: circuit.slot,
            admission,
            circuit: needs_circuit.then(|| Arc::clone(circuit)),
        }
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
        match &self.circuit {
            None => self.slot.record(self.admission.generation, outcome),
            Some(circuit) => {
                circuit.record(&self.admission, outcome);
                // There is nothing left for `drop` to give back.
                self.admission.is_probe = false;
            }
        }
    }
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        if self.admission.is_probe {
            self.slot.word.give_back_probe(self.admission.generation);
        }
    }
}
