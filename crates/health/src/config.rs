use std::{num::NonZeroU32, num::NonZeroUsize, time::Duration};

use thiserror::Error;

/// When and how strictly instances are probed.
///
/// The default is [`HealthConfig::builder`] with nothing changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthConfig {
    pub(crate) interval: Duration,
    pub(crate) recheck: Duration,
    pub(crate) jitter: f64,
    pub(crate) timeout: Duration,
    pub(crate) healthy_threshold: NonZeroU32,
    pub(crate) unhealthy_threshold: NonZeroU32,
    pub(crate) max_concurrent: NonZeroUsize,
}

impl HealthConfig {
    /// A builder that starts from the defaults.
    pub fn builder() -> HealthConfigBuilder {
        HealthConfigBuilder::default()
    }

    /// The time from the end of one probe of an instance to its next.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The time to the next probe of an instance whose last answer was news.
    #[must_use]
    pub fn recheck(&self) -> Duration {
        self.recheck
    }

    /// How far an interval may stray from its length, as a fraction of it.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// Good answers in a row that make an instance healthy.
    #[must_use]
    pub fn healthy_threshold(&self) -> u32 {
        self.healthy_threshold.get()
    }

    /// Bad answers in a row that make an instance unhealthy.
    #[must_use]
    pub fn unhealthy_threshold(&self) -> u32 {
        self.unhealthy_threshold.get()
    }

    /// How long one probe may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many probes run at a time.
    #[must_use]
    pub fn max_concurrent(&self) -> usize {
        self.max_concurrent.get()
    }
}

impl HealthConfig {
    /// Over which time the first probes of so many instances are spread.
    ///
    /// Those of a few take the jitter's part of an interval. More of them take more of it: a fifth
    /// for as many as may be probed at once, and all of it for five times as many.
    pub(crate) fn spread_of_first(&self, instances: usize) -> Duration {
        let rounds = instances as f64 / self.max_concurrent.get() as f64;
        let part = (rounds / 5.0).clamp(self.jitter, 1.0);
        Duration::try_from_secs_f64(self.interval.as_secs_f64() * part).unwrap_or(Duration::MAX)
    }
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }
}

/// How many times as soon an instance is asked again whose answer was news. A verdict takes
/// several answers, and should not take as many intervals.
const RECHECK: u32 = 10;

/// Builds a [`HealthConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct HealthConfigBuilder {
    interval: Duration,
    recheck: Option<Duration>,
    jitter: f64,
    timeout: Duration,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
    max_concurrent: usize,
}

impl Default for HealthConfigBuilder {
    fn default() -> Self {
        Self {
            // As in the gateways that this one replaces.
            interval: Duration::from_secs(30),
            recheck: None,
            jitter: 0.2,
            timeout: Duration::from_secs(5),
            // Kubernetes and HAProxy: slow to condemn, and one good answer may be luck.
            healthy_threshold: 2,
            unhealthy_threshold: 3,
            max_concurrent: 10,
        }
    }
}

impl HealthConfigBuilder {
    /// The time from the end of one probe of an instance to its next. Default: 30 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The time to the next probe of an instance whose last answer was news: the first answers
    /// of all, a bad one of a healthy instance, a good one of an unhealthy one. Also the shortest
    /// time between two probes that are [asked for](crate::Checker::probe_soon). Default: a tenth
    /// of the interval; never more than that.
    ///
    /// HAProxy has the same in its `fastinter`.
    pub fn recheck(mut self, recheck: Duration) -> Self {
        self.recheck = Some(recheck);
        self
    }

    /// How far the interval may stray, as a fraction of itself from 0 to 1. Default: 0.2.
    ///
    /// The first probe of an instance comes after a wait between zero and this fraction of the
    /// interval; up to all of it, if many instances come at once.
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long one probe may take before it counts as failed. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Good answers in a row that make an instance healthy. Default: 2.
    pub fn healthy_threshold(mut self, probes: u32) -> Self {
        self.healthy_threshold = probes;
        self
    }

    /// Bad answers in a row that make an instance unhealthy. Default: 3.
    pub fn unhealthy_threshold(mut self, probes: u32) -> Self {
        self.unhealthy_threshold = probes;
        self
    }

    /// How many probes run at a time. Default: 10.
    ///
    /// When the instances are too many or too slow for it, the interval grows; the load of
    /// probing never does. Several checkers share one bound by
    /// [`CheckerBuilder::concurrency`](crate::CheckerBuilder::concurrency).
    pub fn max_concurrent(mut self, probes: usize) -> Self {
        self.max_concurrent = probes;
        self
    }

    /// The finished configuration.
    ///
    /// # Errors
    ///
    /// When a duration, a threshold or the concurrency is zero, or the jitter no fraction.
    pub fn build(self) -> Result<HealthConfig, InvalidHealth> {
        if self.interval.is_zero() {
            return Err(InvalidHealth::ZeroInterval);
        }
        let recheck = self.recheck.unwrap_or(self.interval / RECHECK);
        // The shortest interval has a tenth of zero.
        let recheck = recheck.max(Duration::from_nanos(1)).min(self.interval);
        if self.recheck.is_some_and(|recheck| recheck.is_zero()) {
            return Err(InvalidHealth::ZeroInterval);
        }
        if self.timeout.is_zero() {
            return Err(InvalidHealth::ZeroTimeout);
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(InvalidHealth::Jitter);
        }
        let threshold = |n| NonZeroU32::new(n).ok_or(InvalidHealth::ZeroThreshold);
        Ok(HealthConfig {
            interval: self.interval,
            recheck,
            jitter: self.jitter,
            timeout: self.timeout,
            healthy_threshold: threshold(self.healthy_threshold)?,
            unhealthy_threshold: threshold(self.unhealthy_threshold)?,
            max_concurrent: NonZeroUsize::new(self.max_concurrent)
                .ok_or(InvalidHealth::ZeroConcurrency)?,
        })
    }
}

/// A [`HealthConfig`] that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidHealth {
    /// The interval is zero.
    #[error("the interval must be positive")]
    ZeroInterval,
    /// The timeout is zero.
    #[error("the timeout must be positive")]
    ZeroTimeout,
    /// The jitter is not a fraction.
    #[error("the jitter must be between 0 and 1")]
    Jitter,
    /// A threshold is zero.
    #[error("a threshold must be at least one probe")]
    ZeroThreshold,
    /// No probe may run.
    #[error("at least one probe must be allowed at a time")]
    ZeroConcurrency,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_builder_with_nothing_changed() {
        assert_eq!(HealthConfig::builder().build(), Ok(HealthConfig::default()));
    }

    #[test]
    fn nonsense_is_refused() {
        let builder = HealthConfig::builder;
        for (builder, error) in [
            (
                builder().interval(Duration::ZERO),
                InvalidHealth::ZeroInterval,
            ),
            (
                builder().timeout(Duration::ZERO),
                InvalidHealth::ZeroTimeout,
            ),
            (
                builder().recheck(Duration::ZERO),
                InvalidHealth::ZeroInterval,
            ),
            (builder().jitter(1.1), InvalidHealth::Jitter),
            (builder().jitter(f64::NAN), InvalidHealth::Jitter),
            (builder().healthy_threshold(0), InvalidHealth::ZeroThreshold),
            (
                builder().unhealthy_threshold(0),
                InvalidHealth::ZeroThreshold,
            ),
            (builder().max_concurrent(0), InvalidHealth::ZeroConcurrency),
        ] {
            assert_eq!(builder.build(), Err(error));
        }
    }
}
