use crate::Endpoint;

/// The endpoints that one request has been sent to already, so that its next attempt goes
/// elsewhere.
///
/// Holds the last eight, in place; a request that has failed at eight endpoints may meet the
/// first of them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    serials: [u64; Tried::CAPACITY],
    /// How many were ever inserted.
    inserted: u32,
}

impl Tried {
    /// How many endpoints are remembered.
    pub const CAPACITY: usize = 8;

    /// Remembers `endpoint`; a [`Picked`](crate::Picked) will do.
    pub fn insert(&mut self, endpoint: &Endpoint) {
        if !self.contains(endpoint) {
            self.serials[self.inserted as usize % Self::CAPACITY] = endpoint.serial();
            self.inserted = self.inserted.saturating_add(1);
        }
    }

    /// Whether `endpoint` is remembered.
    #[inline]
    #[must_use]
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        // Serials begin at one, so empty places match nothing.
        self.inserted != 0 && self.serials.contains(&endpoint.serial())
    }

    /// Whether nothing has been tried.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inserted == 0
    }

    /// How many endpoints have been tried, those forgotten included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inserted as usize
    }
}
