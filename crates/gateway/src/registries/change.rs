use std::{sync::Arc, time::Duration};

use bartizan_discovery::{Entry, RegistrationError, StoreError};
use thiserror::Error;

use super::Registries;

/// Why an instance was not added or taken out; everything is as it was then.
#[derive(Debug, Error)]
pub(crate) enum ChangeError {
    /// There is no such instance, or not any more.
    #[error("service `{service}` has no instance `{id}`")]
    NotFound { service: Arc<str>, id: Arc<str> },
    /// It is in a registry that the gateway does not write to.
    #[error("instance `{id}` of service `{service}` is listed in {registry}: take it out there")]
    NotOurs {
        service: Arc<str>,
        id: Arc<str>,
        registry: String,
    },
    #[error(transparent)]
    Registration(RegistrationError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<RegistrationError> for ChangeError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Unknown { service, id } => Self::NotFound { service, id },
            other => Self::Registration(other),
        }
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { service, id } => Self::NotFound { service, id },
            other => Self::Store(other),
        }
    }
}

impl Registries {
    /// Adds an instance to a service; true when it takes the place of one with its id.
    ///
    /// One without a time to live goes to the `registry.json`, if there is one; the others are
    /// kept in memory.
    ///
    /// # Errors
    ///
    /// When it cannot be added, or not be kept.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the instance added.
    pub(crate) async fn register(
        &self,
        service: &str,
        entry: Entry,
        ttl: Option<Duration>,
    ) -> Result<bool, ChangeError> {
        let id = Arc::clone(entry.instance.id());
        match self.written().filter(|_| ttl.is_none()) {
            Some(file) => {
                let replaced = file.store(self.clock).register(service, entry).await?;
                // What it says of itself takes the place of what it said for a while.
                let forgotten = self.registrations.deregister(service, &id).is_ok();
                // The file is as it should be, however long it takes to be read again.
                let _ = file.source.reload().await;
                Ok(replaced || forgotten)
            }
            None => Ok(self.registrations.register(service, entry, ttl)?),
        }
    }

    /// Takes an instance out, and says what it was.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not ours to take out.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the instance taken out.
    pub(crate) async fn deregister(&self, service: &str, id: &str) -> Result<Entry, ChangeError> {
        if let Ok(entry) = self.registrations.deregister(service, id) {
            return Ok(entry);
        }
        if let Some(file) = self.written() {
            match file.store(self.clock).deregister(service, id).await {
                Ok(entry) => {
                    let _ = file.source.reload().await;
                    return Ok(entry);
                }
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (service, id): (Arc<str>, Arc<str>) = (service.into(), id.into());
        let mut files = self.files.iter();
        let listing = files.find(|file| {
            let state = file.source.current();
            let listed = state.registry.service(&service);
            listed.is_some_and(|it| it.entry(&id).is_some())
        });
        Err(match listing {
            Some(file) => ChangeError::NotOurs {
                service,
                id,
                registry: file.path.display().to_string(),
            },
            None => ChangeError::NotFound { service, id },
        })
    }

    /// Hears of an instance that was registered with a time to live: it stays for another, which
    /// is returned, and is `None` when it stays anyway.
    ///
    /// # Errors
    ///
    /// When there is no such instance, or not any more: it must be registered again.
    pub(crate) fn heartbeat(
        &self,
        service: &str,
        id: &str,
    ) -> Result<Option<Duration>, ChangeError> {
        let heard = self.registrations.heartbeat(service, id);
        let unknown = match heard {
            Ok(ttl) => return Ok(ttl),
            Err(unknown) => unknown,
        };
        let stays = self.files.iter().any(|file| {
            let state = file.source.current();
            let listed = state.registry.service(service);
            listed.is_some_and(|it| it.entry(id).is_some())
        });
        if stays { Ok(None) } else { Err(unknown.into()) }
    }
}
