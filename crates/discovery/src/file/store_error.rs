use std::{io, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;

use crate::InvalidRegistry;

/// Why a [`RegistryStore`](crate::RegistryStore) did not do what it was asked to; the file is as
/// it was then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is there and cannot be used, so it is not written to either.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: InvalidRegistry,
    },
    /// The file is not there, and [must be](crate::RegistryStore::may_be_missing).
    #[error(
        "{} was there and is gone: put it back, or {{\"templates\": {{}}}} in its place",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file would not be a registry any more.
    #[error("the registry would be wrong after this: {0}")]
    Refused(InvalidRegistry),
    /// Another process is writing, and does not come to an end.
    #[error("{} has been locked by another process for {} ms", path.display(), wait.as_millis())]
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// How long it was waited for.
        wait: Duration,
    },
    /// There is no such instance.
    #[error("service `{service}` has no instance `{id}`")]
    NotFound {
        /// The service.
        service: Arc<str>,
        /// The instance that it does not have.
        id: Arc<str>,
    },
    /// The file or its directory cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: io::Error,
    },
}
