use std::fmt;

use crate::sync::{AtomicU64, Ordering};

/// Where the circuit is, its manual positions told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    ForcedClosed,
}

/// One reading of the [`StateWord`].
///
/// From the top: 3 bits of phase, 29 of generation, 32 that belong to the phase. Closed, they
/// count consecutive failures; half-open, the upper 16 count probes in flight and the lower 16
/// probes that succeeded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

const PHASE_SHIFT: u32 = 61;
const GENERATION_SHIFT: u32 = 32;
const GENERATION_MASK: u32 = (1 << 29) - 1;
const IN_FLIGHT_SHIFT: u32 = 16;
const PROBES_MASK: u32 = 0xffff;

impl Word {
    /// The most probes that fit.
    pub(crate) const MAX_PROBES: u32 = PROBES_MASK;

    fn new(phase: Phase, generation: u32, counts: u32) -> Self {
        let phase = (phase as u64) << PHASE_SHIFT;
        let generation = u64::from(generation & GENERATION_MASK) << GENERATION_SHIFT;
        Self(phase | generation | u64::from(counts))
    }

    #[inline]
    pub(crate) fn phase(self) -> Phase {
        match self.0 >> PHASE_SHIFT {
            0 => Phase::Closed,
            1 => Phase::Open,
            2 => Phase::HalfOpen,
            3 => Phase::ForcedOpen,
            _ => Phase::ForcedClosed,
        }
    }

    /// The number of this stay in one phase; every transition begins the next. Wraps after
    /// 537 million, which a call would have to outlive to be mistaken for a younger one.
    #[inline]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32 & GENERATION_MASK
    }

    /// How many generations lie between two.
    pub(crate) fn generations(from: u32, to: u32) -> u32 {
        to.wrapping_sub(from) & GENERATION_MASK
    }

    /// Failures since the last success. Zero unless closed.
    #[inline]
    pub(crate) fn consecutive_failures(self) -> u32 {
        match self.phase() {
            Phase::Closed => self.counts(),
            _ => 0,
        }
    }

    /// Probes whose outcome is awaited. Zero unless half-open.
    pub(crate) fn in_flight(self) -> u32 {
        match self.phase() {
            Phase::HalfOpen => self.counts() >> IN_FLIGHT_SHIFT,
            _ => 0,
        }
    }

    /// Probes that succeeded. Zero unless half-open.
    pub(crate) fn successes(self) -> u32 {
        match self.phase() {
            Phase::HalfOpen => self.counts() & PROBES_MASK,
            _ => 0,
        }
    }

    /// Whether another probe fits into a half-open cycle of `probes`.
    pub(crate) fn has_room(self, probes: u32) -> bool {
        self.phase() == Phase::HalfOpen && self.in_flight() + self.successes() < probes
    }

    #[inline]
    fn counts(self) -> u32 {
        self.0 as u32
    }

    fn with_counts(self, counts: u32) -> Self {
        Self::new(self.phase(), self.generation(), counts)
    }

    fn with_probes(self, in_flight: u32, successes: u32) -> Self {
        self.with_counts(in_flight << IN_FLIGHT_SHIFT | successes)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("phase", &self.phase())
            .field("generation", &self.generation())
            .field("counts", &self.counts())
            .finish()
    }
}

/// The state of the circuit in one atomic word.
///
/// Every operation names the generation it belongs to and does nothing when that has passed:
/// this is what makes an outcome harmless that arrives after the circuit has moved on. While
/// nothing fails, the word is only read, so all cores keep it in their caches.
pub(crate) struct StateWord(AtomicU64);

impl StateWord {
    /// A closed circuit in its first generation.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Word::new(Phase::Closed, 0, 0).0))
    }

    #[inline]
    pub(crate) fn load(&self) -> Word {
        Word(self.0.load(Ordering::Acquire))
    }

    /// Counts a failure of a closed circuit and returns how many there are in a row.
    pub(crate) fn failed(&self, generation: u32) -> Option<u32> {
        let word = self.update(generation, |word| {
            (word.phase() == Phase::Closed)
                .then(|| word.with_counts(word.counts().saturating_add(1)))
        })?;
        Some(word.counts())
    }

    /// Forgets the consecutive failures of a closed circuit.
    pub(crate) fn succeeded(&self, generation: u32) {
        self.update(generation, |word| {
            (word.consecutive_failures() > 0).then(|| word.with_counts(0))
        });
    }

    /// Takes one of `probes` permits of a half-open cycle.
    pub(crate) fn take_probe(&self, generation: u32, probes: u32) -> bool {
        self.update(generation, |word| {
            word.has_room(probes)
                .then(|| word.with_probes(word.in_flight() + 1, word.successes()))
        })
        .is_some()
    }

    /// Gives a permit back without an outcome.
    pub(crate) fn give_back_probe(&self, generation: u32) {
        self.update(generation, |word| {
            (word.in_flight() > 0).then(|| word.with_probes(word.in_flight() - 1, word.successes()))
        });
    }

    /// Turns a permit into a success and returns how many there are in this cycle.
    pub(crate) fn probe_succeeded(&self, generation: u32) -> Option<u32> {
        let word = self.update(generation, |word| {
            (word.in_flight() > 0)
                .then(|| word.with_probes(word.in_flight() - 1, word.successes() + 1))
        })?;
        Some(word.successes())
    }

    /// Begins the next generation in phase `to`, with no probes under way, and returns its
    /// number. Of several threads that leave the same generation, one succeeds.
    pub(crate) fn advance(&self, generation: u32, to: Phase) -> Option<u32> {
        let word = self.update(generation, |word| {
            Some(Word::new(to, word.generation().wrapping_add(1), 0))
        })?;
        Some(word.generation())
    }

    /// Applies `change` for as long as the word is of this generation; `None` if it is not, or
    /// if `change` declines.
    fn update(&self, generation: u32, change: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        let mut word = self.load();
        loop {
            if word.generation() != generation {
                return None;
            }
            let next = change(word)?;
            match self
                .0
                .compare_exchange_weak(word.0, next.0, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(next),
                Err(seen) => word = Word(seen),
            }
        }
    }
}
