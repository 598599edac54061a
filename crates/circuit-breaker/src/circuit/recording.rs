use bartizan_classify::Outcome;
use bartizan_clock::Instant;

use super::{Admission, Circuit};
use crate::{
    Reason, SlowCall,
    sync::Ordering,
    window::{Stamp, Window},
    word::Phase,
};

/// What becomes of outcomes.
impl Circuit {
    #[inline(always)]
    pub(crate) fn record_call(&self, admission: &Admission, outcome: Outcome) {
        let generation = admission.generation;
        let word = self.word.load();
        let counts = word.generation() == generation && word.phase() == Phase::Closed;
        if !counts || outcome == Outcome::Ignored {
            return;
        }
        // The one reading of the clock. It belongs here and not to admission, for then calls
        // that take longer than the window would be counted in the past, or not at all.
        let now = self.clock.now();
        let is_success = outcome == Outcome::Success;
        self.window
            .record(self.stamp(generation, now), !is_success, || {
                self.fresh_stamp(generation)
            });
        if let Some(slow_window) = &self.slow_window {
            self.record_duration(slow_window, admission, now);
        }
        if is_success {
            if word.consecutive_failures() != 0 {
                self.word.succeeded(generation);
            }
        } else {
            self.record_failure(generation, outcome, now);
        }
    }

    #[cold]
    fn record_failure(&self, generation: u32, outcome: Outcome, now: Instant) {
        let hint = outcome.retry_after();
        if matches!(outcome, Outcome::Failure { .. }) {
            let Some(failures) = self.word.failed(generation) else {
                return;
            };
            self.stamp_failure(now);
            if self
                .config
                .failure_threshold()
                .is_some_and(|n| failures >= n)
            {
                return self.open(generation, Reason::ConsecutiveFailures, hint, now);
            }
        }
        if let Some(ratio) = self.config.failure_ratio() {
            let totals = self.window.totals(self.stamp(generation, now));
            if totals.reach(ratio, self.config.minimum_calls()) {
                self.open(generation, Reason::FailureRatio, hint, now);
            }
        }
    }

    #[cold]
    fn record_duration(&self, slow_window: &Window, admission: &Admission, now: Instant) {
        let Some(SlowCall { ratio, .. }) = self.config.slow_call() else {
            return;
        };
        let generation = admission.generation;
        let stamp = self.stamp(generation, now);
        let is_slow = self.is_slow(admission, now);
        slow_window.record(stamp, is_slow, || self.fresh_stamp(generation));
        if is_slow
            && slow_window
                .totals(stamp)
                .reach(ratio, self.config.minimum_calls())
        {
            self.open(generation, Reason::SlowCallRatio, None, now);
        }
    }

    #[cold]
    pub(crate) fn record_probe(&self, admission: &Admission, outcome: Outcome) {
        let generation = admission.generation;
        if outcome == Outcome::Ignored {
            return self.give_back(admission);
        }
        let now = self.clock.now();
        if outcome == Outcome::Success && !self.is_slow(admission, now) {
            let successes = self.word.probe_succeeded(generation);
            if successes.is_some_and(|n| n >= self.config.half_open_max_calls()) {
                self.close(generation, now);
            }
            return;
        }
        if matches!(outcome, Outcome::Failure { .. }) && self.word.load().generation() == generation
        {
            self.stamp_failure(now);
        }
        self.open(generation, Reason::ProbeFailed, outcome.retry_after(), now);
    }

    /// Takes back the permit of a probe that has no outcome.
    #[cold]
    pub(crate) fn give_back(&self, admission: &Admission) {
        self.word.give_back_probe(admission.generation);
    }

    fn is_slow(&self, admission: &Admission, now: Instant) -> bool {
        self.config
            .slow_call()
            .is_some_and(|slow| now - admission.started >= slow.threshold)
    }

    #[inline]
    pub(super) fn stamp(&self, generation: u32, now: Instant) -> Stamp {
        Stamp {
            tick: self.ticks.at(now),
            generation,
        }
    }

    #[cold]
    fn fresh_stamp(&self, generation: u32) -> Option<Stamp> {
        (self.word.load().generation() == generation)
            .then(|| self.stamp(generation, self.clock.now()))
    }

    fn stamp_failure(&self, now: Instant) {
        self.last_failure
            .fetch_max(now.as_nanos(), Ordering::AcqRel);
    }
}
