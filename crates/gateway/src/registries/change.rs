use std::{collections::HashMap, sync::Arc, time::Duration};

use bartizan_config::{Errors, Problem};
use bartizan_discovery::{Entry, InvalidRegistry, RegistrationError, StoreError};
use thiserror::Error;

use super::{File, Registries};
use crate::permit::NotPermitted;

/// Why an instance was not added or taken out; everything is as it was then.
#[derive(Debug, Error)]
pub(crate) enum ChangeError {
    /// There is no such instance, or not any more.
    #[error("service `{service}` has no instance `{id}`")]
    NotFound { service: Arc<str>, id: Arc<str> },
    /// It is in a registry that the gateway does not write to.
    #[error("instance `{id}` of service `{service}` is listed in {registry}: change it there")]
    NotOurs {
        service: Arc<str>,
        id: Arc<str>,
        registry: String,
    },
    /// Its service is in a registry that the gateway does not write to.
    #[error("service `{service}` is listed in {registry}: add the instance there, or with a ttl")]
    ListedElsewhere { service: Arc<str>, registry: String },
    /// Another service has variables of the same names, and so the same credentials.
    #[error(
        "service `{service}` would have the variables of `{other}`, {variables}...: choose another name"
    )]
    SameVariables {
        service: Arc<str>,
        other: Arc<str>,
        variables: String,
    },
    /// There can be no such service.
    #[error("{}", join(.0.problems()))]
    Service(Errors),
    /// It is not a description of an instance.
    #[error(transparent)]
    Instance(#[from] InvalidRegistry),
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
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
                self.check_elsewhere(service, file)?;
                let replaced = file.store(self.clock).register(service, entry).await?;
                // The file is as it should be, however long it takes to be read again.
                let _ = file.source.reload().await;
                // What it says of itself takes the place of what it said for a while; not before it
                // is read, or the instance would be nowhere for a moment.
                let forgotten = self.registrations.deregister(service, &id).is_ok();
                Ok(replaced || forgotten)
            }
            None => {
                let written = self.written().map(|file| &file.path);
                // What a file lists counts, so that the registration would be for nothing.
                let listing = self.listing(service, &id);
                if let Some(file) = listing.filter(|file| Some(&file.path) != written) {
                    return Err(file.not_ours(service, &id));
                }
                let replaced = self.registrations.register(service, entry, ttl)?;
                if listing.is_none() {
                    return Ok(replaced);
                }
                if let Err(error) = self.take_out(service, &id).await {
                    let _ = self.registrations.deregister(service, &id);
                    return Err(error.into());
                }
                Ok(true)
            }
        }
    }

    /// Adds an instance whose id nobody has written, and which takes no other's place: false if
    /// there is one with its id.
    ///
    /// # Errors
    ///
    /// As of [`register`](Registries::register).
    ///
    /// # Cancellation
    ///
    /// As of [`register`](Registries::register).
    pub(crate) async fn add(
        &self,
        service: &str,
        entry: Entry,
        ttl: Option<Duration>,
    ) -> Result<bool, ChangeError> {
        match self.written().filter(|_| ttl.is_none()) {
            Some(file) => {
                self.check_elsewhere(service, file)?;
                // Others write to the file as well, and it says who was first.
                let added = file.store(self.clock).add(service, entry).await?;
                let _ = file.source.reload().await;
                Ok(added)
            }
            None => {
                self.registrations.register(service, entry, ttl)?;
                Ok(true)
            }
        }
    }

    /// # Errors
    ///
    /// When another file than this one lists the service.
    fn check_elsewhere(&self, service: &str, file: &File) -> Result<(), ChangeError> {
        let elsewhere = self.files.iter().find(|other| other.lists_any(service));
        match elsewhere.filter(|other| other.path != file.path) {
            Some(other) => Err(ChangeError::ListedElsewhere {
                service: service.into(),
                registry: other.path.display().to_string(),
            }),
            None => Ok(()),
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
        // From both, or the one would take the place of the other.
        let listed = match self.take_out(service, id).await {
            Ok(listed) => listed,
            // What registered itself may leave, whatever is wrong with a file that does not list it.
            Err(_) if self.is_in_memory_only(service, id) => None,
            Err(error) => return Err(error.into()),
        };
        let registered = self.registrations.deregister(service, id).ok();
        if let Some(entry) = registered.or(listed) {
            return Ok(entry);
        }
        let written = self.written().map(|file| &file.path);
        let elsewhere = self.listing(service, id);
        Err(match elsewhere.filter(|file| Some(&file.path) != written) {
            Some(file) => file.not_ours(service, id),
            None => ChangeError::NotFound {
                service: service.into(),
                id: id.into(),
            },
        })
    }

    /// Takes an instance out of the file that is written to, if it is there.
    async fn take_out(&self, service: &str, id: &str) -> Result<Option<Entry>, StoreError> {
        let Some(file) = self.written() else {
            return Ok(None);
        };
        match file.store(self.clock).deregister(service, id).await {
            Ok(entry) => {
                let _ = file.source.reload().await;
                Ok(Some(entry))
            }
            Err(StoreError::NotFound { .. }) => {
                // Somebody else has taken it out since the file was read.
                if file.lists(service, id) {
                    let _ = file.source.reload().await;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn is_in_memory_only(&self, service: &str, id: &str) -> bool {
        self.registered(service, id).is_some() && !self.is_listed(service, id)
    }

    /// Takes an instance out of memory, if it is there.
    pub(crate) fn forget(&self, service: &str, id: &str) {
        let _ = self.registrations.deregister(service, id);
    }

    /// What is known of an instance that is in memory.
    pub(crate) fn registered(&self, service: &str, id: &str) -> Option<Entry> {
        let state = self.registrations.current();
        let registered = state.registry.service(service)?.entry(id);
        registered.cloned()
    }

    /// All instances of a service that are in memory, by their ids.
    pub(crate) fn all_registered(&self, service: &str) -> HashMap<Arc<str>, Entry> {
        let state = self.registrations.current();
        let service = state.registry.service(service);
        let entries = service.into_iter().flat_map(|it| it.entries.iter());
        let by_id = entries.map(|it| (Arc::clone(it.instance.id()), it.clone()));
        by_id.collect()
    }

    /// The file that lists an instance.
    fn listing(&self, service: &str, id: &str) -> Option<&File> {
        self.files.iter().find(|file| file.lists(service, id))
    }

    /// Whether there is an instance, wherever it is known from.
    pub(crate) fn has(&self, service: &str, id: &str) -> bool {
        self.is_listed(service, id) || self.registered(service, id).is_some()
    }

    /// Whether a file lists an instance.
    pub(crate) fn is_listed(&self, service: &str, id: &str) -> bool {
        self.listing(service, id).is_some()
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
        match self.listing(service, id) {
            Some(_) => Ok(None),
            None => Err(unknown.into()),
        }
    }
}

impl File {
    fn lists_any(&self, service: &str) -> bool {
        self.source.current().registry.service(service).is_some()
    }

    fn lists(&self, service: &str, id: &str) -> bool {
        let state = self.source.current();
        let listed = state.registry.service(service);
        listed.is_some_and(|it| it.entry(id).is_some())
    }

    fn not_ours(&self, service: &str, id: &str) -> ChangeError {
        ChangeError::NotOurs {
            service: service.into(),
            id: id.into(),
            registry: self.path.display().to_string(),
        }
    }
}

fn join(problems: &[Problem]) -> String {
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    problems.join("; ")
}
