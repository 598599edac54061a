use std::{cell, ops::Add, time::Duration};

use bartizan_clock::Instant;
use governor::{
    clock::{Clock, Reference},
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use crate::{Allowed, Quota};

/// What governor says to one call on a bucket that will be full at `full_at`: the token and the
/// bucket's next state, or when there will be a token.
///
/// Governor keeps states behind its own stores and cannot look without taking. Here it is used
/// as the function that it is at heart: a limiter that lives for one decision, starts at the
/// moment of the call, and has its state given and taken back.
#[inline]
pub(crate) fn verdict(
    quota: Quota,
    full_at: Instant,
    now: Instant,
) -> Result<(Allowed, Instant), Instant> {
    let until_full = Given(cell::Cell::new(full_at - now));
    let limiter = governor::RateLimiter::<_, _, _, StateInformationMiddleware>::new(
        quota.as_governor(),
        until_full,
        At(Moment(now)),
    );
    match limiter.check() {
        Ok(state) => {
            let allowed = Allowed {
                limit: quota.burst(),
                remaining: state.remaining_burst_capacity(),
            };
            Ok((allowed, now + limiter.into_state_store().0.get()))
        }
        Err(not_until) => Err(not_until.earliest_possible().0),
    }
}

/// A state that governor is lent: how long until the bucket is full.
struct Given(cell::Cell<Duration>);

impl StateStore for Given {
    type Key = NotKeyed;

    #[inline]
    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = decide(Some(self.0.get().into()))?;
        self.0.set(next.into());
        Ok(outcome)
    }
}

/// A clock that stands at the moment of the call.
struct At(Moment);

impl Clock for At {
    type Instant = Moment;

    #[inline]
    fn now(&self) -> Moment {
        self.0
    }
}

/// An [`Instant`] as governor wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Add<Nanos> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + nanos.into())
    }
}

impl Reference for Moment {
    #[inline]
    fn duration_since(&self, earlier: Self) -> Nanos {
        (self.0 - earlier.0).into()
    }

    #[inline]
    fn saturating_sub(&self, nanos: Nanos) -> Self {
        Self(self.0 - Duration::from(nanos))
    }
}
