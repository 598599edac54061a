//! Any sequence of calls, outcomes and waits, against a model that is too simple to be wrong.

use std::time::Duration;

use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, Permit, State};
use bartizan_classify::Outcome;
use bartizan_clock::Clock;
use proptest::{collection::vec, prelude::*};

const THRESHOLD: u32 = 4;
const RATIO: f64 = 0.5;
const WINDOW_MS: u64 = 1_000;
const TICK_MS: u64 = WINDOW_MS / 10;
const MINIMUM_CALLS: usize = 6;
const RECOVERY_MS: u64 = 700;
const RECOVERY_MAX_MS: u64 = 3_000;
const PROBES: usize = 2;
const HALF_OPEN_TIMEOUT_MS: u64 = 1_500;
const PROBE_WAIT_MS: u64 = 1_000;

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    /// Ends one of the calls under way; the number picks it.
    Record(usize, Outcome),
    Drop(usize),
    Advance(u64),
    ForceOpen,
    ForceClose,
    Reset,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let hint = || proptest::option::of((0_u64..4_000).prop_map(Duration::from_millis));
    prop_oneof![
        3 => Just(Outcome::Success),
        3 => Just(Outcome::FAILURE),
        1 => hint().prop_map(|retry_after| Outcome::Failure { retry_after }),
        1 => hint().prop_map(|retry_after| Outcome::Limited { retry_after }),
        1 => Just(Outcome::Ignored),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => Just(Step::Acquire),
        40 => (any::<usize>(), outcome()).prop_map(|(n, outcome)| Step::Record(n, outcome)),
        5 => any::<usize>().prop_map(Step::Drop),
        20 => (0_u64..250).prop_map(Step::Advance),
        5 => (500_u64..3_500).prop_map(Step::Advance),
        1 => Just(Step::ForceOpen),
        1 => Just(Step::ForceClose),
        1 => Just(Step::Reset),
    ]
}

#[derive(Debug)]
enum Phase {
    Closed {
        consecutive: u32,
        /// When each call was counted, and whether it failed.
        calls: Vec<(u64, bool)>,
    },
    Open {
        until_ms: u64,
    },
    HalfOpen {
        in_flight: usize,
        successes: usize,
        last_probe_ms: u64,
    },
    ForcedOpen,
    ForcedClosed,
}

const CLOSED: Phase = Phase::Closed {
    consecutive: 0,
    calls: Vec::new(),
};

struct Model {
    phase: Phase,
    generation: u32,
    now_ms: u64,
    failed_recoveries: u32,
    open_count: u64,
}

impl Model {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }

    fn open(&mut self, hint: Option<Duration>) {
        let hint_ms = hint.map_or(0, |d| d.as_millis() as u64);
        self.failed_recoveries = match self.phase {
            Phase::HalfOpen { .. } => self.failed_recoveries + 1,
            _ => 0,
        };
        let grown = RECOVERY_MS << self.failed_recoveries.min(10);
        let until_ms = self.now_ms + grown.max(hint_ms).min(RECOVERY_MAX_MS);
        self.open_count += 1;
        self.enter(Phase::Open { until_ms });
    }

    /// The generation of the permit, or the milliseconds to wait.
    fn acquire(&mut self) -> Result<u32, u64> {
        match &mut self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed => {}
            Phase::ForcedOpen => return Err(RECOVERY_MS),
            Phase::Open { until_ms } if self.now_ms < *until_ms => {
                return Err(*until_ms - self.now_ms);
            }
            Phase::Open { .. } => self.enter(Phase::HalfOpen {
                in_flight: 1,
                successes: 0,
                last_probe_ms: self.now_ms,
            }),
            Phase::HalfOpen {
                in_flight,
                successes,
                last_probe_ms,
            } => {
                if *in_flight + *successes < PROBES {
                    *in_flight += 1;
                    *last_probe_ms = self.now_ms;
                } else if self.now_ms < *last_probe_ms + HALF_OPEN_TIMEOUT_MS {
                    let patience = *last_probe_ms + HALF_OPEN_TIMEOUT_MS - self.now_ms;
                    return Err(patience.min(PROBE_WAIT_MS));
                } else {
                    self.open(None);
                    return self.acquire();
                }
            }
        }
        Ok(self.generation)
    }

    fn window(&self) -> (usize, usize) {
        let Phase::Closed { calls, .. } = &self.phase else {
            return (0, 0);
        };
        let first = (self.now_ms / TICK_MS).saturating_sub(9);
        let inside = || calls.iter().filter(|(at, _)| at / TICK_MS >= first);
        (
            inside().count(),
            inside().filter(|(_, failed)| *failed).count(),
        )
    }

    fn record(&mut self, generation: u32, outcome: Option<Outcome>) {
        if generation != self.generation {
            return;
        }
        let outcome = outcome.unwrap_or(Outcome::Ignored);
        let failed = outcome != Outcome::Success;
        match &mut self.phase {
            Phase::Closed { consecutive, calls } => {
                match outcome {
                    Outcome::Ignored => return,
                    Outcome::Success => *consecutive = 0,
                    Outcome::Failure { .. } => *consecutive += 1,
                    Outcome::Limited { .. } => {}
                }
                calls.push((self.now_ms, failed));
                let consecutive = *consecutive;
                let (calls, failures) = self.window();
                let ratio_reached =
                    calls >= MINIMUM_CALLS && failures as f64 / calls as f64 >= RATIO;
                if failed && (consecutive >= THRESHOLD || ratio_reached) {
                    self.open(outcome.retry_after());
                }
            }
            Phase::HalfOpen {
                in_flight,
                successes,
                ..
            } => {
                *in_flight -= 1;
                match outcome {
                    Outcome::Ignored => {}
                    Outcome::Success => {
                        *successes += 1;
                        if *successes == PROBES {
                            self.failed_recoveries = 0;
                            self.enter(CLOSED);
                        }
                    }
                    Outcome::Failure { .. } | Outcome::Limited { .. } => {
                        self.open(outcome.retry_after());
                    }
                }
            }
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
    }

    fn force_open(&mut self) {
        if !matches!(self.phase, Phase::ForcedOpen) {
            self.open_count += 1;
            self.enter(Phase::ForcedOpen);
        }
    }

    fn force_close(&mut self) {
        if !matches!(self.phase, Phase::ForcedClosed) {
            self.enter(Phase::ForcedClosed);
        }
    }

    fn reset(&mut self) {
        self.failed_recoveries = 0;
        self.enter(CLOSED);
    }

    fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed => State::Closed,
            Phase::Open { .. } | Phase::ForcedOpen => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

fn breaker() -> CircuitBreaker {
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(Some(THRESHOLD))
        .failure_ratio(Some(RATIO))
        .window(Duration::from_millis(WINDOW_MS))
        .minimum_calls(MINIMUM_CALLS as u32)
        .recovery_timeout(Duration::from_millis(RECOVERY_MS))
        .recovery_timeout_max(Duration::from_millis(RECOVERY_MAX_MS))
        .recovery_jitter(0.0)
        .half_open_max_calls(PROBES as u32)
        .half_open_timeout(Duration::from_millis(HALF_OPEN_TIMEOUT_MS))
        .build()
        .unwrap();
    CircuitBreaker::new(config, Clock::tokio())
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let breaker = breaker();
    let mut model = Model {
        phase: CLOSED,
        generation: 0,
        now_ms: 0,
        failed_recoveries: 0,
        open_count: 0,
    };
    let mut permits: Vec<(Permit, u32)> = Vec::new();
    for step in steps {
        match step {
            Step::Acquire => {
                let (real, modelled) = (breaker.try_acquire(), model.acquire());
                let wait = real.as_ref().err().map(|open| open.retry_after);
                prop_assert_eq!(wait, modelled.err().map(Duration::from_millis));
                if let (Ok(permit), Ok(generation)) = (real, modelled) {
                    permits.push((permit, generation));
                }
            }
            Step::Record(n, outcome) if !permits.is_empty() => {
                let (permit, generation) = permits.swap_remove(n % permits.len());
                permit.record(outcome);
                model.record(generation, Some(outcome));
            }
            Step::Drop(n) if !permits.is_empty() => {
                let (permit, generation) = permits.swap_remove(n % permits.len());
                drop(permit);
                model.record(generation, None);
            }
            Step::Record(..) | Step::Drop(_) => {}
            Step::Advance(ms) => {
                tokio::time::advance(Duration::from_millis(ms)).await;
                model.now_ms += ms;
            }
            Step::ForceOpen => {
                breaker.force_open();
                model.force_open();
            }
            Step::ForceClose => {
                breaker.force_close();
                model.force_close();
            }
            Step::Reset => {
                breaker.reset();
                model.reset();
            }
        }
        let snapshot = breaker.snapshot();
        prop_assert_eq!(snapshot.state, model.state());
        prop_assert_eq!(snapshot.generation, model.generation);
        prop_assert_eq!(snapshot.open_count, model.open_count);
        prop_assert_eq!(snapshot.failed_recoveries, model.failed_recoveries);
        let (calls, failures) = model.window();
        prop_assert_eq!(snapshot.calls as usize, calls);
        prop_assert_eq!(snapshot.failures as usize, failures);
        let (consecutive, in_flight, successes) = match model.phase {
            Phase::Closed { consecutive, .. } => (consecutive, 0, 0),
            Phase::HalfOpen {
                in_flight,
                successes,
                ..
            } => (0, in_flight, successes),
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => (0, 0, 0),
        };
        prop_assert_eq!(snapshot.consecutive_failures, consecutive);
        prop_assert_eq!(snapshot.half_open_in_flight as usize, in_flight);
        prop_assert_eq!(snapshot.half_open_successes as usize, successes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_breaker_does_what_the_model_does(steps in vec(step(), 1..400)) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(steps))?;
    }
}
