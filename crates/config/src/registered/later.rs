use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use crate::{ServiceSettings, Source, reader::Scope, unknown};

/// What a service that is described later is read from, besides the gateway's settings.
#[derive(Clone)]
pub(crate) struct Later {
    /// The variables of services.
    pub(super) source: Arc<Source>,
    /// The variables that are those of services which are known already.
    pub(super) used: Arc<BTreeSet<String>>,
    /// The names of those services, by what their variables have for a name.
    pub(super) configured: Arc<HashMap<String, String>>,
    /// The variables of the services that native files list, and whose each is.
    pub(super) listed: Arc<BTreeMap<String, String>>,
}

impl Later {
    pub(crate) fn new(
        source: &Source,
        used: BTreeSet<String>,
        services: &[ServiceSettings],
    ) -> Self {
        let names = services.iter().map(|service| service.name.clone());
        let configured = names.map(|name| (Scope::service(&name).prefix().to_owned(), name));
        Self {
            configured: Arc::new(configured.collect()),
            source: Arc::new(source.part("MCP_SERVICE_")),
            used: Arc::new(used),
            listed: Arc::default(),
        }
    }

    /// Whether the variable of this name is one of a service that is configured.
    pub(crate) fn is_of_a_configured(&self, name: &str) -> bool {
        let of_this = |prefix: &str| {
            let service = self.configured.get(prefix);
            service.is_some_and(|it| unknown::is_variable_of(&Scope::service(it), name))
        };
        let rest = name.strip_prefix("MCP_SERVICE_").unwrap_or_default();
        let mut ends = rest.match_indices('_');
        self.used.contains(name) || ends.any(|(end, _)| of_this(&rest[..end]))
    }

    /// The service of a native file that this variable is of.
    pub(crate) fn listed_owner(&self, name: &str) -> Option<&str> {
        self.listed.get(name).map(String::as_str)
    }
}

impl PartialEq for Later {
    /// Whether both say the same of services that are not known yet.
    fn eq(&self, other: &Self) -> bool {
        let unused = |it: &Self| it.source.except(&it.used);
        unused(self).says_the_same(&unused(other))
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}
