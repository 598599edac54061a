use std::{num::NonZeroU32, time::Duration};

use bartizan_backoff::spread;
use fastrand::Rng;
use thiserror::Error;

/// When a failing endpoint is ejected, and for how long.
///
/// Ejection is passive health checking, after [Envoy's outlier detection][envoy]: an endpoint
/// that fails several calls in a row gets none for a while; if it fails again after its return,
/// the while grows.
///
/// [envoy]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierConfig {
    pub(crate) consecutive_failures: NonZeroU32,
    pub(crate) base_ejection: Duration,
    pub(crate) max_ejection: Duration,
    pub(crate) max_ejected_ratio: f64,
    pub(crate) jitter: f64,
}

impl OutlierConfig {
    /// A builder that starts from the defaults.
    pub fn builder() -> OutlierConfigBuilder {
        OutlierConfigBuilder::default()
    }

    /// Failures in a row that eject an endpoint.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures.get()
    }

    /// How long the first ejection lasts.
    #[must_use]
    pub fn base_ejection(&self) -> Duration {
        self.base_ejection
    }

    /// How long no ejection exceeds.
    #[must_use]
    pub fn max_ejection(&self) -> Duration {
        self.max_ejection
    }

    /// How many endpoints may be ejected at a time, as a fraction of all.
    #[must_use]
    pub fn max_ejected_ratio(&self) -> f64 {
        self.max_ejected_ratio
    }

    /// How far an ejection may stray from its length, as a fraction of it.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// How many of `endpoints` may be ejected at a time: always at least one stays, and where
    /// there is a choice at least one may go.
    pub(crate) fn limit(&self, endpoints: usize) -> usize {
        let ratio = (endpoints as f64 * self.max_ejected_ratio) as usize;
        ratio.max(1).min(endpoints.saturating_sub(1))
    }

    /// How long the `times`-th ejection in a row lasts.
    pub(crate) fn ejection(&self, times: u32, random: &mut Rng) -> Duration {
        let grown = self.base_ejection.saturating_mul(times);
        spread(grown.min(self.max_ejection), self.jitter, random).min(self.max_ejection)
    }
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }
}

/// Builds an [`OutlierConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct OutlierConfigBuilder {
    consecutive_failures: u32,
    base_ejection: Duration,
    max_ejection: Duration,
    max_ejected_ratio: f64,
    jitter: f64,
}

impl Default for OutlierConfigBuilder {
    fn default() -> Self {
        Self {
            // These three are Envoy's.
            consecutive_failures: 5,
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            // Envoy's tenth is meant for fleets; with two or three instances, half of them.
            max_ejected_ratio: 0.5,
            jitter: 0.2,
        }
    }
}

impl OutlierConfigBuilder {
    /// Failures in a row that eject an endpoint. Default: 5.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive_failures = failures;
        self
    }

    /// How long the first ejection lasts; the n-th in a row lasts n times as long. An endpoint
    /// that behaves for this long after its return has one of them forgiven. Default: 30 s.
    pub fn base_ejection(mut self, duration: Duration) -> Self {
        self.base_ejection = duration;
        self
    }

    /// How long no ejection exceeds, jitter included. Default: 5 min.
    pub fn max_ejection(mut self, duration: Duration) -> Self {
        self.max_ejection = duration;
        self
    }

    /// How many endpoints may be ejected at a time, as a fraction of all; rounded down, but at
    /// least one may be, and the last one never. Default: 0.5.
    pub fn max_ejected_ratio(mut self, ratio: f64) -> Self {
        self.max_ejected_ratio = ratio;
        self
    }

    /// How far an ejection may stray from its length, as a fraction of it, so that replicas do
    /// not come back to an endpoint together. Default: 0.2.
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// The finished configuration.
    ///
    /// # Errors
    ///
    /// When the number of failures or the base is zero, the maximum below the base, or the ratio
    /// or the jitter no fraction.
    pub fn build(self) -> Result<OutlierConfig, InvalidOutlier> {
        let consecutive_failures =
            NonZeroU32::new(self.consecutive_failures).ok_or(InvalidOutlier::ZeroFailures)?;
        if self.base_ejection.is_zero() {
            return Err(InvalidOutlier::ZeroEjection);
        }
        if self.max_ejection < self.base_ejection {
            return Err(InvalidOutlier::MaxBelowBase);
        }
        if !(0.0..=1.0).contains(&self.max_ejected_ratio) {
            return Err(InvalidOutlier::Ratio);
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(InvalidOutlier::Jitter);
        }
        Ok(OutlierConfig {
            consecutive_failures,
            base_ejection: self.base_ejection,
            max_ejection: self.max_ejection,
            max_ejected_ratio: self.max_ejected_ratio,
            jitter: self.jitter,
        })
    }
}

/// An [`OutlierConfig`] that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidOutlier {
    /// No failure would eject.
    #[error("at least one failure must be needed to eject")]
    ZeroFailures,
    /// The base ejection is zero.
    #[error("the base ejection must be positive")]
    ZeroEjection,
    /// The maximum is below the base.
    #[error("the maximum ejection must not be below the base ejection")]
    MaxBelowBase,
    /// The ratio is not a fraction.
    #[error("the ratio of ejected endpoints must be between 0 and 1")]
    Ratio,
    /// The jitter is not a fraction.
    #[error("the jitter must be between 0 and 1")]
    Jitter,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    #[test]
    fn the_default_is_the_builder_with_nothing_changed() {
        assert_eq!(
            OutlierConfig::builder().build(),
            Ok(OutlierConfig::default())
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let builder = OutlierConfig::builder;
        let zero = Duration::ZERO;
        for (builder, error) in [
            (
                builder().consecutive_failures(0),
                InvalidOutlier::ZeroFailures,
            ),
            (builder().base_ejection(zero), InvalidOutlier::ZeroEjection),
            (builder().max_ejection(zero), InvalidOutlier::MaxBelowBase),
            (builder().max_ejected_ratio(-0.1), InvalidOutlier::Ratio),
            (builder().jitter(f64::INFINITY), InvalidOutlier::Jitter),
        ] {
            assert_eq!(builder.build(), Err(error));
        }
    }

    proptest! {
        #[test]
        fn the_last_one_is_never_ejected(endpoints in 0_usize..100_000, ratio in 0.0..=1.0) {
            let config = OutlierConfig::builder().max_ejected_ratio(ratio).build().unwrap();
            let limit = config.limit(endpoints);
            prop_assert!(limit < endpoints.max(1));
            prop_assert!(limit >= 1 || endpoints < 2);
        }

        #[test]
        fn ejections_grow_up_to_their_maximum(times in any::<u32>(), seed in any::<u64>()) {
            let config = OutlierConfig::default();
            let ejection = config.ejection(times.max(1), &mut Rng::with_seed(seed));
            prop_assert!(ejection <= Duration::from_secs(300));
            prop_assert!(ejection >= Duration::from_secs(24));
            if times == 2 {
                prop_assert!(ejection >= Duration::from_secs(48));
            }
        }
    }
}
