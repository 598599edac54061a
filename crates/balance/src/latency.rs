use std::time::Duration;

use bartizan_clock::Instant;

use crate::decaying::Decaying;

/// What a new endpoint is taken to need: linkerd's default. Long enough that it gets its first
/// requests from light traffic, not from a burst.
const INITIAL: Duration = Duration::from_secs(1);

/// How fast peaks are forgotten: linkerd's default.
const DECAY_MS: f64 = 10_000.0;

/// What an endpoint that failed or refused is taken to have needed, if it does not say when to
/// come back: linkerd's default.
const PENALTY: Duration = Duration::from_secs(5);

/// A hint to come back later than this is not believed: linkerd's default.
const MAX_PENALTY: Duration = Duration::from_secs(300);

/// Differences below this are noise.
const FLOOR_NANOS: f32 = 100_000.0;

/// A moving average of latencies that jumps to a new peak at once and comes down slowly.
///
/// An average that treats both directions alike notices too late that an endpoint became slow.
/// The idea is from Twitter's Finagle (`Peak EWMA`), the form from tower's.
#[derive(Debug)]
pub(crate) struct Latency {
    nanos: Decaying,
}

impl Latency {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            nanos: Decaying::new(nanos(INITIAL), millis(now)),
        }
    }

    /// A call took this long.
    #[inline]
    pub(crate) fn observe(&self, latency: Duration, now: Instant) {
        let sample = nanos(latency);
        self.nanos.update(millis(now), |average, age| {
            if sample >= average {
                return sample;
            }
            let kept = remains(age);
            average * kept + sample * (1.0 - kept)
        });
    }

    /// A call was given up after this long.
    #[inline]
    pub(crate) fn observe_at_least(&self, latency: Duration, now: Instant) {
        let sample = nanos(latency);
        self.nanos.update(millis(now), |average, age| {
            let average = average * remains(age);
            if sample > average { sample } else { average }
        });
    }

    /// The endpoint failed, or asked for fewer calls.
    pub(crate) fn penalise(&self, latency: Duration, hint: Option<Duration>, now: Instant) {
        let penalty = hint.unwrap_or(PENALTY).min(MAX_PENALTY);
        self.observe(latency.max(penalty), now);
    }

    /// Forgets what was observed for what somebody knows better.
    pub(crate) fn take(&self, nanos: f32, now: Instant) {
        self.nanos.update(millis(now), |_, _| nanos);
    }

    /// The average, decayed towards zero since the last call.
    #[inline]
    pub(crate) fn average_nanos(&self, now: Instant) -> f32 {
        let (average, age) = self.nanos.at(millis(now));
        (average * remains(age)).max(FLOOR_NANOS)
    }

    /// The averages of both at the same time, which is when the one that is newer was stored. What
    /// has passed since shrinks both alike, down to the floor, and need not be known.
    #[inline(always)]
    pub(crate) fn both(&self, other: &Self) -> (f32, f32) {
        let ((ours, our_time), (theirs, their_time)) = (self.nanos.dated(), other.nanos.dated());
        let newer = our_time.wrapping_sub(their_time) as i32;
        let kept = remains(newer.unsigned_abs());
        let (ours, theirs) = if newer > 0 {
            (ours, theirs * kept)
        } else {
            (ours * kept, theirs)
        };
        (ours.max(FLOOR_NANOS), theirs.max(FLOOR_NANOS))
    }

    pub(crate) fn average(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.average_nanos(now) as u64)
    }
}

/// What is left of a peak after `age` milliseconds, `exp(-age / DECAY_MS)`. A call asks
/// twice; from tables it is told in 9 ns less than by libm, of the 86 that a pick among ten
/// thousand endpoints took.
#[inline(always)]
fn remains(age: u32) -> f32 {
    let (fine, coarse) = (age as usize % FINE.len(), age as usize / FINE.len());
    FINE[fine] * COARSE[coarse.min(COARSE.len() - 1)]
}

/// What is left after so many milliseconds.
static FINE: [f32; 256] = powers(DECAY_MS);

/// What is left after so many times 256 of them. After four minutes that is nothing.
static COARSE: [f32; 1024] = powers(DECAY_MS / 256.0);

/// The powers of `exp(-1 / steps)`, from the zeroth on.
const fn powers<const N: usize>(steps: f64) -> [f32; N] {
    let x = -1.0 / steps;
    // Of numbers below 0.03 the series has all digits that there are after six terms.
    let step = 1.0 + x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0))));
    let (mut powers, mut power, mut n) = ([0.0; N], 1.0, 0);
    while n < N {
        powers[n] = power as f32;
        power *= step;
        n += 1;
    }
    powers
}

#[inline]
fn nanos(duration: Duration) -> f32 {
    duration.as_nanos() as f32
}

#[inline]
pub(crate) fn millis(now: Instant) -> u32 {
    (now.as_nanos() / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant::from_nanos(3_600_000_000_000);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn close(actual: Duration, expected: Duration) {
        let ratio = actual.as_secs_f64() / expected.as_secs_f64();
        assert!((ratio - 1.0).abs() < 0.01, "{actual:?} {expected:?}");
    }

    #[test]
    fn a_new_endpoint_starts_at_a_second_and_is_trusted_gradually() {
        let latency = Latency::new(START);
        close(latency.average(START), ms(1_000));
        latency.observe(ms(10), START + ms(100));
        assert!(latency.average(START + ms(100)) > ms(900));
        close(latency.average(START + ms(10_000)), ms(368));
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let latency = Latency::new(START);
        let later = START + ms(100_000);
        latency.observe(ms(10), later);
        latency.observe(ms(2_000), later);
        close(latency.average(later), ms(2_000));
        latency.observe(ms(10), later + ms(1_000));
        close(latency.average(later + ms(1_000)), ms(1_811));
    }

    #[test]
    fn two_are_compared_as_of_the_newer_one() {
        let (older, newer) = (Latency::new(START), Latency::new(START + ms(10_000)));
        let (old, new) = older.both(&newer);
        assert_eq!(newer.both(&older), (new, old));
        assert!((old / new - 0.368).abs() < 0.001, "{old} {new}");
        let now = START + ms(12_000);
        let then = older.average_nanos(now) / newer.average_nanos(now);
        assert!((old / new - then).abs() < 1e-6);
        // Below the floor they are the same.
        let fast = Latency::new(START);
        fast.take(1.0, START);
        let faster = Latency::new(START);
        faster.take(0.5, START + ms(5));
        assert_eq!(fast.both(&faster), (FLOOR_NANOS, FLOOR_NANOS));
    }

    #[test]
    fn two_are_compared_across_the_end_of_the_counter() {
        let end = Instant::from_nanos(u64::from(u32::MAX) * 1_000_000);
        let (older, newer) = (Latency::new(end), Latency::new(end + ms(10_001)));
        let (old, new) = older.both(&newer);
        assert!((old / new - 0.368).abs() < 0.001, "{old} {new}");
    }

    #[test]
    fn samples_within_a_millisecond_do_not_stop_the_decay() {
        let latency = Latency::new(START);
        for micros in 0..20_000 {
            let now = START + Duration::from_micros(micros * 500);
            latency.observe(ms(1), now);
        }
        close(latency.average(START + ms(10_000)), ms(368));
    }

    #[test]
    fn a_failure_is_slow_and_a_hint_is_believed_within_reason() {
        let fresh = || Latency::new(START);
        let cases = [
            (None, ms(5_000)),
            (Some(ms(20_000)), ms(20_000)),
            (Some(Duration::MAX), ms(300_000)),
        ];
        for (hint, expected) in cases {
            let latency = fresh();
            latency.penalise(ms(1), hint, START);
            close(latency.average(START), expected);
        }
    }

    #[test]
    fn a_call_given_up_shows_how_slow_an_endpoint_is_at_least() {
        let latency = Latency::new(START);
        latency.observe_at_least(ms(1), START);
        close(latency.average(START), ms(1_000));
        latency.observe_at_least(ms(30_000), START);
        close(latency.average(START), ms(30_000));
    }

    #[test]
    fn a_clock_read_earlier_on_another_thread_does_no_harm() {
        let latency = Latency::new(START + ms(5_000));
        latency.observe(ms(500), START);
        close(latency.average(START), ms(1_000));
        close(latency.average(START + ms(5_000)), ms(1_000));
    }

    #[test]
    fn what_is_left_of_a_peak_is_exponential() {
        for age in (0..60_000).chain((60_000..260_000).step_by(17)) {
            let exact = (-f64::from(age) / DECAY_MS).exp();
            let error = (f64::from(remains(age)) / exact - 1.0).abs();
            assert!(error < 1e-6, "{age}: {error}");
        }
        assert_eq!(remains(0), 1.0);
        assert!(remains(u32::MAX) < 1e-11);
    }

    proptest! {
        #[test]
        fn the_average_stays_between_its_samples(
            samples in proptest::collection::vec((0_u64..5_000, 0_u64..20_000), 1..50),
        ) {
            let latency = Latency::new(START);
            let mut now = START;
            let mut most = 1_000;
            for (sample, pause) in samples {
                now += ms(pause);
                latency.observe(ms(sample), now);
                most = most.max(sample);
                let average = latency.average(now);
                prop_assert!(average >= Duration::from_nanos(99_999));
                prop_assert!(average <= ms(most) + ms(1));
            }
        }
    }
}
