use std::{sync::atomic::AtomicBool, time::Duration};

use bartizan_clock::Clock;

use crate::{
    sync::{AtomicU64, Ordering},
    window::BUCKETS,
};

/// The length of a tick, in nanoseconds, from which on the coarse clock will do: that of a window
/// of a second.
const COARSE_TICK: u64 = 100_000_000;

/// Divides time into ticks, of which the window spans ten.
#[derive(Debug)]
pub(crate) struct Ticks {
    clock: Clock,
    /// Whether the clock is read to ten milliseconds only, which is a tenth of a tick or less.
    is_coarse: AtomicBool,
    /// In nanoseconds.
    origin: AtomicU64,
    /// 2⁶⁴ ÷ the length of a tick, rounded up: a multiplication costs a tenth of a division.
    per_nano: AtomicU64,
}

impl Ticks {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            is_coarse: AtomicBool::new(false),
            origin: AtomicU64::new(0),
            per_nano: AtomicU64::new(0),
        }
    }

    /// Begins to count ticks of a tenth of `window`, which must be longer than ten nanoseconds.
    ///
    /// Nothing is read on the authority of what is stored here: what is counted at a tick that is half
    /// of an earlier window belongs to a generation that has passed.
    pub(crate) fn start(&self, window: Duration) {
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let length = (window / BUCKETS).max(2);
        let per_nano = u64::MAX / length + 1;
        let is_coarse = length >= COARSE_TICK;
        self.is_coarse.store(is_coarse, Ordering::Relaxed);
        self.origin.store(self.nanos(), Ordering::Relaxed);
        self.per_nano.store(per_nano, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// The number of the current tick.
    #[inline]
    pub(crate) fn current(&self) -> u64 {
        self.at(self.nanos())
    }

    #[inline]
    fn nanos(&self) -> u64 {
        if self.is_coarse.load(Ordering::Relaxed) {
            self.clock.coarse_nanos()
        } else {
            self.clock.now().as_nanos()
        }
    }

    /// The number of the tick that `nanos` falls into.
    ///
    /// Rounding makes each tick a hair shorter, never longer: 160 parts in a million million
    /// for a window of 30 seconds.
    #[inline]
    fn at(&self, nanos: u64) -> u64 {
        let origin = self.origin.load(Ordering::Relaxed);
        let per_nano = self.per_nano.load(Ordering::Relaxed);
        let nanos = nanos.saturating_sub(origin);
        ((u128::from(nanos) * u128::from(per_nano)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{AtomicU64, Clock, Duration, Ticks};

    fn ticks(window: Duration, origin: u64) -> Ticks {
        let mut ticks = Ticks::new(Clock::default());
        ticks.start(window);
        ticks.origin = AtomicU64::new(origin);
        ticks
    }

    proptest! {
        #[test]
        fn ticks_are_tenths_of_the_window(
            window_ms in 10_u64..3_600_000,
            origin in 0_u64..1 << 50,
            tick in 0_u64..1_000_000,
        ) {
            let ticks = ticks(Duration::from_millis(window_ms), origin);
            let start = origin + window_ms * 100_000 * tick;
            prop_assert_eq!(ticks.at(start), tick);
            // Half a million windows of an hour are 57 years.
            let end = start + window_ms * 99_000;
            prop_assert!(ticks.at(end) - tick <= 1);
            if tick < 1_000 {
                prop_assert_eq!(ticks.at(end), tick);
            }
        }
    }

    #[test]
    fn time_before_the_origin_is_the_first_tick() {
        let ticks = ticks(Duration::from_secs(1), 1_000);
        assert_eq!(ticks.at(1), 0);
    }
}
