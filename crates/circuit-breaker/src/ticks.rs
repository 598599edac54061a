use std::time::Duration;

use bartizan_clock::{Clock, Instant};

use crate::{
    sync::{AtomicU64, Ordering},
    window::BUCKETS,
};

/// Divides time into ticks, of which the window spans ten.
#[derive(Debug)]
pub(crate) struct Ticks {
    clock: Clock,
    /// In nanoseconds.
    origin: AtomicU64,
    /// 2⁶⁴ ÷ the length of a tick, rounded up: a multiplication costs a tenth of a division.
    per_nano: AtomicU64,
}

impl Ticks {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            origin: AtomicU64::new(0),
            per_nano: AtomicU64::new(0),
        }
    }

    /// Begins to count ticks of a tenth of `window`, which must be longer than ten nanoseconds.
    ///
    /// Nothing is read on the authority of the two words: what is counted at a tick that is half
    /// of an earlier window belongs to a generation that has passed.
    pub(crate) fn start(&self, window: Duration) {
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let length = (window / BUCKETS).max(2);
        let origin = self.clock.now().as_nanos();
        self.origin.store(origin, Ordering::Relaxed);
        self.per_nano
            .store(u64::MAX / length + 1, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// The number of the current tick.
    #[inline]
    pub(crate) fn current(&self) -> u64 {
        self.at(self.clock.now())
    }

    /// The number of the tick that `now` falls into.
    ///
    /// Rounding makes each tick a hair shorter, never longer: 160 parts in a million million
    /// for a window of 30 seconds.
    #[inline]
    fn at(&self, now: Instant) -> u64 {
        let origin = self.origin.load(Ordering::Relaxed);
        let per_nano = self.per_nano.load(Ordering::Relaxed);
        let nanos = now.as_nanos().saturating_sub(origin);
        ((u128::from(nanos) * u128::from(per_nano)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{AtomicU64, Clock, Duration, Instant, Ticks};

    fn ticks(window: Duration, origin: Instant) -> Ticks {
        let mut ticks = Ticks::new(Clock::default());
        ticks.start(window);
        ticks.origin = AtomicU64::new(origin.as_nanos());
        ticks
    }

    proptest! {
        #[test]
        fn ticks_are_tenths_of_the_window(
            window_ms in 10_u64..3_600_000,
            origin in 0_u64..1 << 50,
            tick in 0_u64..1_000_000,
        ) {
            let origin = Instant::from_nanos(origin);
            let ticks = ticks(Duration::from_millis(window_ms), origin);
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
        let ticks = ticks(Duration::from_secs(1), Instant::from_nanos(1_000));
        assert_eq!(ticks.at(Instant::from_nanos(1)), 0);
    }
}
