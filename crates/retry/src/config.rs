use std::time::Duration;

use bartizan_backoff::Backoff;

use crate::{GiveUp, InvalidRetry};

/// How often and how soon a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    max_attempts: u32,
    backoff: Backoff,
}

impl RetryConfig {
    /// A builder that starts from the defaults.
    pub fn builder() -> RetryConfigBuilder {
        RetryConfigBuilder(Self::default())
    }

    /// How many attempts are made in all, the first included.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The delays between attempts.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// The delay after `attempts` attempts, the one before having been `previous`, when the
    /// service asked to be left alone for `after`.
    pub(crate) fn delay(
        &self,
        attempts: u32,
        previous: Duration,
        after: Option<Duration>,
    ) -> Result<Duration, GiveUp> {
        let after = after.unwrap_or_default();
        if after > self.backoff.max() {
            return Err(GiveUp::RetryAfterTooLong);
        }
        let mut random = fastrand::Rng::new();
        let computed = self.backoff.delay_after(attempts, previous, &mut random);
        Ok(computed.max(after))
    }
}

impl Default for RetryConfig {
    /// Three attempts; exponential delays from 1 s to at most 10 s, with full jitter.
    fn default() -> Self {
        let backoff = Backoff::exponential(Duration::from_secs(1))
            .max(Duration::from_secs(10))
            .build();
        Self {
            max_attempts: 3,
            backoff: backoff.expect("one second is positive and not above ten"),
        }
    }
}

/// Builds a [`RetryConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RetryConfigBuilder(RetryConfig);

impl RetryConfigBuilder {
    /// How many attempts are made in all, the first included; one switches retrying off.
    /// Default: 3.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.0.max_attempts = attempts;
        self
    }

    /// The delays between attempts. Its maximum also is the longest `Retry-After` that is waited
    /// for. Default: exponential from 1 s to at most 10 s, with full jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.0.backoff = backoff;
        self
    }

    /// The finished configuration.
    ///
    /// # Errors
    ///
    /// When no attempt is allowed.
    pub fn build(self) -> Result<RetryConfig, InvalidRetry> {
        if self.0.max_attempts == 0 {
            Err(InvalidRetry::ZeroAttempts)
        } else {
            Ok(self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_backoff::Jitter;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn defaults() {
        let config = RetryConfig::builder().build().unwrap();
        assert_eq!(config, RetryConfig::default());
        assert_eq!(config.max_attempts(), 3);
        assert_eq!(config.backoff().initial(), Duration::from_secs(1));
        assert_eq!(config.backoff().max(), Duration::from_secs(10));
        assert_eq!(config.backoff().jitter(), Jitter::Full);
    }

    #[test]
    fn no_attempt_is_refused_and_one_is_not() {
        let attempts = |n| RetryConfig::builder().max_attempts(n).build();
        assert_eq!(attempts(0), Err(InvalidRetry::ZeroAttempts));
        assert_eq!(attempts(1).unwrap().max_attempts(), 1);
    }

    proptest! {
        #[test]
        fn a_delay_is_at_least_what_was_asked_and_at_most_the_maximum(
            attempts in 1_u32..100,
            previous in any::<u64>(),
            after in proptest::option::of(0_u64..20_000),
        ) {
            let config = RetryConfig::default();
            let after = after.map(Duration::from_millis);
            match config.delay(attempts, Duration::from_nanos(previous), after) {
                Ok(delay) => {
                    prop_assert!(delay >= after.unwrap_or_default());
                    prop_assert!(delay <= config.backoff().max());
                }
                Err(why) => {
                    prop_assert_eq!(why, GiveUp::RetryAfterTooLong);
                    prop_assert!(after > Some(config.backoff().max()));
                }
            }
        }
    }
}
