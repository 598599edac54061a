use std::time::Duration;

use bartizan_backoff::{Backoff, Jitter};

/// When a program that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The pause after a death that came too soon, longer with each in a row. Default: 200 ms,
    /// doubling to 30 s, half of it random.
    pub backoff: Backoff,
    /// A child that lived this long did not die too soon. Default: 10 s, the time that clients
    /// give a server to initialise.
    pub stable_after: Duration,
    /// After this many deaths in a row, all too soon, a pause is an error instead of a wait.
    /// Default: 5, which with the default pauses is some six seconds of patience.
    pub flapping_after: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            backoff: Backoff::exponential(Duration::from_millis(200))
                .jitter(Jitter::Equal)
                .build()
                .expect("200 ms is neither zero nor above the default maximum"),
            stable_after: Duration::from_secs(10),
            flapping_after: 5,
        }
    }
}
