use crate::sync::{AtomicU64, Ordering};

/// How many buckets share the window.
pub(crate) const BUCKETS: u64 = 10;

/// The bucket that an outcome belongs to: when it happened, and in which stay of the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) tick: u64,
    pub(crate) generation: u32,
}

impl Stamp {
    #[inline]
    fn index(self) -> usize {
        (self.tick % BUCKETS) as usize
    }

    #[inline]
    fn bits(self) -> u64 {
        let generation = u64::from(self.generation) & GENERATION_MASK;
        generation << TICK_BITS | (self.tick & TICK_MASK)
    }
}

/// What a window contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// All calls.
    pub(crate) calls: u32,
    /// The calls that were marked: failed, or slow.
    pub(crate) marked: u32,
}

impl Totals {
    /// Whether there are enough calls to judge by and the marked ones reach `ratio`.
    ///
    /// Divides instead of multiplying: 7 ÷ 25 is exactly the double nearest to 0.28, whereas
    /// 0.28 × 25 is above 7.
    pub(crate) fn reach(self, ratio: f64, minimum_calls: u32) -> bool {
        self.calls >= minimum_calls.max(1)
            && f64::from(self.marked) / f64::from(self.calls) >= ratio
    }
}

/// Counts of calls over the last ten ticks, exact, in constant memory and time.
///
/// Each bucket is one word: from the top, 4 bits of generation, 20 bits of tick, 20 bits of
/// calls and 20 bits of marked calls. A bucket whose tick or generation is not the expected one
/// counts as empty and is taken over by the next outcome in the same compare-and-swap that
/// counts it, so there is no moment at which a count can fall between two ticks.
///
/// A tick repeats in its bucket after 5,242,880 ticks (half a million windows; 182 days if the
/// window is 30 seconds), so only a circuit that slept exactly that long could count its past.
/// A bucket that is full, after a million calls, is halved: the ratio survives.
#[derive(Debug, Default)]
pub(crate) struct Window {
    buckets: [AtomicU64; BUCKETS as usize],
}

const GENERATION_MASK: u64 = 0xf;
const TICK_BITS: u32 = 20;
const TICK_MASK: u64 = (1 << TICK_BITS) - 1;
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const STAMP_SHIFT: u32 = 2 * COUNT_BITS;

impl Window {
    /// Counts one call, in the bucket of `stamp`.
    ///
    /// When that bucket holds something else, `fresh` is asked for the stamp as it is now, or
    /// `None` when the generation has passed and the outcome is to be dropped.
    #[inline]
    pub(crate) fn record(&self, stamp: Stamp, marked: bool, fresh: impl Fn() -> Option<Stamp>) {
        let bucket = &self.buckets[stamp.index()];
        let seen = bucket.load(Ordering::Acquire);
        let next = seen + (1 << COUNT_BITS | u64::from(marked));
        let is_simple = seen >> STAMP_SHIFT == stamp.bits() && !is_full(seen);
        if !is_simple
            || bucket
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
        {
            self.record_contended(stamp, marked, fresh);
        }
    }

    /// As [`Window::record`], whatever the bucket holds and whoever else writes it.
    ///
    /// What was seen in the bucket was written before `fresh` looked, so if it still differs it
    /// is older, and the compare-and-swap that replaces it cannot erase anything newer. A thread
    /// that slept through a whole window after reading the time is caught by the same rule.
    #[cold]
    fn record_contended(&self, mut stamp: Stamp, marked: bool, fresh: impl Fn() -> Option<Stamp>) {
        let mut bucket = &self.buckets[stamp.index()];
        let mut seen = bucket.load(Ordering::Acquire);
        loop {
            let counts = if seen >> STAMP_SHIFT == stamp.bits() {
                seen & !(u64::MAX << STAMP_SHIFT)
            } else {
                let Some(now) = fresh() else { return };
                if now != stamp {
                    stamp = now;
                    bucket = &self.buckets[stamp.index()];
                    seen = bucket.load(Ordering::Acquire);
                    continue;
                }
                0
            };
            let next = stamp.bits() << STAMP_SHIFT | plus_one(counts, marked);
            match bucket.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(changed) => seen = changed,
            }
        }
    }

    /// Adds up the ten ticks that end with `stamp`.
    pub(crate) fn totals(&self, stamp: Stamp) -> Totals {
        let mut totals = Totals::default();
        for back in 0..BUCKETS.min(stamp.tick + 1) {
            let stamp = Stamp {
                tick: stamp.tick - back,
                ..stamp
            };
            let bucket = self.buckets[stamp.index()].load(Ordering::Acquire);
            if bucket >> STAMP_SHIFT == stamp.bits() {
                totals.calls += (bucket >> COUNT_BITS & COUNT_MASK) as u32;
                totals.marked += (bucket & COUNT_MASK) as u32;
            }
        }
        totals
    }

    /// Empties what other generations left behind, so that four bits suffice to tell them apart.
    pub(crate) fn forget_others(&self, generation: u32) {
        let ours = u64::from(generation) & GENERATION_MASK;
        for bucket in &self.buckets {
            let seen = bucket.load(Ordering::Acquire);
            if seen >> (STAMP_SHIFT + TICK_BITS) != ours {
                // Whoever was faster has written something of this generation.
                let _ = bucket.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }
}

fn is_full(bucket: u64) -> bool {
    bucket >> COUNT_BITS & COUNT_MASK == COUNT_MASK
}

fn plus_one(counts: u64, marked: bool) -> u64 {
    let (mut calls, mut marks) = (counts >> COUNT_BITS, counts & COUNT_MASK);
    if is_full(counts) {
        (calls, marks) = (calls / 2, marks / 2);
    }
    (calls + 1) << COUNT_BITS | (marks + u64::from(marked))
}
