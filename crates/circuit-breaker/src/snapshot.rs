use std::time::Duration;

use bartizan_clock::Instant;

use crate::State;

/// What a circuit looked like at one moment, for status pages and metrics.
///
/// Its parts are read one after the other while calls go on, so under load they may be a few
/// calls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The state.
    pub state: State,
    /// Whether the state was set by hand and stays until it is reset.
    pub forced: bool,
    /// The number of this stay; every transition begins the next.
    pub generation: u32,
    /// Failures since the last success. Zero unless closed.
    pub consecutive_failures: u32,
    /// Calls counted in the window. Zero unless closed.
    pub calls: u32,
    /// Failed and limited calls in the window. Zero unless closed.
    pub failures: u32,
    /// Slow calls in the window. Zero unless closed and slow calls are looked at.
    pub slow_calls: u32,
    /// When the circuit last opened, if it ever did since it was made or reset.
    pub opened_at: Option<Instant>,
    /// When a failure was last counted, if one was since the circuit was made or reset.
    pub last_failure: Option<Instant>,
    /// Probes whose outcome is awaited. Zero unless half-open.
    pub half_open_in_flight: u32,
    /// Probes that succeeded in this cycle. Zero unless half-open.
    pub half_open_successes: u32,
    /// When a call may be admitted; `None` if one would be now.
    pub retry_after: Option<Duration>,
    /// How many times the circuit has opened since it was made, by itself or by hand.
    pub open_count: u64,
    /// How many recoveries in a row have failed: the next one doubles the time open.
    pub failed_recoveries: u32,
}
