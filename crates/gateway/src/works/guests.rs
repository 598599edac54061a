use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{manage::sends_credential, plan::Plan, registries::Registries};

/// The instances in memory that were registered by somebody who is no operator.
///
/// They may serve what sends no credential. A service may come to send one with another
/// configuration, and must not send it to them then.
#[derive(Debug, Default)]
pub(crate) struct Guests(Mutex<HashMap<Arc<str>, HashSet<Arc<str>>>>);

/// A guest's service and id.
pub(super) type Guest = (Arc<str>, Arc<str>);

impl Guests {
    /// Notes that an instance is a guest, which is to be done before it is registered; whether that
    /// is new.
    pub(crate) fn note(&self, registries: &Registries, service: &str, id: &Arc<str>) -> bool {
        let mut guests = self.0.lock();
        if guests.len() == guests.capacity() {
            guests.retain(|service, ids| has_any(registries, service, ids));
        }
        let ids = guests.entry(service.into()).or_default();
        // Nobody says when one has gone: those that have make room for others.
        if ids.len() == ids.capacity() {
            let registered = registries.all_registered(service);
            ids.retain(|id| registered.contains_key(id));
        }
        ids.insert(Arc::clone(id))
    }

    /// Whether an instance was registered by somebody who is no operator.
    pub(crate) fn has(&self, service: &str, id: &str) -> bool {
        let guests = self.0.lock();
        guests.get(service).is_some_and(|ids| ids.contains(id))
    }

    /// Notes that an instance is none.
    pub(crate) fn strike(&self, service: &str, id: &str) {
        if let Some(ids) = self.0.lock().get_mut(service) {
            ids.remove(id);
        }
    }

    /// Leaves them out of what is planned of services that send a credential, and says which.
    pub(super) fn leave_out(&self, plans: &mut [Plan], registries: &Registries) -> Vec<Guest> {
        let guests = self.0.lock();
        let mut out = Vec::new();
        for plan in plans {
            let Some(listing) = plan.listing.as_ref() else {
                continue;
            };
            let Some(ids) = guests.get(&listing.name).filter(|ids| !ids.is_empty()) else {
                continue;
            };
            if !sends_credential(&plan.settings) {
                continue;
            }
            // What a file lists under the same id is no guest. What was registered anew since the
            // plans were made is one.
            let registered = registries.all_registered(&listing.name);
            let is_there =
                |id: &Arc<str>| listing.entry(id).is_some() || registered.contains_key(id);
            let is_guest = |id: &Arc<str>| is_there(id) && !registries.is_listed(&listing.name, id);
            let found: HashSet<_> = ids.iter().filter(|id| is_guest(id)).cloned().collect();
            if found.is_empty() {
                continue;
            }
            let name = Arc::clone(&listing.name);
            plan.listing = Some(Arc::new(listing.without(&found)));
            out.extend(found.into_iter().map(|id| (Arc::clone(&name), id)));
        }
        out
    }
}

fn has_any(registries: &Registries, service: &str, ids: &HashSet<Arc<str>>) -> bool {
    let registered = registries.all_registered(service);
    ids.iter().any(|id| registered.contains_key(id))
}
