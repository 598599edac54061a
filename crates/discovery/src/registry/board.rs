use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{Discover, Publisher, Registry, RegistryState, RegistryWatch, Watch};

/// Where a source of many services publishes: all of them for whoever assembles services, and
/// each by itself for its balancer.
#[derive(Debug)]
pub(crate) struct Board {
    state: watch::Sender<RegistryState>,
    /// Locked when something is published and when a service is first asked for. Those that
    /// nobody watches any more go when the next registry comes.
    services: Mutex<HashMap<Arc<str>, Publisher>>,
}

impl Board {
    pub(crate) fn new() -> Self {
        let (state, _) = watch::channel(RegistryState {
            stale: true,
            ..RegistryState::default()
        });
        Self {
            state,
            services: Mutex::default(),
        }
    }

    pub(crate) fn watch(&self) -> RegistryWatch {
        RegistryWatch::new(self.state.subscribe())
    }

    pub(crate) fn current(&self) -> RegistryState {
        self.state.borrow().clone()
    }

    /// The instances of one service, which need not be known yet.
    pub(crate) fn service(&self, name: &str) -> Watch {
        let mut services = self.services();
        if let Some(publisher) = services.get(name) {
            return publisher.watch();
        }
        let publisher = Publisher::new();
        let state = self.current();
        if state.version > 0 {
            bring(&publisher, name, &state);
        }
        let watch = publisher.watch();
        services.insert(name.into(), publisher);
        watch
    }

    /// Publishes all there is. A service that the registry does not have any more loses its
    /// instances: whoever wrote it took them out.
    pub(crate) fn publish(&self, registry: impl Into<Arc<Registry>>) {
        let registry = registry.into();
        let mut services = self.services();
        services.retain(|_, publisher| publisher.is_watched());
        let state = self.modify(|state| {
            if state.registry != registry {
                state.registry = registry;
            }
            state.stale = false;
            state.error = None;
        });
        for (name, publisher) in &*services {
            bring(publisher, name, &state);
        }
    }

    /// Publishes that the last good registry is still what the source says.
    #[cfg(feature = "registry")]
    pub(crate) fn recover(&self) {
        let services = self.services();
        let state = self.modify(|state| {
            state.stale = false;
            state.error = None;
        });
        for (name, publisher) in &*services {
            bring(publisher, name, &state);
        }
    }

    /// Publishes that the source could not be read: everything stays, and is stale.
    #[cfg(feature = "registry")]
    pub(crate) fn fail(&self, error: impl std::fmt::Display) {
        let services = self.services();
        let state = self.modify(|state| {
            state.stale = true;
            state.error = Some(error.to_string().into());
        });
        for (name, publisher) in &*services {
            bring(publisher, name, &state);
        }
    }

    fn modify(&self, change: impl FnOnce(&mut RegistryState)) -> RegistryState {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            let changed = !Arc::ptr_eq(&before.registry, &state.registry)
                || before.stale != state.stale
                || before.error != state.error;
            state.version += u64::from(changed);
            changed
        });
        self.current()
    }

    fn services(&self) -> MutexGuard<'_, HashMap<Arc<str>, Publisher>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bring(publisher: &Publisher, name: &str, state: &RegistryState) {
    let instances = match state.registry.service(name) {
        Some(service) => Arc::clone(&service.instances),
        None => Arc::new([]),
    };
    publisher.put(instances, state.stale, state.error.clone());
}
