use bartizan_classify::Outcome;
use bartizan_clock::Instant;

use super::{Admission, Circuit};
use crate::{Reason, SlowCall, stripes::Stripes, sync::Ordering, word::Phase};

/// What becomes of outcomes.
impl Circuit {
    /// Whatever the call is.
    #[cold]
    pub(crate) fn record(&self, admission: &Admission, outcome: Outcome) {
        if admission.is_probe {
            self.record_probe(admission, outcome);
        } else {
            self.record_call(admission, outcome);
        }
    }

    /// What becomes of a call that was admitted while the circuit was closed.
    pub(crate) fn record_call(&self, admission: &Admission, outcome: Outcome) {
        let generation = admission.generation;
        let word = self.slot.word.load();
        let counts = word.generation() == generation && word.phase() == Phase::Closed;
        if !counts || outcome == Outcome::Ignored {
            return;
        }
        let is_success = outcome == Outcome::Success;
        self.slot.count(generation, !is_success);
        let now = self.clock.now();
        if let Some(slow_window) = &self.slow_window {
            self.record_duration(slow_window, admission, now);
        }
        if is_success {
            if word.consecutive_failures() != 0 {
                self.slot.word.succeeded(generation);
            }
        } else {
            self.record_failure(generation, outcome, now);
        }
    }

    #[cold]
    fn record_failure(&self, generation: u32, outcome: Outcome, now: Instant) {
        let hint = outcome.retry_after();
        if matches!(outcome, Outcome::Failure { .. }) {
            let Some(failures) = self.slot.word.failed(generation) else {
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
            let totals = self.slot.window.totals(self.slot.stamp(generation));
            if totals.reach(ratio, self.config.minimum_calls()) {
                self.open(generation, Reason::FailureRatio, hint, now);
            }
        }
    }

    #[cold]
    fn record_duration(&self, slow_window: &Stripes, admission: &Admission, now: Instant) {
        let Some(SlowCall { ratio, .. }) = self.config.slow_call() else {
            return;
        };
        let generation = admission.generation;
        let stamp = self.slot.stamp(generation);
        let is_slow = self.is_slow(admission, now);
        slow_window.record(stamp, is_slow, || self.slot.fresh_stamp(generation));
        if is_slow
            && slow_window
                .totals(stamp)
                .reach(ratio, self.config.minimum_calls())
        {
            self.open(generation, Reason::SlowCallRatio, None, now);
        }
    }

    fn record_probe(&self, admission: &Admission, outcome: Outcome) {
        let generation = admission.generation;
        if outcome == Outcome::Ignored {
            return self.slot.word.give_back_probe(generation);
        }
        let now = self.clock.now();
        if outcome == Outcome::Success && !self.is_slow(admission, now) {
            let successes = self.slot.word.probe_succeeded(generation);
            if successes.is_some_and(|n| n >= self.config.half_open_max_calls()) {
                self.close(generation, now);
            }
            return;
        }
        if matches!(outcome, Outcome::Failure { .. })
            && self.slot.word.load().generation() == generation
        {
            self.stamp_failure(now);
        }
        self.open(generation, Reason::ProbeFailed, outcome.retry_after(), now);
    }

    fn is_slow(&self, admission: &Admission, now: Instant) -> bool {
        self.config
            .slow_call()
            .is_some_and(|slow| now - admission.started >= slow.threshold)
    }

    fn stamp_failure(&self, now: Instant) {
        self.last_failure
            .fetch_max(now.as_nanos(), Ordering::AcqRel);
    }
}
