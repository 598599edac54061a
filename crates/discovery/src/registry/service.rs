use std::{collections::BTreeMap, sync::Arc};

use crate::{Balancing, Entry, Instances};

/// One service of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredService {
    /// Its name: a namespace or a template.
    pub name: Arc<str>,
    /// All instances with what is known of them, in the order of the registry.
    pub entries: Arc<[Entry]>,
    /// The same instances, for a balancer.
    pub instances: Instances,
    /// How calls are spread over them, if the registry says.
    pub balancing: Option<Balancing>,
    /// Everything else said of the service: texts as they are, the rest as JSON.
    pub metadata: BTreeMap<Arc<str>, Arc<str>>,
}

impl RegisteredService {
    pub(crate) fn new(name: impl Into<Arc<str>>, entries: Vec<Entry>) -> Self {
        Self {
            name: name.into(),
            instances: entries.iter().map(Entry::for_balancer).collect(),
            entries: entries.into(),
            balancing: None,
            metadata: BTreeMap::new(),
        }
    }

    /// What is known of the instance with this id.
    #[must_use]
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| &**entry.instance.id() == id)
    }
}
