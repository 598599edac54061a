mod recording;
mod transitions;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_clock::{Clock, Instant};
use fastrand::Rng;

use crate::{
    CircuitBreakerConfig, CircuitOpen, Reason, Snapshot, State,
    slot::Slot,
    stripes::Stripes,
    sync::{AtomicU64, Ordering},
    transition::Listener,
    window::Totals,
    word::{Phase, Word},
};

/// The longest that a call is told to wait for probes that are under way.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// What all clones of a breaker share.
pub(crate) struct Circuit {
    /// Where the words are that every call touches.
    pub(crate) slot: &'static Slot,
    /// Generations that belonged to circuits before this one.
    first_generation: u32,
    /// Until when the circuit stays open, in nanoseconds. Stored before the word says `Open`,
    /// and by later openings only, so whoever reads `Open` never finds an earlier one here.
    open_until: AtomicU64,
    /// When the last probe was admitted, in nanoseconds.
    last_probe: AtomicU64,
    /// When a failure was last counted, in nanoseconds; 0 for never.
    last_failure: AtomicU64,
    config: CircuitBreakerConfig,
    clock: Clock,
    listener: Option<Listener>,
    /// Held while the generation changes, so that what belongs to it changes with it. Calls
    /// take it only to change the state, never to be admitted to, rejected by or counted in a
    /// state that stays.
    history: Mutex<History>,
    /// Calls and slow calls.
    slow_window: Option<Stripes>,
}

struct History {
    opened_at: Option<Instant>,
    open_count: u64,
    failed_recoveries: u32,
    random: Rng,
}

/// What a permit remembers of its admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) generation: u32,
    pub(crate) is_probe: bool,
    /// Zero unless slow calls are looked at.
    started: Instant,
}

impl Admission {
    /// By a closed circuit whose calls need not be timed.
    #[inline(always)]
    pub(crate) fn plain(generation: u32) -> Self {
        Self {
            generation,
            is_probe: false,
            started: Instant::from_nanos(0),
        }
    }
}

impl Circuit {
    pub(crate) fn new(
        config: CircuitBreakerConfig,
        clock: Clock,
        listener: Option<Listener>,
    ) -> Arc<Self> {
        let slot = Slot::take(config.window(), clock);
        let circuit = Arc::new(Self {
            slot,
            first_generation: slot.word.load().generation(),
            open_until: AtomicU64::new(0),
            last_probe: AtomicU64::new(0),
            last_failure: AtomicU64::new(0),
            clock,
            listener,
            history: Mutex::new(History {
                opened_at: None,
                open_count: 0,
                failed_recoveries: 0,
                random: Rng::new(),
            }),
            slow_window: config.slow_call().map(|_| Stripes::default()),
            config,
        });
        slot.occupy(Arc::downgrade(&circuit));
        circuit
    }

    /// Whether it matters how long calls take.
    pub(crate) fn is_timed(&self) -> bool {
        self.slow_window.is_some()
    }

    pub(crate) fn config(&self) -> &CircuitBreakerConfig {
        &self.config
    }

    // --- admission

    /// Admits a call whatever the state. A closed circuit whose calls need not be timed is not
    /// even asked.
    #[cold]
    pub(crate) fn admit(&self) -> Result<Admission, CircuitOpen> {
        // Every turn that does not return saw the state change.
        loop {
            let word = self.slot.word.load();
            let generation = word.generation();
            match word.phase() {
                Phase::Closed | Phase::ForcedClosed => {
                    return Ok(self.admission(generation, false));
                }
                Phase::ForcedOpen => return Err(self.forced_open()),
                Phase::Open => {
                    let now = self.clock.now();
                    let remaining = self.open_until() - now;
                    if !remaining.is_zero() {
                        return Err(CircuitOpen {
                            retry_after: remaining,
                        });
                    }
                    self.half_open(generation, now);
                }
                Phase::HalfOpen => {
                    let now = self.clock.now();
                    let probes = self.config.half_open_max_calls();
                    if word.has_room(probes) {
                        // Before the permit is taken, or another thread could find none left
                        // and the time of the probe before.
                        self.last_probe.fetch_max(now.as_nanos(), Ordering::AcqRel);
                        if self.slot.word.take_probe(generation, probes) {
                            return Ok(self.admission(generation, true));
                        }
                    } else {
                        let patience = self.patience(now);
                        if !patience.is_zero() {
                            return Err(CircuitOpen {
                                retry_after: patience.min(PROBE_WAIT),
                            });
                        }
                        self.open(generation, Reason::HalfOpenTimeout, None, now);
                    }
                }
            }
        }
    }

    /// How long a call would have to wait for admission; `None` if it need not. Changes nothing.
    #[cold]
    pub(crate) fn retry_after(&self, word: Word) -> Option<Duration> {
        match word.phase() {
            Phase::Closed | Phase::ForcedClosed => None,
            Phase::ForcedOpen => Some(self.forced_open().retry_after),
            Phase::Open => Some(self.open_until() - self.clock.now()).filter(|d| !d.is_zero()),
            Phase::HalfOpen if word.has_room(self.config.half_open_max_calls()) => None,
            Phase::HalfOpen => Some(self.patience(self.clock.now()).min(PROBE_WAIT)),
        }
    }

    fn admission(&self, generation: u32, is_probe: bool) -> Admission {
        Admission {
            generation,
            is_probe,
            started: match self.slow_window {
                Some(_) => self.clock.now(),
                None => Instant::from_nanos(0),
            },
        }
    }

    fn forced_open(&self) -> CircuitOpen {
        CircuitOpen {
            retry_after: self.config.recovery_timeout(),
        }
    }

    fn open_until(&self) -> Instant {
        Instant::from_nanos(self.open_until.load(Ordering::Acquire))
    }

    /// How much longer the probes under way are waited for.
    fn patience(&self, now: Instant) -> Duration {
        let last_probe = Instant::from_nanos(self.last_probe.load(Ordering::Acquire));
        last_probe + self.config.half_open_timeout() - now
    }

    // --- observation

    /// How many transitions there were up to a generation.
    fn age(&self, generation: u32) -> u32 {
        Word::generations(self.first_generation, generation)
    }

    pub(crate) fn state(&self) -> State {
        state(self.slot.word.load().phase())
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let history = self.history();
        let word = self.slot.word.load();
        let now = self.slot.stamp(word.generation());
        let window = |window: &Stripes| match word.phase() {
            Phase::Closed => window.totals(now),
            _ => Totals::default(),
        };
        let totals = window(&self.slot.window);
        let last_failure = self.last_failure.load(Ordering::Acquire);
        Snapshot {
            state: state(word.phase()),
            forced: matches!(word.phase(), Phase::ForcedOpen | Phase::ForcedClosed),
            generation: self.age(word.generation()),
            consecutive_failures: word.consecutive_failures(),
            calls: totals.calls,
            failures: totals.marked,
            slow_calls: self.slow_window.as_ref().map_or(0, |w| window(w).marked),
            opened_at: history.opened_at,
            last_failure: (last_failure > 0).then(|| Instant::from_nanos(last_failure)),
            half_open_in_flight: word.in_flight(),
            half_open_successes: word.successes(),
            retry_after: self.retry_after(word),
            open_count: history.open_count,
            failed_recoveries: history.failed_recoveries,
        }
    }
}

impl Drop for Circuit {
    fn drop(&mut self) {
        self.slot.vacate();
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("word", &self.slot.word.load())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn state(phase: Phase) -> State {
    match phase {
        Phase::Closed | Phase::ForcedClosed => State::Closed,
        Phase::Open | Phase::ForcedOpen => State::Open,
        Phase::HalfOpen => State::HalfOpen,
    }
}
