use std::time::Duration;

use thiserror::Error;

/// After how much silence a comment is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeepAliveInterval(Duration);

impl KeepAliveInterval {
    /// The longest: below the 30 s after which the most impatient proxies and clients give up.
    pub const MAX: Self = Self(Duration::from_secs(25));

    /// The shortest, as a comment costs a wake-up for each open stream.
    pub const MIN: Self = Self(Duration::from_millis(100));

    /// An interval of this length.
    ///
    /// # Errors
    ///
    /// When it is shorter than [`KeepAliveInterval::MIN`] or longer than
    /// [`KeepAliveInterval::MAX`].
    pub fn new(interval: Duration) -> Result<Self, InvalidInterval> {
        let interval = Self(interval);
        if (Self::MIN..=Self::MAX).contains(&interval) {
            Ok(interval)
        } else {
            Err(InvalidInterval)
        }
    }

    /// The length of the interval.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl Default for KeepAliveInterval {
    /// 15 s, what the Rust SDK sends and so what clients are used to.
    fn default() -> Self {
        Self(Duration::from_secs(15))
    }
}

/// An interval that does not keep a stream alive, or hardly does anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the interval between keep-alive comments must be between 100 ms and 25 s")]
pub struct InvalidInterval;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_keep_nothing_alive_are_refused() {
        let of_ms = |ms| KeepAliveInterval::new(Duration::from_millis(ms));
        assert_eq!(of_ms(100), Ok(KeepAliveInterval::MIN));
        assert_eq!(of_ms(25_000), Ok(KeepAliveInterval::MAX));
        for ms in [0, 99, 25_001] {
            assert_eq!(of_ms(ms), Err(InvalidInterval), "{ms}");
        }
    }
}
