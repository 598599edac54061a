use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bartizan_classify::Outcome;
use bartizan_clock::Clock;

use crate::{
    circuit::{Admission, Circuit},
    stripes::Stripes,
    ticks::Ticks,
    window::Stamp,
    word::{Phase, StateWord},
};

/// What every call of a closed circuit reads and writes, in a place that stays.
///
/// Every permit would need a counted reference to its circuit for the few whose call fails, and
/// counting is dear: alone it costs as much as the window does, and threads that share a breaker
/// take the line with the counter from one another twice a call. So a permit points here, and
/// asks for the circuit when it needs it.
///
/// Never freed, but used again by a later circuit, so that there are no more slots than there ever
/// were circuits at one time. Generations go on from one circuit to the next: a permit that is left
/// over from an earlier one belongs to a generation that has passed, and does nothing.
pub(crate) struct Slot {
    pub(crate) word: StateWord,
    ticks: Ticks,
    /// The only thing that every call writes, away from what every call reads and from what other
    /// threads write.
    pub(crate) window: Stripes,
    /// Locked when a call fails, and when a circuit is made or dropped; for an instant.
    occupant: Mutex<Weak<Circuit>>,
}

/// The slots without a circuit. Locked when a circuit is made or dropped.
static VACANT: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

impl Slot {
    /// Finds a slot for a new circuit, closed, with nothing counted.
    pub(crate) fn take(window: Duration, clock: Clock) -> &'static Self {
        let slot = Self::vacant(clock).unwrap_or_else(|| {
            Box::leak(Box::new(Self {
                word: StateWord::new(),
                ticks: Ticks::new(clock),
                window: Stripes::default(),
                occupant: Mutex::default(),
            }))
        });
        slot.ticks.start(window);
        slot
    }

    fn vacant(clock: Clock) -> Option<&'static Self> {
        let mut vacant = lock(&VACANT);
        // The last one, which may still be in a cache.
        let index = vacant
            .iter()
            .rposition(|slot| slot.ticks.clock() == clock)?;
        Some(vacant.swap_remove(index))
    }

    pub(crate) fn occupy(&self, circuit: Weak<Circuit>) {
        *lock(&self.occupant) = circuit;
    }

    /// Leaves the slot to another circuit. Called once, by the circuit when it is dropped.
    pub(crate) fn vacate(&'static self) {
        *lock(&self.occupant) = Weak::new();
        // Only permits are left that could change the word, and they do not change its generation.
        let generation = self.word.load().generation();
        if let Some(next) = self.word.advance(generation, Phase::Closed) {
            self.window.forget_others(next);
        }
        lock(&VACANT).push(self);
    }

    /// Counts the outcome of a call that was admitted in `generation`, in which the circuit was
    /// closed.
    #[inline(always)]
    pub(crate) fn record(&self, generation: u32, outcome: Outcome) {
        if outcome != Outcome::Success {
            return self.record_otherwise(generation, outcome);
        }
        let word = self.word.load();
        if word.generation() != generation || word.phase() != Phase::Closed {
            return;
        }
        self.count(generation, false);
        if word.consecutive_failures() != 0 {
            self.word.succeeded(generation);
        }
    }

    #[cold]
    fn record_otherwise(&self, generation: u32, outcome: Outcome) {
        // In this order: a circuit that is found is that of the generation, or the generation has
        // passed, and then nothing that the circuit is told of it has an effect.
        let circuit: Option<Arc<Circuit>> = lock(&self.occupant).upgrade();
        if let Some(circuit) = circuit {
            circuit.record_call(&Admission::plain(generation), outcome);
        }
    }

    /// Counts a call in the window.
    #[inline(always)]
    pub(crate) fn count(&self, generation: u32, marked: bool) {
        // The one reading of the clock. It belongs here and not to admission, for then calls
        // that take longer than the window would be counted in the past, or not at all.
        self.window.record(self.stamp(generation), marked, || {
            self.fresh_stamp(generation)
        });
    }

    #[inline]
    pub(crate) fn stamp(&self, generation: u32) -> Stamp {
        Stamp {
            tick: self.ticks.current(),
            generation,
        }
    }

    #[cold]
    pub(crate) fn fresh_stamp(&self, generation: u32) -> Option<Stamp> {
        (self.word.load().generation() == generation).then(|| self.stamp(generation))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("word", &self.word.load())
            .finish_non_exhaustive()
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
