use std::{fmt, str::FromStr};

use thiserror::Error;

/// How an endpoint is chosen for a request.
///
/// | strategy | cost of a pick | weights | good for |
/// |---|---|---|---|
/// | [`RoundRobin`](Self::RoundRobin) | O(1) | no | equal instances, equal calls |
/// | [`WeightedRoundRobin`](Self::WeightedRoundRobin) | O(1) | yes | unequal instances, canaries |
/// | [`LeastConnections`](Self::LeastConnections) | O(n) up to 64, O(1) above | yes | calls of very different length |
/// | [`HealthBased`](Self::HealthBased) | O(n) up to 64, O(1) above | yes | instances that fail now and then |
/// | [`Random`](Self::Random) | O(1) | no | many clients that must not march in step |
/// | [`P2c`](Self::P2c) | O(1) | yes | nearly least connections, at any size |
/// | [`P2cPeakEwma`](Self::P2cPeakEwma) | O(1) | yes | instances of different speed |
/// | [`ConsistentHash`](Self::ConsistentHash) | O(1) | yes | sessions, caches |
///
/// The O(n) strategies look at every instance, at three to five nanoseconds each: for hundreds
/// of instances use [`P2c`](Self::P2c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Each in turn. Among more than 64 endpoints each thread goes around by itself.
    #[default]
    RoundRobin,
    /// Each in turn as often as its weight says, spread as evenly as can be: at 3:1 never four
    /// in a row. Among more than 64 endpoints each thread goes around by itself.
    WeightedRoundRobin,
    /// The one with the fewest calls in flight for its weight; one of them at random if several
    /// have as few. Of more than 64 endpoints, four are compared, another four each time.
    LeastConnections,
    /// One of those with the best health score, the fewest calls in flight first; of more than 64
    /// endpoints, one of four.
    ///
    /// The score is 100 for an endpoint without recent failures and 0 for one that only fails;
    /// failures are forgotten over half a minute or so. Scores within ten points count as equal,
    /// so that one failure does not send the whole traffic elsewhere.
    HealthBased,
    /// Any.
    Random,
    /// The one of two random endpoints with fewer calls in flight for its weight.
    ///
    /// Mitzenmacher, [*The Power of Two Choices in Randomized Load Balancing*][paper].
    ///
    /// [paper]: https://www.eecs.harvard.edu/~michaelm/postscripts/mythesis.pdf
    P2c,
    /// The one of two random endpoints with the lower product of its latency and its calls in
    /// flight.
    ///
    /// The latency is an average that jumps to a new peak at once and comes down over ten
    /// seconds, as in Twitter's Finagle, tower and linkerd. A new endpoint starts at one second
    /// and is trusted gradually; one that fails or refuses is treated as slow for a while.
    P2cPeakEwma,
    /// The one that owns the request's key on a ring of hashes; a random one for requests
    /// without a key.
    ///
    /// When an endpoint comes or goes, only about its own share of the keys moves. All replicas
    /// of a gateway agree on the owner, because it depends on nothing but keys, ids and weights.
    ///
    /// Karger et al., [*Consistent Hashing and Random Trees*][paper].
    ///
    /// [paper]: https://doi.org/10.1145/258533.258660
    ConsistentHash,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 8] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
        Self::HealthBased,
        Self::Random,
        Self::P2c,
        Self::P2cPeakEwma,
        Self::ConsistentHash,
    ];

    /// Whether every pick looks at how many calls several endpoints have in flight.
    pub(crate) const fn compares_load(self) -> bool {
        match self {
            Self::LeastConnections | Self::HealthBased | Self::P2c | Self::P2cPeakEwma => true,
            Self::RoundRobin | Self::WeightedRoundRobin | Self::Random | Self::ConsistentHash => {
                false
            }
        }
    }

    /// Whether the time that calls take is measured.
    pub(crate) const fn measures_latency(self) -> bool {
        matches!(self, Self::P2cPeakEwma)
    }

    /// The name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastConnections => "least_connections",
            Self::HealthBased => "health_based",
            Self::Random => "random",
            Self::P2c => "p2c",
            Self::P2cPeakEwma => "p2c_ewma",
            Self::ConsistentHash => "consistent_hash",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    /// Reads a [`name`](Strategy::name), or `weighted` for weighted round robin.
    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        if name == "weighted" {
            return Ok(Self::WeightedRoundRobin);
        }
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| UnknownStrategy(name.to_owned()))
    }
}

/// A name that is no [`Strategy`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "unknown strategy `{0}`, expected round_robin, weighted_round_robin (or weighted), \
     least_connections, health_based, random, p2c, p2c_ewma or consistent_hash"
)]
pub struct UnknownStrategy(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
            let error = "x".parse::<Strategy>().unwrap_err().to_string();
            assert!(error.contains(strategy.name()), "{error}");
        }
        assert_eq!("weighted".parse(), Ok(Strategy::WeightedRoundRobin));
    }
}
