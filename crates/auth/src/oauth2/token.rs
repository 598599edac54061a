use bartizan_clock::Instant;
use http::HeaderValue;

use super::renewal::Renewal;
use crate::Secret;

/// An access token, as it came from the issuer.
#[derive(Debug)]
pub struct Token {
    secret: Secret,
    header: HeaderValue,
    generation: u64,
    expires_at: Instant,
    pub(crate) renewal: Renewal,
}

impl Token {
    pub(crate) fn new(
        secret: Secret,
        header: HeaderValue,
        generation: u64,
        renew_at: Instant,
        expires_at: Instant,
    ) -> Self {
        Self {
            secret,
            header,
            generation,
            expires_at,
            renewal: Renewal::new(renew_at.as_nanos()),
        }
    }

    /// The token itself.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// `Bearer` and the token, ready for an `Authorization` header and marked as sensitive.
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Its number among the tokens of its cache, counted from one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it expires, on the clock of its cache.
    #[must_use]
    pub fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// Whether it can be sent at `now` without anything being done about it.
    #[inline]
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        !self.renewal.is_due(now.as_nanos()) && self.is_valid(now)
    }

    #[inline]
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        now < self.expires_at
    }
}
