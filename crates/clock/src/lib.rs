//! One clock for every layer.
//!
//! Reading the time is the dearest thing a resilience layer does on its happy path:
//! `std::time::Instant::now` costs about 23 ns where the CPU's cycle counter, calibrated by
//! [quanta], costs 9 ns, and the operating system's coarse clock half of that. Tests want none of
//! them; they want tokio's clock, which stands still until it is advanced. [`Clock`] is all of
//! these, chosen when a layer is built, and [`Instant`] is a plain number of nanoseconds that fits
//! into an atomic.
//!
//! ```
//! use bartizan_clock::Clock;
//! use std::time::Duration;
//!
//! let clock = Clock::default();
//! let start = clock.now();
//! let deadline = start + Duration::from_secs(5);
//! assert!(clock.now() < deadline);
//! ```
//!
//! In a test, build the layer with [`Clock::tokio`] and advance the runtime's time:
//!
//! ```
//! use bartizan_clock::Clock;
//! use std::time::Duration;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
//! # .block_on(async {
//! let clock = Clock::tokio();
//! let start = clock.now();
//! tokio::time::advance(Duration::from_secs(3600)).await;
//! assert_eq!(clock.now() - start, Duration::from_secs(3600));
//! # });
//! ```
//!
//! # When not to use it
//!
//! For dates shown to people use [`Clock::wall`]; an [`Instant`] means nothing outside the
//! process that read it.
//!
//! [quanta]: https://docs.rs/quanta

#![allow(
    clippy::disallowed_methods,
    reason = "the one crate that may read the time"
)]

mod instant;

use std::{
    fmt,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

pub use instant::Instant;

/// A source of [`Instant`]s.
///
/// One byte wide and `Copy`: every layer keeps its own. All clocks of one kind share one
/// origin within a process, so their instants compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Counter,
    Tokio,
}

impl Clock {
    /// The CPU's cycle counter where it is invariant, otherwise the operating system's
    /// monotonic clock. This is the default.
    ///
    /// The first clock of a process calibrates the counter on the thread that makes it, which takes
    /// some milliseconds, and at most 200.
    #[must_use]
    pub fn counter() -> Self {
        counter();
        Self {
            source: Source::Counter,
        }
    }

    /// The clock of the tokio runtime, which tests can pause and advance.
    ///
    /// Outside a runtime, or in one whose clock runs, it is the operating system's clock.
    #[must_use]
    pub fn tokio() -> Self {
        origin();
        Self {
            source: Source::Tokio,
        }
    }

    /// The current instant.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        match self.source {
            Source::Counter => counter().now(),
            Source::Tokio => Instant::from_nanos(0) + since_origin(),
        }
    }

    /// A reading that takes half the time of [`now`](Self::now), in nanoseconds, for what is
    /// counted by tenths of seconds and more.
    ///
    /// Up to 10 ms late, and never going back. It has an origin of its own: it compares with other
    /// such readings, and not with an [`Instant`].
    ///
    /// It is the time that Linux notes at each tick of its timer. Where there is no such clock, or
    /// reading it takes a system call, it is [`now`](Self::now).
    #[inline]
    #[must_use]
    pub fn coarse_nanos(&self) -> u64 {
        #[cfg(target_os = "linux")]
        if self.source == Source::Counter && counter().coarse_is_cheaper {
            return linux_coarse_nanos();
        }
        self.now().as_nanos()
    }

    /// The date and time, for logs, headers and people.
    ///
    /// Follows tokio's paused clock when this clock does.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        match self.source {
            Source::Counter => SystemTime::now(),
            Source::Tokio => origin().wall + since_origin(),
        }
    }

    /// A future that completes when `deadline` has come; at once if it has passed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled, as [`tokio::time::sleep`] does.
    pub fn sleep_until(&self, deadline: Instant) -> tokio::time::Sleep {
        self.sleep(deadline - self.now())
    }

    /// A future that completes after `duration`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled, as [`tokio::time::sleep`] does.
    pub fn sleep(&self, duration: Duration) -> tokio::time::Sleep {
        tokio::time::sleep(duration)
    }
}

impl Default for Clock {
    /// [`Clock::counter`].
    fn default() -> Self {
        Self::counter()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::Counter => "Clock::counter",
            Source::Tokio => "Clock::tokio",
        })
    }
}

/// Instants start an hour after zero, so that looking back from a young process does not
/// run into the beginning of time.
const EPOCH_NANOS: u64 = 3_600_000_000_000;

struct Counter {
    clock: quanta::Clock,
    zero: u64,
    /// Whether the operating system's coarse clock is worth reading instead.
    #[cfg(target_os = "linux")]
    coarse_is_cheaper: bool,
}

impl Counter {
    fn new() -> Self {
        let clock = quanta::Clock::new();
        Self {
            zero: clock.raw(),
            #[cfg(target_os = "linux")]
            coarse_is_cheaper: coarse_is_cheaper(&clock),
            clock,
        }
    }

    #[inline]
    fn now(&self) -> Instant {
        let elapsed = self.clock.delta_as_nanos(self.zero, self.clock.raw());
        Instant::from_nanos(EPOCH_NANOS + elapsed)
    }
}

#[inline]
fn counter() -> &'static Counter {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    COUNTER.get_or_init(Counter::new)
}

#[cfg(target_os = "linux")]
#[inline]
fn linux_coarse_nanos() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::MonotonicCoarse);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Measured, because some kernels and sandboxes need a system call for it, which is dearer than
/// any counter.
#[cfg(target_os = "linux")]
fn coarse_is_cheaper(clock: &quanta::Clock) -> bool {
    let price_of = |read: &dyn Fn() -> u64| {
        let batch = || {
            let start = clock.raw();
            for _ in 0..32 {
                std::hint::black_box(read());
            }
            clock.raw().saturating_sub(start)
        };
        // The cheapest, because whatever comes in between makes a batch dearer.
        (0..5).map(|_| batch()).min()
    };
    price_of(&linux_coarse_nanos) < price_of(&|| clock.raw())
}

struct Origin {
    monotonic: std::time::Instant,
    wall: SystemTime,
}

fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| {
        // A paused runtime stands still at the moment it was paused, which is before this one.
        let back = Duration::from_nanos(EPOCH_NANOS);
        let (monotonic, wall) = (std::time::Instant::now(), SystemTime::now());
        monotonic.checked_sub(back).map_or_else(
            || Origin { monotonic, wall },
            |monotonic| Origin {
                monotonic,
                wall: wall - back,
            },
        )
    })
}

fn since_origin() -> Duration {
    tokio::time::Instant::now()
        .into_std()
        .saturating_duration_since(origin().monotonic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_moves_forward() {
        let clock = Clock::counter();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn the_counter_agrees_with_the_operating_system() {
        let clock = Clock::counter();
        let (start, system) = (clock.now(), std::time::Instant::now());
        while system.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let (ours, theirs) = (clock.now() - start, system.elapsed());
        assert!(
            ours.abs_diff(theirs) < Duration::from_millis(5),
            "{ours:?} {theirs:?}"
        );
    }

    #[test]
    fn the_coarse_clock_follows_the_fine_one() {
        let clock = Clock::counter();
        let (start, coarse) = (clock.now(), clock.coarse_nanos());
        let mut last = coarse;
        while clock.now() - start < Duration::from_millis(50) {
            let now = clock.coarse_nanos();
            assert!(now >= last);
            last = now;
        }
        let (fine, coarse) = (clock.now() - start, Duration::from_nanos(last - coarse));
        assert!(
            fine.abs_diff(coarse) < Duration::from_millis(25),
            "{fine:?} {coarse:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_runtime_stops_the_coarse_clock() {
        let clock = Clock::tokio();
        let start = clock.coarse_nanos();
        assert_eq!(clock.coarse_nanos(), start);
        tokio::time::advance(Duration::from_millis(3)).await;
        assert_eq!(clock.coarse_nanos() - start, 3_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_runtime_stops_both_clocks_of_tests() {
        let clock = Clock::tokio();
        let (start, wall) = (clock.now(), clock.wall());
        assert_eq!(clock.now(), start);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(clock.now() - start, Duration::from_millis(1_500));
        assert_eq!(
            clock.wall().duration_since(wall).unwrap(),
            Duration::from_millis(1_500)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn sleeping_until_the_past_returns_at_once() {
        let clock = Clock::tokio();
        let start = clock.now();
        clock.sleep_until(start).await;
        clock.sleep_until(start + Duration::from_secs(9)).await;
        assert!(clock.now() - start >= Duration::from_secs(9));
    }
}
