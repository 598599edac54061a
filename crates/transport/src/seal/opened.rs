use std::fmt;

/// What was in a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The decoded token, of which the payload is a part.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    expires: u64,
}

impl Opened {
    pub(super) fn new(bytes: Vec<u8>, start: usize, end: usize, expires: u64) -> Self {
        Self {
            bytes,
            start,
            end,
            expires,
        }
    }

    /// What was sealed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// When the token expires, in seconds since 1970.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }
}

impl fmt::Debug for Opened {
    /// Says how long the payload is, as it may hold what must not be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("payload_bytes", &(self.end - self.start))
            .field("expires", &self.expires)
            .finish()
    }
}
