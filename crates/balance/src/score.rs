use bartizan_clock::Instant;

use crate::{decaying::Decaying, latency::millis};

/// The weight of one outcome: ten failures in a row bring a score of 100 down to 35.
const STEP: f32 = 0.1;

/// Failures are half forgotten after this time even without any call, or an endpoint with a bad
/// score would never get the calls to improve it.
const HALF_LIFE_MS: f32 = 30_000.0;

/// Below this the score is 100 and successes need not be counted.
const FORGOTTEN: f32 = 0.001;

/// How well an endpoint has done of late, from 0 to 100.
#[derive(Debug)]
pub(crate) struct Score {
    /// The decaying share of failures, from zero to one.
    failing: Decaying,
}

impl Score {
    pub(crate) fn new() -> Self {
        Self {
            failing: Decaying::new(0.0, 0),
        }
    }

    /// Whether there is nothing to forget; then successes need not be counted.
    #[inline]
    pub(crate) fn is_perfect(&self) -> bool {
        self.failing.stored() == 0.0
    }

    pub(crate) fn success(&self, now: Instant) {
        self.failing.update(millis(now), |failing, age| {
            let failing = failing * remains(age) * (1.0 - STEP);
            if failing < FORGOTTEN { 0.0 } else { failing }
        });
    }

    pub(crate) fn failure(&self, now: Instant) {
        self.failing.update(millis(now), |failing, age| {
            failing * remains(age) * (1.0 - STEP) + STEP
        });
    }

    /// Starts over.
    pub(crate) fn forget(&self, now: Instant) {
        self.failing.update(millis(now), |_, _| 0.0);
    }

    /// The score at `now`.
    #[inline]
    pub(crate) fn points(&self, now: Instant) -> u8 {
        if self.is_perfect() {
            return 100;
        }
        let (failing, age) = self.failing.at(millis(now));
        (100.0 * (1.0 - failing * remains(age))).round() as u8
    }
}

#[inline]
fn remains(age: u32) -> f32 {
    (-(age as f32) / HALF_LIFE_MS).exp2()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Instant = Instant::from_nanos(3_600_000_000_000);

    #[test]
    fn failures_cost_and_time_and_successes_heal() {
        let score = Score::new();
        assert_eq!(score.points(START), 100);
        score.failure(START);
        assert_eq!(score.points(START), 90);
        for _ in 0..9 {
            score.failure(START);
        }
        assert_eq!(score.points(START), 35);
        let later = START + Duration::from_secs(30);
        assert_eq!(score.points(later), 67);
        for _ in 0..100 {
            score.success(later);
        }
        assert!(score.is_perfect());
    }

    #[test]
    fn the_score_stays_within_its_range() {
        let score = Score::new();
        for _ in 0..10_000 {
            score.failure(START);
        }
        assert_eq!(score.points(START), 0);
        assert_eq!(score.points(START + Duration::from_secs(86_400)), 100);
    }
}
