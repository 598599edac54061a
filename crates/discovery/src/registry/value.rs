use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::Arc,
};

use crate::RegisteredService;

/// What a registry says at one moment: always all of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Registry {
    /// All services, in the order of the registry.
    pub services: Vec<Arc<RegisteredService>>,
    /// What is odd about the registry and no reason to refuse it.
    pub warnings: Vec<Remark>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Registry {
    /// A registry of `services`, of which no two may have one name: the first stays.
    pub(crate) fn new(services: Vec<Arc<RegisteredService>>, warnings: Vec<Remark>) -> Self {
        let mut by_name = HashMap::with_capacity(services.len());
        for (index, service) in services.iter().enumerate() {
            by_name.entry(Arc::clone(&service.name)).or_insert(index);
        }
        Self {
            services,
            warnings,
            by_name,
        }
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Arc<RegisteredService>> {
        self.by_name.get(name).map(|index| &self.services[*index])
    }

    /// How many instances all services have together.
    #[must_use]
    pub fn instance_count(&self) -> usize {
        self.services
            .iter()
            .map(|service| service.instances.len())
            .sum()
    }
}

impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        self.services == other.services && self.warnings == other.warnings
    }
}

impl Eq for Registry {}

/// Something to say about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remark {
    /// The line, counted from one.
    pub line: u32,
    /// The character within the line, counted from one.
    pub column: u32,
    /// What there is to say.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text } = self;
        write!(f, "line {line}, column {column}: ")?;
        // It may hold a name from the network, and become a line of a log.
        text.chars().try_for_each(|c| match c {
            '"' | '\'' | '\\' => f.write_char(c),
            // Of the others, those that are not seen or turn the line around.
            c => write!(f, "{}", c.escape_debug()),
        })
    }
}
