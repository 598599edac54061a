use std::{collections::HashMap, sync::Arc};

use crate::service::Service;

/// All services by name, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Catalog {
    services: Box<[Arc<Service>]>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Catalog {
    pub(crate) fn new(services: Vec<Arc<Service>>) -> Self {
        let by_name = services
            .iter()
            .enumerate()
            .map(|(index, service)| (Arc::clone(service.name()), index))
            .collect();
        Self {
            services: services.into(),
            by_name,
        }
    }

    pub(crate) fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.by_name.get(name).map(|index| &self.services[*index])
    }

    pub(crate) fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.iter()
    }
}
