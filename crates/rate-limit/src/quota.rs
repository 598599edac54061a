use std::{num::NonZeroU32, time::Duration};

use crate::InvalidQuota;

/// How many calls are let through: a sustained rate, and how many at once.
///
/// A full bucket holds [`burst`](Quota::burst) tokens and gains one every
/// [`interval`](Quota::interval). In any span of time `t` at most `burst + rate × t` calls pass.
///
/// ```
/// use bartizan_rate_limit::Quota;
/// use std::time::Duration;
///
/// let quota = Quota::per_minute(100).burst(20).build()?;
/// assert_eq!(quota.interval(), Duration::from_millis(600));
/// assert_eq!(quota.burst(), 20);
/// # Ok::<(), bartizan_rate_limit::InvalidQuota>(())
/// ```
///
/// The interval is a whole number of nanoseconds, rounded up: the rate is never above the one
/// asked for, and below it by less than one part in `interval / 1 ns`. That is nothing for rates
/// that divide a second, one token in thirty years at 3 a second, and at most one in a thousand
/// at the highest rate allowed.
///
/// The default is 100 a minute, 20 at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(governor::Quota);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Beyond a million a second the rounding of the interval to nanoseconds would show.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(1);

/// A bucket that needs longer to fill is a mistake, and its arithmetic would come near the end
/// of 64-bit nanoseconds.
const LONGEST_REFILL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Quota {
    /// A builder of a quota of `tokens` each second.
    pub const fn per_second(tokens: u32) -> QuotaBuilder {
        QuotaBuilder::new(tokens, SECOND)
    }

    /// A builder of a quota of `tokens` each minute.
    pub const fn per_minute(tokens: u32) -> QuotaBuilder {
        QuotaBuilder::new(tokens, MINUTE)
    }

    /// How many calls an idle limiter lets through at once.
    #[inline]
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.0.burst_size().get()
    }

    /// The time in which one token comes.
    #[inline]
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.0.replenish_interval()
    }

    /// The time in which an empty bucket fills; at most a year.
    #[inline]
    #[must_use]
    pub const fn refill(&self) -> Duration {
        self.0.burst_size_replenished_in()
    }

    #[inline]
    pub(crate) const fn as_governor(&self) -> governor::Quota {
        self.0
    }
}

impl Default for Quota {
    /// 100 a minute, 20 at once: what agent gateways in the field start out with.
    fn default() -> Self {
        const TOKENS: NonZeroU32 = NonZeroU32::new(100).unwrap();
        const BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
        Self(governor::Quota::per_minute(TOKENS).allow_burst(BURST))
    }
}

/// Builds a [`Quota`].
///
/// Unless told otherwise the burst is what one second brings, but at least 20 and at most the
/// whole number given: 20 for 100 a minute, 5 for 5 a minute, 50 for 50 a second. A burst of
/// the number itself would let a minute's worth of calls hit the service in one moment.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct QuotaBuilder {
    tokens: u32,
    period: Duration,
    burst: Option<u32>,
}

impl QuotaBuilder {
    const fn new(tokens: u32, period: Duration) -> Self {
        Self {
            tokens,
            period,
            burst: None,
        }
    }

    /// How many calls an idle limiter lets through at once.
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// The quota.
    ///
    /// # Errors
    ///
    /// When the rate or the burst is zero, the rate is above a million a second, or an empty
    /// bucket would take more than a year to fill.
    pub fn build(self) -> Result<Quota, InvalidQuota> {
        let tokens = NonZeroU32::new(self.tokens).ok_or(InvalidQuota::ZeroRate)?;
        let burst = self.burst.unwrap_or_else(|| self.default_burst());
        let burst = NonZeroU32::new(burst).ok_or(InvalidQuota::ZeroBurst)?;
        let nanos = self.period.as_nanos();
        if nanos < SHORTEST_INTERVAL.as_nanos() * u128::from(tokens.get()) {
            return Err(InvalidQuota::RateTooHigh);
        }
        let nanos = nanos.div_ceil(u128::from(tokens.get()));
        if nanos * u128::from(burst.get()) > LONGEST_REFILL.as_nanos() {
            return Err(InvalidQuota::BurstTooLarge);
        }
        u64::try_from(nanos)
            .ok()
            .and_then(|nanos| governor::Quota::with_period(Duration::from_nanos(nanos)))
            .map(|quota| Quota(quota.allow_burst(burst)))
            .ok_or(InvalidQuota::RateTooHigh)
    }

    fn default_burst(&self) -> u32 {
        let seconds = u32::try_from(self.period.as_secs()).unwrap_or(u32::MAX);
        (self.tokens / seconds.max(1)).max(20).min(self.tokens)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_is_per_the_unit_that_was_named() {
        let quota = Quota::per_second(20).build().unwrap();
        assert_eq!(quota.interval(), Duration::from_millis(50));
        let quota = Quota::per_minute(100).burst(20).build().unwrap();
        assert_eq!(quota.interval(), Duration::from_millis(600));
        assert_eq!(quota.refill(), Duration::from_secs(12));
        assert_eq!(quota, Quota::default());
    }

    #[test]
    fn the_default_burst_is_a_second_within_bounds() {
        let burst = |builder: QuotaBuilder| builder.build().unwrap().burst();
        assert_eq!(burst(Quota::per_minute(100)), 20);
        assert_eq!(burst(Quota::per_minute(5)), 5);
        assert_eq!(burst(Quota::per_minute(6_000)), 100);
        assert_eq!(burst(Quota::per_second(50)), 50);
        assert_eq!(burst(Quota::per_second(3)), 3);
    }

    #[test]
    fn nonsense_is_refused() {
        let error = |builder: QuotaBuilder| builder.build().unwrap_err();
        assert_eq!(error(Quota::per_minute(0)), InvalidQuota::ZeroRate);
        assert_eq!(
            error(Quota::per_second(5).burst(0)),
            InvalidQuota::ZeroBurst
        );
        assert_eq!(
            error(Quota::per_second(1_000_001)),
            InvalidQuota::RateTooHigh
        );
        assert_eq!(
            error(Quota::per_minute(1).burst(u32::MAX)),
            InvalidQuota::BurstTooLarge
        );
        assert!(Quota::per_second(1_000_000).build().is_ok());
        assert!(Quota::per_minute(60_000_000).build().is_ok());
    }

    proptest! {
        #[test]
        fn no_quota_is_faster_than_asked_for_or_much_slower(
            tokens in 1_u32..=1_000_000,
            minutes in any::<bool>(),
        ) {
            let (builder, period) = if minutes {
                (Quota::per_minute(tokens), MINUTE)
            } else {
                (Quota::per_second(tokens), SECOND)
            };
            let interval = builder.build().unwrap().interval();
            let taken = interval.as_nanos() * u128::from(tokens);
            prop_assert!(taken >= period.as_nanos());
            prop_assert!(taken < period.as_nanos() + u128::from(tokens));
        }
    }
}
