use std::time::Duration;

use bartizan_clock::Instant;

use crate::Priority;

/// How long, and how many, calls may wait for a token.
///
/// Any values will do; a zero in either means that nothing waits.
///
/// The default is 30 s and 1000 calls. The half minute is what the gateways before this one
/// used; they had no bound on the number, and every queue needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How long a call waits at most. One that would have to wait longer is refused at once.
    pub max_wait: Duration,
    /// How many calls wait at most, all priorities together.
    pub max_waiting: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(30),
            max_waiting: 1_000,
        }
    }
}

/// What a call is ready to do for a token when none is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// The bounds on waiting; `None` to be refused instead.
    pub waiting: Option<Waiting>,
    /// Whom the call goes before.
    pub priority: Priority,
    /// When the caller will have given up. A call that would get its token later is refused at
    /// once; one that finds a token goes ahead whatever the deadline.
    pub deadline: Option<Instant>,
}
