use std::{collections::HashMap, sync::Arc};

use bartizan_protocol::Namespace;

use crate::service::Service;

/// Which service stands behind which prefix.
#[derive(Debug)]
pub(crate) struct Places {
    namespace: Namespace,
    services: Box<[Arc<Service>]>,
    prefixes: HashMap<Box<str>, usize>,
}

impl Places {
    /// Every service that speaks MCP, but for those that no tool's name could hold.
    pub(crate) fn new(services: &[Arc<Service>], separator: &str) -> Self {
        let namespace = Namespace::new(separator, Namespace::DEFAULT_MAX_LEN).unwrap_or_default();
        let mut kept: Vec<Arc<Service>> = Vec::new();
        let mut prefixes = HashMap::new();
        for service in services.iter().filter(|service| service.mcp().is_some()) {
            let prefix = prefix(service.name());
            if let Err(reason) = namespace.check_service(&prefix) {
                tracing::warn!(
                    service = &**service.name(),
                    %reason,
                    "not among all services at /mcp: its tools would have no sound names"
                );
                continue;
            }
            // Never the prefix of another: names so alike have the same variables, too, and neither
            // configurations nor registries may have two of those.
            prefixes.insert(prefix.into(), kept.len());
            kept.push(Arc::clone(service));
        }
        Self {
            namespace,
            services: kept.into(),
            prefixes,
        }
    }

    pub(crate) fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// What stands between the name of a service and those of its tools.
    pub(crate) fn separator(&self) -> &str {
        self.namespace.separator()
    }

    /// The name that a tool or prompt of `service` goes by, if it can have one.
    pub(super) fn join(&self, service: &Service, name: &str) -> Option<String> {
        self.namespace.join(&prefix(service.name()), name).ok()
    }

    /// The name that a prompt of `service` goes by whose own is none that a tool could have.
    pub(super) fn join_any(&self, service: &Service, name: &str) -> String {
        let (prefix, separator) = (prefix(service.name()), self.separator());
        format!("{prefix}{separator}{name}")
    }

    /// The service that a name belongs to, and the rest of it: the name at the service unless
    /// it was shortened.
    pub(super) fn split<'a>(&self, name: &'a str) -> Option<(&Arc<Service>, &'a str)> {
        let (prefix, rest) = self.namespace.split(name)?;
        Some((&self.services[*self.prefixes.get(prefix)?], rest))
    }
}

/// A service's name as far as tools may have it in theirs.
fn prefix(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect()
}
