use crate::{
    padded::Padded,
    stripe::{self, STRIPES},
    sync::{Ordering, fence},
    window::{Stamp, Totals, Window},
};

/// A window in as many parts as there are threads that count, up to [`STRIPES`].
///
/// Each thread counts in a part of its own, and whoever wants the totals adds up all of them.
/// Totals hold every call that was counted before they were asked for, and of two threads that
/// each count a call and then ask, at least one is told of both: failures that reach a limit
/// together do not miss it. Of calls that are counted meanwhile some may be missing, no more than
/// there are threads at it.
///
/// A part is a [`Window`], so what it counts leaves it by itself, on the tick. One that is full is
/// halved by itself as well, and weighs less than it should beside the others until the tick is
/// over: the ratio stays between the lowest and the highest of the parts.
#[derive(Debug, Default)]
pub(crate) struct Stripes([Padded<Window>; STRIPES]);

impl Stripes {
    /// Counts one call, as [`Window::record`] does.
    #[inline(always)]
    pub(crate) fn record(&self, stamp: Stamp, marked: bool, fresh: impl Fn() -> Option<Stamp>) {
        self.0[stripe::own()].record(stamp, marked, fresh);
    }

    /// Adds up the ten ticks that end with `stamp`.
    pub(crate) fn totals(&self, stamp: Stamp) -> Totals {
        // So that of two who count a failure each and then look, one sees both.
        fence(Ordering::SeqCst);
        self.0.iter().fold(Totals::default(), |sum, window| {
            let part = window.totals(stamp);
            Totals {
                calls: sum.calls + part.calls,
                marked: sum.marked + part.marked,
            }
        })
    }

    /// Empties what other generations left behind.
    pub(crate) fn forget_others(&self, generation: u32) {
        for window in &self.0 {
            window.forget_others(generation);
        }
    }
}
