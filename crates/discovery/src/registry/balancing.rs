use std::{sync::Arc, time::Duration};

/// How calls of one service are spread over its instances, as far as its registry says.
///
/// Everything that is `None` is left to whoever assembles the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Balancing {
    /// The name of a strategy, one of [`STRATEGIES`](Balancing::STRATEGIES).
    pub strategy: Option<Arc<str>>,
    /// From one health check to the next: 5 s to 300 s.
    pub health_check_interval: Option<Duration>,
    /// How many instances are tried after the first: 1 to 10.
    pub max_retries: Option<u32>,
    /// Connections kept to each instance: 1 to 20.
    pub pool_size: Option<u32>,
    /// How long one call may take: 5 s to 300 s.
    pub timeout: Option<Duration>,
}

impl Balancing {
    /// The strategies that a registry may name.
    ///
    /// `weighted` takes turns by weight; the first five are what documents of `registry.json`
    /// promise, the rest are known besides.
    pub const STRATEGIES: [&'static str; 8] = [
        "round_robin",
        "least_connections",
        "weighted",
        "health_based",
        "random",
        "p2c",
        "p2c_ewma",
        "consistent_hash",
    ];
}
