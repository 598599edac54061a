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

    /// A service whose name continues this one behind a dot, or is continued by it. In the names of
    /// tools a dot is also what stands between the two.
    pub(crate) fn within(&self, name: &str) -> Option<Arc<str>> {
        let continues = |long: &str, short: &str| {
            let rest = long.strip_prefix(short);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let mut names = self.services.iter().map(|service| service.name());
        let found = names.find(|other| continues(other, name) || continues(name, other));
        found.map(Arc::clone)
    }

    pub(crate) fn services(&self) -> &[Arc<Service>] {
        &self.services
    }
}
