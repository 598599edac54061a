use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use bartizan_clock::Instant;

use super::{Circuit, History, state};
use crate::{
    Reason, Transition,
    sync::Ordering,
    word::{Phase, Word},
};

/// What changes the state. Each of these holds the history while it does.
impl Circuit {
    /// Opens the circuit if it is still in `generation`.
    #[cold]
    pub(super) fn open(
        &self,
        generation: u32,
        reason: Reason,
        hint: Option<Duration>,
        now: Instant,
    ) {
        let mut history = self.history();
        let word = self.slot.word.load();
        if word.generation() != generation {
            return;
        }
        history.failed_recoveries = match word.phase() {
            Phase::HalfOpen => history.failed_recoveries.saturating_add(1),
            _ => 0,
        };
        let failed_recoveries = history.failed_recoveries;
        let open_time = self
            .config
            .open_time(failed_recoveries, hint, &mut history.random);
        history.opened_at = Some(now);
        history.open_count += 1;
        self.open_until
            .store((now + open_time).as_nanos(), Ordering::Release);
        self.advance(history, word, Phase::Open, reason, now);
    }

    /// Makes room for probes, if the circuit is still in `generation`. The caller has to take one
    /// like any other: what is taken before the listener has returned would be lost if it panics.
    pub(super) fn half_open(&self, generation: u32, now: Instant) {
        let history = self.history();
        let word = self.slot.word.load();
        if word.generation() != generation {
            return;
        }
        self.last_probe.store(now.as_nanos(), Ordering::Release);
        self.advance(history, word, Phase::HalfOpen, Reason::RecoveryElapsed, now);
    }

    pub(super) fn close(&self, generation: u32, now: Instant) {
        let mut history = self.history();
        let word = self.slot.word.load();
        if word.generation() != generation {
            return;
        }
        history.failed_recoveries = 0;
        self.advance(history, word, Phase::Closed, Reason::ProbesSucceeded, now);
    }

    pub(crate) fn force_open(&self) {
        let mut history = self.history();
        let word = self.slot.word.load();
        if word.phase() == Phase::ForcedOpen {
            return;
        }
        let now = self.clock.now();
        history.opened_at = Some(now);
        history.open_count += 1;
        self.advance(history, word, Phase::ForcedOpen, Reason::ForcedOpen, now);
    }

    pub(crate) fn force_close(&self) {
        let history = self.history();
        let word = self.slot.word.load();
        if word.phase() == Phase::ForcedClosed {
            return;
        }
        let now = self.clock.now();
        self.advance(
            history,
            word,
            Phase::ForcedClosed,
            Reason::ForcedClosed,
            now,
        );
    }

    pub(crate) fn reset(&self) {
        let mut history = self.history();
        let (word, now) = (self.slot.word.load(), self.clock.now());
        history.opened_at = None;
        history.failed_recoveries = 0;
        self.last_failure.store(0, Ordering::Release);
        self.advance(history, word, Phase::Closed, Reason::Reset, now);
    }

    /// Begins the next generation, lets go of the lock and tells the listener.
    pub(super) fn advance(
        &self,
        history: MutexGuard<'_, History>,
        from: Word,
        to: Phase,
        reason: Reason,
        now: Instant,
    ) {
        let Some(generation) = self.slot.word.advance(from.generation(), to) else {
            return;
        };
        // At every transition, also to states in which nothing is counted: after sixteen that left
        // counts alone they would be taken for those of the next closed stay.
        self.slot.window.forget_others(generation);
        if let Some(slow_window) = &self.slow_window {
            slow_window.forget_others(generation);
        }
        drop(history);
        if let Some(listener) = &self.listener {
            listener(&Transition {
                from: state(from.phase()),
                to: state(to),
                generation: self.age(generation),
                at: now,
                reason,
            });
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        // Nothing under the lock panics, and if it did, each field is still a valid value.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
