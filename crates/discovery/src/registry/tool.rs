use std::{collections::BTreeMap, sync::Arc};

/// Something that an instance can do, as its registry lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tool {
    /// Its name within its service.
    pub name: Arc<str>,
    /// What it does, for whoever chooses among tools.
    pub description: Option<Arc<str>>,
    /// Everything else said of it, such as `inputSchema`: texts as they are, the rest as JSON.
    pub metadata: BTreeMap<Arc<str>, Arc<str>>,
}
