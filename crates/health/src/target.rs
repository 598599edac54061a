use std::sync::Arc;

use http::Uri;

/// What is probed: an id that the caller knows it by, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its identity over time.
    pub id: Arc<str>,
    /// Where it is. Probes that connect need a scheme and an authority.
    pub uri: Uri,
}

impl Target {
    /// The target known as `id` at `uri`.
    pub fn new(id: impl Into<Arc<str>>, uri: Uri) -> Self {
        Self { id: id.into(), uri }
    }
}
