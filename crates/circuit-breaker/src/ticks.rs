use std::time::Duration;

use bartizan_clock::Instant;

use crate::window::BUCKETS;

/// Divides time into ticks, of which the window spans ten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    origin: Instant,
    /// 2⁶⁴ ÷ the length of a tick, rounded up: a multiplication costs a tenth of a division.
    per_nano: u64,
}

impl Ticks {
    /// Ticks of a tenth of `window`, which must be longer than ten nanoseconds, from `origin`.
    pub(crate) fn new(window: Duration, origin: Instant) -> Self {
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let length = (window / BUCKETS).max(2);
        Self {
            origin,
            per_nano: u64::MAX / length + 1,
        }
    }

    /// The number of the tick that `now` falls into.
    ///
    /// Rounding makes each tick a hair shorter, never longer: 160 parts in a million million
    /// for a window of 30 seconds.
    #[inline]
    pub(crate) fn at(&self, now: Instant) -> u64 {
        let nanos = now.as_nanos().saturating_sub(self.origin.as_nanos());
        ((u128::from(nanos) * u128::from(self.per_nano)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{Duration, Instant, Ticks};

    proptest! {
        #[test]
        fn ticks_are_tenths_of_the_window(
            window_ms in 10_u64..3_600_000,
            origin in 0_u64..1 << 50,
            tick in 0_u64..1_000_000,
        ) {
            let origin = Instant::from_nanos(origin);
            let ticks = Ticks::new(Duration::from_millis(window_ms), origin);
            let start = origin + Duration::from_nanos(window_ms * 100_000 * tick);
            prop_assert_eq!(ticks.at(start), tick);
            // Half a million windows of an hour are 57 years.
            let end = start + Duration::from_nanos(window_ms * 99_000);
            prop_assert!(ticks.at(end) - tick <= 1);
            if tick < 1_000 {
                prop_assert_eq!(ticks.at(end), tick);
            }
        }
    }

    #[test]
    fn time_before_the_origin_is_the_first_tick() {
        let ticks = Ticks::new(Duration::from_secs(1), Instant::from_nanos(1_000));
        assert_eq!(ticks.at(Instant::from_nanos(1)), 0);
    }
}
