use std::sync::Arc;

use crate::Instance;

/// A whole set of instances, shared.
pub type Instances = Arc<[Instance]>;

/// What a source knows at one moment: always the whole set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// All instances, in the order of the source, no two with the same id.
    pub instances: Instances,
    /// Whether this is an old set, kept because the source now fails or answers with nothing.
    ///
    /// A source that never had an answer is stale with no instances.
    pub stale: bool,
    /// Why the last look failed, if it did.
    pub error: Option<Arc<str>>,
    /// Grows by one with every change of the fields above.
    pub version: u64,
}

impl Snapshot {
    pub(crate) fn new(instances: Vec<Instance>) -> Self {
        Self {
            stale: instances.is_empty(),
            instances: instances.into(),
            error: None,
            version: 0,
        }
    }
}
