use std::{num::NonZeroUsize, time::Duration};

use super::InvalidLimits;

/// How many sessions there may be, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// The most sessions in the table.
    pub max_sessions: NonZeroUsize,
    /// The most sessions of one owner.
    pub max_per_owner: NonZeroUsize,
    /// After how long a session ends that nobody uses.
    pub idle: Duration,
    /// After how long every session ends, even one in use.
    pub lifetime: Duration,
}

impl SessionLimits {
    pub(super) fn validate(&self) -> Result<(), InvalidLimits> {
        if self.idle.is_zero() || self.lifetime.is_zero() {
            return Err(InvalidLimits);
        }
        Ok(())
    }
}

impl Default for SessionLimits {
    /// Ten thousand sessions, which at 24 KiB each with their connection are a quarter of a
    /// gigabyte; a thousand of one owner, who may be a team behind one key; half an hour of
    /// idleness, as web sessions have; and a day, after which a client that is told that its session is
    /// unknown begins another.
    fn default() -> Self {
        Self {
            max_sessions: NonZeroUsize::new(10_000).expect("not zero"),
            max_per_owner: NonZeroUsize::new(1_000).expect("not zero"),
            idle: Duration::from_secs(30 * 60),
            lifetime: Duration::from_secs(24 * 60 * 60),
        }
    }
}
