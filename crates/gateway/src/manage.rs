//! What operators and instances ask for while the gateway runs.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bartizan_discovery::Entry;

use crate::{registries::ChangeError, works::Works};

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
    /// Adds an instance to a service of the registries, from the next call on; true when it takes
    /// the place of one with its id.
    ///
    /// # Errors
    ///
    /// When it cannot be added; everything is as it was then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the instance added.
    pub(crate) async fn register(
        self: &Arc<Self>,
        service: &str,
        entry: Entry,
        ttl: Option<Duration>,
    ) -> Result<bool, ChangeError> {
        let id = Arc::clone(entry.instance.id());
        let replaced = self.registries().register(service, entry, ttl).await?;
        self.apply_registries();
        tracing::info!(service, %id, ?ttl, replaced, "instance registered");
        Ok(replaced)
    }

    /// Takes an instance out of a service of the registries.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not the gateway's to take out.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the instance taken out.
    pub(crate) async fn deregister(
        self: &Arc<Self>,
        service: &str,
        id: &str,
    ) -> Result<Entry, ChangeError> {
        let entry = self.registries().deregister(service, id).await?;
        self.apply_registries();
        tracing::info!(service, id, "instance deregistered");
        Ok(entry)
    }

    /// Looks at all registries now.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves what was found to be applied soon.
    pub(crate) async fn sync(self: &Arc<Self>) -> Synced {
        let (before, known) = self.inventory();
        let error = self.registries().look().await.err();
        self.apply_registries();
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
        }
    }

    /// What there is in all registries, and the names of all instances.
    fn inventory(&self) -> (Totals, HashSet<String>) {
        let shared = self.current().load();
        let mut totals = Totals::default();
        let mut names = HashSet::new();
        for service in shared.catalog().iter() {
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
