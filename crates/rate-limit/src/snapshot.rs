use bartizan_clock::Instant;

/// What a limiter looks like from outside, for status pages and gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many tokens the bucket holds.
    pub tokens: u32,
    /// How many it can hold.
    pub limit: u32,
    /// How many calls wait for a token.
    pub waiting: usize,
    /// When the bucket last gained a token; `None` while it is full and gains none.
    pub last_refill: Option<Instant>,
}
