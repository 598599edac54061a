//! What sources have in common that ask an API over HTTP, which answers in JSON.

mod exchange;
#[cfg(feature = "kubernetes")]
mod lines;

use std::time::Duration;

use bartizan_backoff::{Backoff, Jitter};

pub(crate) use self::exchange::{AnswerBody, Api, Failure};
#[cfg(feature = "kubernetes")]
pub(crate) use self::lines::Lines;

/// How soon an API that failed is asked again; `None` if one of these is zero or they are the
/// wrong way round.
pub(crate) fn retry(first: Duration, most: Duration) -> Option<Backoff> {
    let backoff = Backoff::exponential(first).max(most);
    // Half of each delay is certain, so that an API that is coming up is not asked at once.
    backoff.jitter(Jitter::Equal).build().ok()
}
