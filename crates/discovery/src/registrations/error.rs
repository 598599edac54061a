use std::sync::Arc;

use thiserror::Error;

/// Why a registration was refused or not found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The name of the service is empty.
    #[error("the name of the service must not be empty")]
    NoService,
    /// The time to live is zero.
    #[error("the time to live must be positive")]
    ZeroTtl,
    /// There are as many instances as there may be.
    #[error("{capacity} instances are registered, which is as many as may be")]
    Full {
        /// How many there may be.
        capacity: usize,
    },
    /// It would be one service more than may have instances.
    #[error("{most} services have registered instances, which is as many as may")]
    TooManyServices {
        /// How many may have some.
        most: usize,
    },
    /// What is said of all instances together would be too long.
    #[error("what is registered would be longer than {most} bytes, which it may not be")]
    TooManyBytes {
        /// How long it may be.
        most: usize,
    },
    /// There is no such instance, or its time to live has run out.
    #[error(
        "service `{service}` has no instance `{id}`, or has not heard of it in time; register it again"
    )]
    Unknown {
        /// The service.
        service: Arc<str>,
        /// The instance that it does not have.
        id: Arc<str>,
    },
}

impl RegistrationError {
    /// Whether it is one too many, for which there may be room when others have left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::TooManyServices { .. } | Self::TooManyBytes { .. }
        )
    }

    pub(super) fn unknown(service: &str, id: &str) -> Self {
        Self::Unknown {
            service: service.into(),
            id: id.into(),
        }
    }
}
