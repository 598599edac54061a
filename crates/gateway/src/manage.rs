//! What operators and instances ask for while the gateway runs.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use bartizan_config::{AuthSettings, Registered, RegisteredKind, ServiceSettings, variable_prefix};
use bartizan_discovery::{Entry, Remark};
use futures_util::future::{join, join_all};

use crate::{
    permit::{self, NotPermitted},
    registries::ChangeError,
    works::Works,
};

/// An instance that was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) id: Arc<str>,
    /// Whether it took the place of one with its id.
    pub(crate) replaced: bool,
    /// What is odd about it.
    pub(crate) remarks: Vec<Remark>,
}

/// What a look at all registries came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) before: Totals,
    pub(crate) after: Totals,
    /// Instances as `service/id`.
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    /// Why a registry could not be used, if one could not; what it said before stands.
    pub(crate) error: Option<Arc<str>>,
    /// Why other sources found nothing; what they said before stands.
    pub(crate) warnings: Vec<String>,
}

/// How much there is in all registries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) services: usize,
    pub(crate) instances: usize,
    /// Those that get calls.
    pub(crate) healthy: usize,
}

impl Works {
    /// Adds an instance that somebody describes over HTTP, in the form of a `registry.json`, who
    /// is an operator or is not; from the next call on it counts. One without a name is called after
    /// its service and the time.
    ///
    /// # Errors
    ///
    /// When it is none, or may not or cannot be added; everything is as it was then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the instance added.
    pub(crate) async fn register_as_written(
        self: &Arc<Self>,
        service: &str,
        instance: &str,
        ttl: Option<Duration>,
        is_admin: bool,
    ) -> Result<Added, ChangeError> {
        let mut name = self.name_instance(service);
        let (mut entry, remarks) = Entry::from_json(instance, Some(&name))?;
        let mut id = Arc::clone(entry.instance.id());
        let configuration = self.configuration();
        let clock = self.lasting().clock();
        permit::check(service, &entry, &configuration.gateway, is_admin, clock).await?;
        let settings = self.settings_of(service)?;
        if !is_admin {
            // A name that was made up takes nobody's place, whoever has it.
            let is_named = *name != *id;
            if ttl.is_none() || is_named && self.is_operators(service, &id) {
                self.leave_to_operators()?;
            }
            if sends_credential(&settings) {
                return Err(NotPermitted::Credential.into());
            }
            let shared = self.current().load();
            let is_new = shared.catalog().service(service).is_none();
            if let Some(other) = shared.catalog().within(service).filter(|_| is_new) {
                return Err(NotPermitted::Within(other).into());
            }
        }
        for remark in &remarks {
            tracing::warn!(service, id = &*id, "registration: {remark}");
        }
        let replaced = loop {
            let is_named = *name != *id;
            match self
                .register(service, entry, is_named, ttl, is_admin)
                .await?
            {
                Some(replaced) => break replaced,
                None => {
                    name = self.name_instance(service);
                    (entry, _) = Entry::from_json(instance, Some(&name))?;
                    id = Arc::clone(entry.instance.id());
                }
            }
        };
        self.apply_registries_at_home().await;
        let ttl_seconds = ttl.map(|ttl| ttl.as_secs_f64());
        tracing::info!(
            service,
            id = &*id,
            ttl_seconds,
            replaced,
            "instance registered"
        );
        Ok(Added {
            id,
            replaced,
            remarks,
        })
    }

    /// Adds an instance, and notes whether it is a guest; true when it takes the place of one with
    /// its id. One that was not named takes nobody's: `None` when its id is taken.
    async fn register(
        &self,
        service: &str,
        entry: Entry,
        is_named: bool,
        ttl: Option<Duration>,
        is_admin: bool,
    ) -> Result<Option<bool>, ChangeError> {
        let registries = self.registries();
        let id = Arc::clone(entry.instance.id());
        if !is_named && registries.has(service, &id) {
            return Ok(None);
        }
        let is_new_guest = !is_admin && self.guests().note(&registries, service, &id);
        let registered = if is_named {
            registries.register(service, entry, ttl).await.map(Some)
        } else {
            let added = registries.add(service, entry, ttl).await;
            added.map(|added| added.then_some(false))
        };
        let is_no_guest = match &registered {
            Ok(Some(_)) => is_admin,
            // Unless another guest has registered it meanwhile.
            Ok(None) | Err(_) => is_new_guest && registries.registered(service, &id).is_none(),
        };
        if is_no_guest {
            self.guests().strike(service, &id);
        }
        registered
    }

    /// A name for an instance that has none: its service and the time in seconds, or a later one if
    /// another was called after that.
    fn name_instance(&self, service: &str) -> String {
        let now = self.current().load().unix_seconds();
        format!("{service}-{}", self.unused_second(now))
    }

    /// The settings that a service of that name in a registry has, or would have.
    ///
    /// # Errors
    ///
    /// When there can be none.
    fn settings_of(&self, service: &str) -> Result<Arc<ServiceSettings>, ChangeError> {
        let shared = self.current().load();
        let known = shared.catalog().service(service);
        if let Some(known) = known.filter(|known| known.listing().is_some()) {
            return Ok(known.settings());
        }
        let variables = variable_prefix(service);
        let others = shared.catalog().services().iter().map(|other| other.name());
        let mut others = others.filter(|other| variable_prefix(other) == variables);
        if let Some(other) = others.find(|other| ***other != *service) {
            return Err(ChangeError::SameVariables {
                service: service.into(),
                other: Arc::clone(other),
                variables,
            });
        }
        let registry = Path::new("registration");
        let described = Registered::new(service, RegisteredKind::Mcp, registry);
        let settings = self.configuration().registered(&described);
        let (settings, _) = settings.map_err(ChangeError::Service)?;
        Ok(Arc::new(settings))
    }

    /// Where there are operators, some changes are theirs.
    ///
    /// # Errors
    ///
    /// When there are.
    pub(crate) fn leave_to_operators(&self) -> Result<(), NotPermitted> {
        match self.configuration().gateway.admin_keys {
            Some(_) => Err(NotPermitted::ForGood),
            None => Ok(()),
        }
    }

    /// Whether a file lists an instance, or an operator registered it: what only operators change
    /// where there are any.
    fn is_operators(&self, service: &str, id: &str) -> bool {
        let registries = self.registries();
        let is_guest = || self.guests().has(service, id);
        registries.is_listed(service, id)
            || registries.registered(service, id).is_some() && !is_guest()
    }

    /// Takes an instance out of a service of the registries, for someone who is an operator or is
    /// not.
    ///
    /// # Errors
    ///
    /// When there is none, it is not the gateway's to take out, or it is an operator's.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the instance taken out.
    pub(crate) async fn deregister(
        self: &Arc<Self>,
        service: &str,
        id: &str,
        is_admin: bool,
    ) -> Result<Entry, ChangeError> {
        if !is_admin && self.is_operators(service, id) {
            self.leave_to_operators()?;
        }
        let entry = self.registries().deregister(service, id).await?;
        self.apply_registries_at_home().await;
        tracing::info!(service, id, "instance deregistered");
        Ok(entry)
    }

    /// Looks at all registries now, and wherever else instances are found.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves what was found to be applied soon.
    pub(crate) async fn sync(self: &Arc<Self>) -> Synced {
        let (before, known) = self.inventory();
        let registries = self.registries();
        let (files, warnings) = join(registries.look(), self.look_elsewhere()).await;
        let error = files.err();
        self.apply_registries_at_home().await;
        let (after, found) = self.inventory();
        let sorted = |names: std::collections::hash_set::Difference<'_, String, _>| {
            let mut names: Vec<String> = names.cloned().collect();
            names.sort_unstable();
            names
        };
        Synced {
            before,
            after,
            added: sorted(found.difference(&known)),
            removed: sorted(known.difference(&found)),
            error,
            warnings,
        }
    }

    /// Has the sources look now that instances of services are found by; why some found nothing.
    async fn look_elsewhere(&self) -> Vec<String> {
        let services = self.current().load().catalog().services().to_vec();
        let looks = services.into_iter();
        let looks = looks.map(|service| async move { service.look().await });
        let looked = join_all(looks).await.into_iter();
        looked.filter_map(Result::err).collect()
    }

    async fn apply_registries_at_home(self: &Arc<Self>) {
        if let Err(error) = self.at_home(|works| works.apply_registries()).await {
            tracing::error!(%error, "what the registries say is not applied");
        }
    }

    /// What there is in all registries, and the names of all instances.
    fn inventory(&self) -> (Totals, HashSet<String>) {
        let shared = self.current().load();
        let mut totals = Totals::default();
        let mut names = HashSet::new();
        for service in shared.catalog().services() {
            let Some(listing) = service.listing() else {
                continue;
            };
            totals.services += 1;
            totals.instances += listing.entries.len();
            totals.healthy += service.usable_instances();
            let ids = listing.entries.iter().map(|entry| entry.instance.id());
            names.extend(ids.map(|id| format!("{}/{id}", listing.name)));
        }
        (totals, names)
    }
}

/// Whether calls to the service bear something that not everybody may see.
pub(crate) fn sends_credential(settings: &ServiceSettings) -> bool {
    let mcp = settings.kind.mcp();
    mcp.is_some_and(|mcp| !mcp.headers.is_empty() || mcp.query.is_some())
        || *settings.auth != AuthSettings::None
}
