use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use bartizan_clock::Instant;
use parking_lot::Mutex;

use crate::{HealthConfig, ProbeResult};

/// What is known about an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Too few answers yet.
    #[default]
    Unknown,
    /// Alive, several times in a row.
    Healthy,
    /// Dead, several times in a row.
    Unhealthy,
}

impl Health {
    /// Whether requests may go there: everything but unhealthy.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        !matches!(self, Self::Unhealthy)
    }

    /// `unknown`, `healthy` or `unhealthy`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The health of one instance, shared between the checker that writes and whoever reads.
#[derive(Clone, Debug, Default)]
pub struct HealthState {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    health: AtomicU8,
    /// The history behind `health`. Locked by a probe that has ended and by who asks for the
    /// summary, never by who only wants to know whether the instance is usable.
    record: Mutex<Record>,
    /// Held while a probe is counted and its consequence announced, so that changes are told
    /// in the order in which they happened. Contended only by a second probe of one instance.
    announcing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Record {
    retired: bool,
    summary: HealthSummary,
}

/// The probes of one instance so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthSummary {
    /// All probes that have ended.
    pub probes: u64,
    /// Those that found the instance dead.
    pub failures: u64,
    /// Good answers since the last bad one.
    pub consecutive_successes: u32,
    /// Bad answers since the last good one.
    pub consecutive_failures: u32,
    /// When the last probe ended.
    pub last_probe: Option<Instant>,
    /// What the last probe found, if that was bad.
    pub reason: Option<Arc<str>>,
    /// Whether the last probe got no answer at all.
    pub unreachable: bool,
}

impl HealthSummary {
    /// Whether the last answer is the one that `health` leads to expect: the next may take its
    /// time.
    fn is_settled(&self, health: Health) -> bool {
        match health {
            Health::Unknown => false,
            Health::Healthy => self.consecutive_failures == 0,
            Health::Unhealthy => self.consecutive_successes == 0,
        }
    }
}

impl HealthState {
    /// The health now.
    #[inline]
    #[must_use]
    pub fn health(&self) -> Health {
        match self.inner.health.load(Ordering::Acquire) {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    /// Whether requests may go there: everything but unhealthy.
    #[inline]
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.health().is_usable()
    }

    /// The probes so far.
    #[must_use]
    pub fn summary(&self) -> HealthSummary {
        self.inner.record.lock().summary.clone()
    }

    /// Whether the last probe found what was known already.
    pub(crate) fn is_settled(&self) -> bool {
        let record = self.inner.record.lock();
        record.summary.is_settled(self.health())
    }

    /// Counts one probe and announces the change of health that it brought about, if any.
    pub(crate) fn record(
        &self,
        result: &ProbeResult,
        now: Instant,
        config: &HealthConfig,
        announce: impl FnOnce(Health, Health),
    ) {
        let _announcing = self.inner.announcing.lock();
        if let Some((from, to)) = self.count(result, now, config) {
            announce(from, to);
        }
    }

    fn count(
        &self,
        result: &ProbeResult,
        now: Instant,
        config: &HealthConfig,
    ) -> Option<(Health, Health)> {
        let mut record = self.inner.record.lock();
        if record.retired {
            return None;
        }
        let summary = &mut record.summary;
        summary.probes += 1;
        summary.last_probe = Some(now);
        summary.reason = result.reason().cloned();
        summary.unreachable = matches!(result, ProbeResult::Unreachable(_));
        if result.is_alive() {
            summary.consecutive_failures = 0;
            summary.consecutive_successes = summary.consecutive_successes.saturating_add(1);
        } else {
            summary.failures += 1;
            summary.consecutive_successes = 0;
            summary.consecutive_failures = summary.consecutive_failures.saturating_add(1);
        }
        let from = self.health();
        let to = if summary.consecutive_successes >= config.healthy_threshold.get() {
            Health::Healthy
        } else if summary.consecutive_failures >= config.unhealthy_threshold.get() {
            Health::Unhealthy
        } else {
            from
        };
        (from != to).then(|| {
            self.inner.health.store(to as u8, Ordering::Release);
            (from, to)
        })
    }

    /// Ignores all probes that are still on their way, because the instance is gone.
    pub(crate) fn retire(&self) {
        self.inner.record.lock().retired = true;
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.inner.record.lock().retired
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(answers: &[bool], config: &HealthConfig) -> (HealthState, Vec<(Health, Health)>) {
        let state = HealthState::default();
        let mut transitions = Vec::new();
        for alive in answers {
            let result = if *alive {
                ProbeResult::Alive
            } else {
                ProbeResult::dead("no answer")
            };
            let now = Instant::from_nanos(1);
            state.record(&result, now, config, |from, to| {
                transitions.push((from, to));
            });
        }
        (state, transitions)
    }

    #[test]
    fn three_bad_answers_in_a_row_condemn_and_two_good_ones_acquit() {
        let config = HealthConfig::default();
        let (state, _) = run(&[false, false, true, false, false], &config);
        assert_eq!(state.health(), Health::Unknown);
        let (state, _) = run(&[false, false, false], &config);
        assert_eq!(state.health(), Health::Unhealthy);
        assert!(!state.is_usable());
        let (state, _) = run(&[false, false, false, true, false, true], &config);
        assert_eq!(state.health(), Health::Unhealthy);
        let (state, transitions) = run(&[false, false, false, true, true], &config);
        assert_eq!(state.health(), Health::Healthy);
        let expected = [
            (Health::Unknown, Health::Unhealthy),
            (Health::Unhealthy, Health::Healthy),
        ];
        assert_eq!(transitions, expected);
        assert_eq!(state.summary().failures, 3);
        assert_eq!(state.summary().consecutive_successes, 2);
        assert_eq!(state.summary().reason, None);
    }

    #[test]
    fn no_answer_is_told_from_a_bad_one() {
        let state = HealthState::default();
        let config = HealthConfig::default();
        let record = |result: ProbeResult| {
            state.record(&result, Instant::from_nanos(1), &config, |_, _| {});
            state.summary().unreachable
        };
        assert!(record(ProbeResult::unreachable("refused")));
        assert!(!record(ProbeResult::dead("answered 503")));
        assert!(record(ProbeResult::unreachable("refused")));
        assert_eq!(state.health(), Health::Unhealthy);
        assert!(!record(ProbeResult::Alive));
    }

    #[test]
    fn a_state_is_settled_while_answers_agree_with_it() {
        let config = HealthConfig::default();
        for (answers, settled) in [
            (&[][..], false),
            (&[true], false),
            (&[true, true], true),
            (&[true, true, false], false),
            (&[false, false, false], true),
            (&[false, false, false, true], false),
        ] {
            assert_eq!(run(answers, &config).0.is_settled(), settled, "{answers:?}");
        }
    }

    #[test]
    fn a_retired_state_stands_still() {
        let (state, _) = run(&[true, true], &HealthConfig::default());
        state.retire();
        let before = state.summary();
        let dead = ProbeResult::dead("late");
        for _ in 0..9 {
            let now = Instant::from_nanos(2);
            state.record(&dead, now, &HealthConfig::default(), |_, _| unreachable!());
        }
        assert_eq!((state.health(), state.summary()), (Health::Healthy, before));
    }

    proptest! {
        #[test]
        fn health_follows_the_last_long_enough_run(
            answers in proptest::collection::vec(any::<bool>(), 0..60),
            up in 1_u32..5,
            down in 1_u32..5,
        ) {
            let config = HealthConfig::builder()
                .healthy_threshold(up)
                .unhealthy_threshold(down)
                .build()
                .unwrap();
            let (state, transitions) = run(&answers, &config);
            let mut expected = Health::Unknown;
            for end in 1..=answers.len() {
                let run_of = |value| {
                    answers[..end].iter().rev().take_while(|a| **a == value).count()
                };
                if run_of(true) >= up as usize {
                    expected = Health::Healthy;
                } else if run_of(false) >= down as usize {
                    expected = Health::Unhealthy;
                }
            }
            prop_assert_eq!(state.health(), expected);
            for pair in transitions.windows(2) {
                prop_assert_eq!(pair[0].1, pair[1].0);
            }
        }
    }
}
