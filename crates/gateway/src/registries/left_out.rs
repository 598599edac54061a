use std::{path::Path, sync::Arc};

use thiserror::Error;

/// A service of a registry that does not count, whatever its settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum LeftOut {
    /// Both would have the same credentials.
    #[error("service {service} of the registries has the variables of {first}; it is left out")]
    SameVariables { service: Arc<str>, first: Arc<str> },
    /// Another registry lists it, which counts.
    #[error("another registry lists service {service} of {} as well; it is left out there", registry.display())]
    ListedTwice {
        service: Arc<str>,
        registry: Arc<Path>,
    },
}

impl LeftOut {
    /// The service, unless it is there nevertheless.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::SameVariables { service, .. } => Some(service),
            Self::ListedTwice { .. } => None,
        }
    }

    pub(super) fn log(&self) {
        match self {
            Self::SameVariables { service, first } => tracing::warn!(
                service = &**service,
                first = &**first,
                "a service of the registries has the variables of another; left out"
            ),
            Self::ListedTwice { service, registry } => tracing::warn!(
                service = &**service,
                registry = %registry.display(),
                "another registry lists this service; left out"
            ),
        }
    }
}
