use std::{ops::Add, time::Duration};

use bartizan_clock::{Clock, Instant};
use governor::{
    clock::{self, Reference},
    nanos::Nanos,
};

use crate::sync::{AtomicU64, Ordering};

/// An [`Instant`] as governor wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) Instant);

impl Add<Nanos> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from_nanos(nanos.as_u64()))
    }
}

impl Reference for Moment {
    #[inline]
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::new(self.0.as_nanos().saturating_sub(earlier.0.as_nanos()))
    }

    #[inline]
    fn saturating_sub(&self, nanos: Nanos) -> Self {
        Self(self.0 - Duration::from_nanos(nanos.as_u64()))
    }
}

/// A [`Clock`] as governor wants it, which remembers what it said.
///
/// Governor reads the time itself and keeps it to itself. Remembering the reading spares the
/// second one that refusing, waiting and sweeping would need.
#[derive(Debug)]
pub(crate) struct Watch {
    clock: Clock,
    last: AtomicU64,
}

impl Watch {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            last: AtomicU64::new(clock.now().as_nanos()),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// The newest reading, by whichever thread. Another thread may have read since this one did;
    /// its reading is as good.
    #[inline]
    pub(crate) fn last(&self) -> Instant {
        Instant::from_nanos(self.last.load(Ordering::Relaxed))
    }
}

impl clock::Clock for Watch {
    type Instant = Moment;

    #[inline]
    fn now(&self) -> Moment {
        let now = self.clock.now();
        self.last.store(now.as_nanos(), Ordering::Relaxed);
        Moment(now)
    }
}
