use std::time::Duration;

use fastrand::Rng;

use crate::InvalidBackoff;

/// A schedule of delays between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    growth: Growth,
    jitter: Jitter,
}

/// How the delay grows from one retry to the next, before jitter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Growth {
    /// `initial × n` before the n-th retry.
    Linear,
    /// `initial × 2ⁿ⁻¹` before the n-th retry.
    #[default]
    Exponential,
}

/// How a delay is randomised, so that clients that failed together do not return together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Jitter {
    /// The computed delay as it is.
    None,
    /// Uniform between zero and the computed delay.
    #[default]
    Full,
    /// Half of the computed delay, plus up to the other half.
    Equal,
    /// Uniform between the initial delay and three times the previous delay, or the maximum if that
    /// is less, whatever the growth. Without a previous delay it stands for that with the initial one.
    Decorrelated,
}

impl Backoff {
    /// A builder of delays that double: 1 s, 2 s, 4 s for an `initial` of one second.
    pub fn exponential(initial: Duration) -> BackoffBuilder {
        BackoffBuilder::new(initial, Growth::Exponential)
    }

    /// A builder of delays that grow evenly: 1 s, 2 s, 3 s for an `initial` of one second.
    pub fn linear(initial: Duration) -> BackoffBuilder {
        BackoffBuilder::new(initial, Growth::Linear)
    }

    /// The delay before retry number `retry`, counted from one.
    ///
    /// With [`Jitter::Decorrelated`] use [`Backoff::delay_after`], which knows the delay before.
    #[must_use]
    pub fn delay(&self, retry: u32, random: &mut Rng) -> Duration {
        self.delay_after(retry, self.initial, random)
    }

    /// The delay before retry number `retry`, counted from one, when the one before it was
    /// `previous`.
    ///
    /// Only [`Jitter::Decorrelated`] looks at `previous`.
    #[must_use]
    pub fn delay_after(&self, retry: u32, previous: Duration, random: &mut Rng) -> Duration {
        let delay = match self.jitter {
            Jitter::None => self.ceiling(retry),
            Jitter::Full => uniform(Duration::ZERO, self.ceiling(retry), random),
            Jitter::Equal => {
                let ceiling = self.ceiling(retry);
                uniform(ceiling / 2, ceiling, random)
            }
            Jitter::Decorrelated => {
                let top = previous.saturating_mul(3).min(self.max);
                uniform(self.initial, top.max(self.initial), random)
            }
        };
        delay.min(self.max)
    }

    /// The delay before retry number `retry` without jitter: what jitter can reach at most,
    /// except for [`Jitter::Decorrelated`].
    #[must_use]
    pub fn ceiling(&self, retry: u32) -> Duration {
        let retry = retry.max(1);
        let grown = match self.growth {
            Growth::Linear => self.initial.saturating_mul(retry),
            Growth::Exponential => {
                let (mut grown, mut doublings) = (self.initial, retry - 1);
                while doublings > 0 && grown < self.max {
                    let step = doublings.min(31);
                    grown = grown.saturating_mul(1 << step);
                    doublings -= step;
                }
                grown
            }
        };
        grown.min(self.max)
    }

    /// The delay before the first retry, without jitter.
    #[must_use]
    pub fn initial(&self) -> Duration {
        self.initial
    }

    /// What no delay exceeds.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// How delays grow.
    #[must_use]
    pub fn growth(&self) -> Growth {
        self.growth
    }

    /// How delays are randomised.
    #[must_use]
    pub fn jitter(&self) -> Jitter {
        self.jitter
    }
}

/// Builds a [`Backoff`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct BackoffBuilder(Backoff);

impl BackoffBuilder {
    fn new(initial: Duration, growth: Growth) -> Self {
        Self(Backoff {
            initial,
            // AWS's SDKs stop growing at 20 s and Google's client at 32 s; half a minute is the
            // order of magnitude after which a caller has mostly gone.
            max: Duration::from_secs(30).max(initial),
            growth,
            jitter: Jitter::default(),
        })
    }

    /// The delay that none exceeds, jitter included. Default: 30 s, or the initial delay if
    /// that is longer.
    pub fn max(mut self, max: Duration) -> Self {
        self.0.max = max;
        self
    }

    /// How delays are randomised. Default: [`Jitter::Full`].
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.0.jitter = jitter;
        self
    }

    /// The finished schedule.
    ///
    /// # Errors
    ///
    /// When the initial delay is zero or above the maximum.
    pub fn build(self) -> Result<Backoff, InvalidBackoff> {
        if self.0.initial.is_zero() {
            Err(InvalidBackoff::ZeroInitialDelay)
        } else if self.0.max < self.0.initial {
            Err(InvalidBackoff::MaxBelowInitial)
        } else {
            Ok(self.0)
        }
    }
}

/// `interval` moved by up to `fraction` of itself in either direction, uniformly.
///
/// For periodic work that many processes do, such as health probes: the mean rate stays what
/// was configured. A fraction outside 0 to 1 counts as the nearer of the two.
#[must_use]
pub fn spread(interval: Duration, fraction: f64, random: &mut Rng) -> Duration {
    let fraction = if fraction.is_nan() {
        0.0
    } else {
        fraction.clamp(0.0, 1.0)
    };
    let factor = 1.0 + fraction * (2.0 * random.f64() - 1.0);
    Duration::try_from_secs_f64(interval.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

fn uniform(low: Duration, high: Duration, random: &mut Rng) -> Duration {
    let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.u64(nanos(low)..=nanos(high)))
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    use super::{Backoff, Duration, Growth, InvalidBackoff, Jitter, spread};

    fn backoff() -> impl Strategy<Value = Backoff> {
        let growth = prop_oneof![Just(Growth::Linear), Just(Growth::Exponential)];
        let jitter = prop_oneof![
            Just(Jitter::None),
            Just(Jitter::Full),
            Just(Jitter::Equal),
            Just(Jitter::Decorrelated),
        ];
        let delays = (1_u64..=u64::MAX / 2, 0_u64..=u64::MAX / 2);
        (delays, growth, jitter).prop_map(|((initial, more), growth, jitter)| Backoff {
            initial: Duration::from_nanos(initial),
            max: Duration::from_nanos(initial + more),
            growth,
            jitter,
        })
    }

    proptest! {
        #[test]
        fn no_delay_is_above_the_maximum(
            backoff in backoff(),
            retry in any::<u32>(),
            previous in any::<u64>(),
            seed in any::<u64>(),
        ) {
            let mut random = Rng::with_seed(seed);
            let previous = Duration::from_nanos(previous);
            prop_assert!(backoff.delay_after(retry, previous, &mut random) <= backoff.max);
        }

        #[test]
        fn each_jitter_stays_in_its_own_range(
            backoff in backoff(),
            retry in 1_u32..64,
            previous in any::<u64>(),
            seed in any::<u64>(),
        ) {
            let mut random = Rng::with_seed(seed);
            let previous = Duration::from_nanos(previous);
            let delay = backoff.delay_after(retry, previous, &mut random);
            let ceiling = backoff.ceiling(retry);
            match backoff.jitter {
                Jitter::None => prop_assert_eq!(delay, ceiling),
                Jitter::Full => prop_assert!(delay <= ceiling),
                Jitter::Equal => prop_assert!(delay >= ceiling / 2 && delay <= ceiling),
                Jitter::Decorrelated => prop_assert!(delay >= backoff.initial),
            }
        }

        #[test]
        fn without_jitter_delays_never_shrink(backoff in backoff(), retry in 1_u32..200) {
            prop_assert!(backoff.ceiling(retry) <= backoff.ceiling(retry + 1));
        }
    }

    #[test]
    fn linear_and_exponential_growth() {
        let second = Duration::from_secs(1);
        let linear = Backoff::linear(second)
            .jitter(Jitter::None)
            .build()
            .unwrap();
        let exponential = Backoff::exponential(second)
            .jitter(Jitter::None)
            .build()
            .unwrap();
        let seconds = |b: &Backoff| (1..=6).map(|n| b.ceiling(n).as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(&linear), [1, 2, 3, 4, 5, 6]);
        assert_eq!(seconds(&exponential), [1, 2, 4, 8, 16, 30]);
    }

    #[test]
    fn full_jitter_uses_the_whole_range() {
        let backoff = Backoff::linear(Duration::from_millis(1000))
            .build()
            .unwrap();
        let mut random = Rng::with_seed(1);
        let delays: Vec<_> = (0..1000).map(|_| backoff.delay(1, &mut random)).collect();
        assert!(delays.iter().any(|d| *d < Duration::from_millis(50)));
        assert!(delays.iter().any(|d| *d > Duration::from_millis(950)));
    }

    #[test]
    fn nonsense_is_refused() {
        let zero = Backoff::linear(Duration::ZERO).build();
        assert_eq!(zero, Err(InvalidBackoff::ZeroInitialDelay));
        let low = Backoff::linear(Duration::from_secs(2))
            .max(Duration::from_secs(1))
            .build();
        assert_eq!(low, Err(InvalidBackoff::MaxBelowInitial));
    }

    #[test]
    fn a_spread_interval_keeps_its_mean() {
        let mut random = Rng::with_seed(3);
        let total: Duration = (0..10_000)
            .map(|_| spread(Duration::from_secs(10), 0.2, &mut random))
            .sum();
        assert!((total.as_secs_f64() / 10_000.0 - 10.0).abs() < 0.05);
    }

    #[test]
    fn doubling_goes_on_for_as_long_as_there_is_room() {
        let backoff = Backoff::exponential(Duration::from_nanos(1))
            .max(Duration::from_secs(3_600))
            .jitter(Jitter::None)
            .build()
            .unwrap();
        assert_eq!(backoff.ceiling(32), Duration::from_nanos(1 << 31));
        assert_eq!(backoff.ceiling(33), Duration::from_nanos(1 << 32));
        assert_eq!(backoff.ceiling(42), Duration::from_nanos(1 << 41));
        assert_eq!(backoff.ceiling(43), Duration::from_secs(3_600));
        assert_eq!(backoff.ceiling(u32::MAX), Duration::from_secs(3_600));
    }

    #[test]
    fn any_interval_can_be_spread_by_any_number() {
        let mut random = Rng::with_seed(1);
        assert_eq!(spread(Duration::MAX, 0.0, &mut random), Duration::MAX);
        for _ in 0..20 {
            assert!(spread(Duration::MAX, 0.2, &mut random) > Duration::MAX / 2);
        }
        let second = Duration::from_secs(1);
        assert_eq!(spread(second, f64::NAN, &mut random), second);
    }
}
