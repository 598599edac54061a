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
    /// Every service that speaks MCP and can be told from the others by a prefix. Two whose
    /// prefixes are the same are both left out, and so is one that no tool's name could hold.
    pub(crate) fn new(services: &[Arc<Service>], separator: &str) -> Self {
        let namespace = Namespace::new(separator, Namespace::DEFAULT_MAX_LEN).unwrap_or_default();
        let mut by_prefix: HashMap<String, Vec<&Arc<Service>>> = HashMap::new();
        let mut order = Vec::new();
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
            let same = by_prefix.entry(prefix.clone()).or_default();
            if same.is_empty() {
                order.push(prefix);
            }
            same.push(service);
        }
        let mut kept: Vec<Arc<Service>> = Vec::new();
        let mut prefixes = HashMap::new();
        for prefix in order {
            match by_prefix.get(&prefix).map(Vec::as_slice) {
                Some([service]) => {
                    prefixes.insert(prefix.into(), kept.len());
                    kept.push(Arc::clone(service));
                }
                Some(several) => {
                    let names: Vec<_> = several.iter().map(|it| &**it.name()).collect();
                    tracing::warn!(
                        services = names.join(", "),
                        prefix,
                        "not among all services at /mcp: their tools would have the same names"
                    );
                }
                None => {}
            }
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

    /// The name that a tool or prompt of `service` goes by, if it can have one.
    pub(super) fn join(&self, service: &Service, name: &str) -> Option<String> {
        self.namespace.join(&prefix(service.name()), name).ok()
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
