use std::{sync::Arc, time::Duration};

use bartizan_clock::Clock;

use crate::{
    CircuitBreakerConfig, CircuitOpen, Permit, Snapshot, State, Transition,
    circuit::{Admission, Circuit},
    slot::Slot,
    word::Phase,
};

/// Decides which calls to a service are admitted, by what became of the calls before.
///
/// Clones share their state. Without tower, ask for a [`Permit`] before each call and record
/// the outcome with it:
///
/// ```
/// use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, State};
/// use bartizan_classify::Outcome;
/// use bartizan_clock::Clock;
///
/// let breaker = CircuitBreaker::new(CircuitBreakerConfig::default(), Clock::default());
/// for _ in 0..5 {
///     let permit = breaker.try_acquire()?;
///     permit.record(Outcome::FAILURE);
/// }
/// assert_eq!(breaker.state(), State::Open);
/// let open = breaker.try_acquire().unwrap_err();
/// assert!(open.to_string().starts_with("circuit open, retry in 3"));
/// # Ok::<(), bartizan_circuit_breaker::CircuitOpen>(())
/// ```
///
/// All methods are synchronous and none waits: state changes hold a lock for some dozen
/// instructions, everything else is atomic.
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    circuit: Arc<Circuit>,
    /// The circuit's, so that most calls need not go there.
    slot: &'static Slot,
    /// Whether calls are timed, for which they have to go there.
    is_timed: bool,
}

impl CircuitBreaker {
    /// A closed circuit.
    #[must_use]
    pub fn new(config: CircuitBreakerConfig, clock: Clock) -> Self {
        Self::of(Circuit::new(config, clock, None))
    }

    /// A closed circuit that tells `listener` about every transition.
    ///
    /// ```
    /// # use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, Transition};
    /// # use bartizan_clock::Clock;
    /// # use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// let opened = Arc::new(AtomicU64::new(0));
    /// let counter = Arc::clone(&opened);
    /// let breaker = CircuitBreaker::with_listener(
    ///     CircuitBreakerConfig::default(),
    ///     Clock::default(),
    ///     move |transition: &Transition| {
    ///         if transition.to.as_str() == "open" {
    ///             counter.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     },
    /// );
    /// breaker.force_open();
    /// assert_eq!(opened.load(Ordering::Relaxed), 1);
    /// ```
    ///
    /// It runs on the thread, and within the call, that caused the transition, after the new state
    /// is in force and with no lock held: it may ask the breaker anything, but should be quick.
    #[must_use]
    pub fn with_listener(
        config: CircuitBreakerConfig,
        clock: Clock,
        listener: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Self {
        Self::of(Circuit::new(config, clock, Some(Arc::new(listener))))
    }

    fn of(circuit: Arc<Circuit>) -> Self {
        Self {
            slot: circuit.slot,
            is_timed: circuit.is_timed(),
            circuit,
        }
    }

    /// Asks for admission of one call.
    ///
    /// The first call after the recovery time makes the circuit half-open and is its first
    /// probe.
    ///
    /// # Errors
    ///
    /// When the circuit is open, or half-open and all probes are under way.
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<Permit, CircuitOpen> {
        match self.admit_if_plain() {
            Some(admission) => Ok(self.plain_permit(admission)),
            None => self.acquire_from_circuit(),
        }
    }

    /// Admits a call of a closed circuit that need not be timed. Nothing has to be given back if
    /// it comes to nothing.
    #[inline(always)]
    pub(crate) fn admit_if_plain(&self) -> Option<Admission> {
        let word = self.slot.word.load();
        let is_plain = word.phase() == Phase::Closed && !self.is_timed;
        is_plain.then(|| Admission::plain(word.generation()))
    }

    #[inline(always)]
    pub(crate) fn plain_permit(&self, admission: Admission) -> Permit {
        Permit::plain(self.slot, admission)
    }

    #[cold]
    fn acquire_from_circuit(&self) -> Result<Permit, CircuitOpen> {
        let admission = self.circuit.admit()?;
        Ok(Permit::of(&self.circuit, admission))
    }

    /// How long a call would have to wait for admission; `None` if it would be admitted now.
    ///
    /// Takes no permit and changes nothing, so another call may be faster.
    #[inline]
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let word = self.slot.word.load();
        if word.phase() == Phase::Closed {
            return None;
        }
        self.circuit.retry_after(word)
    }

    /// The state, which is [`State::Open`] until a call arrives after the recovery time.
    #[must_use]
    pub fn state(&self) -> State {
        self.circuit.state()
    }

    /// Everything there is to know, for status pages and metrics.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.circuit.snapshot()
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> &CircuitBreakerConfig {
        self.circuit.config()
    }

    /// Rejects all calls until [`reset`](Self::reset) or [`force_close`](Self::force_close).
    ///
    /// Calls under way go on; their outcomes are not counted.
    pub fn force_open(&self) {
        self.circuit.force_open();
    }

    /// Admits all calls and counts nothing until [`reset`](Self::reset) or
    /// [`force_open`](Self::force_open).
    pub fn force_close(&self) {
        self.circuit.force_close();
    }

    /// Closes the circuit and forgets everything but how often it has opened.
    ///
    /// The outcomes of calls under way are not counted.
    pub fn reset(&self) {
        self.circuit.reset();
    }
}

#[cfg(test)]
mod tests;
