use std::sync::Arc;

use http::Uri;

/// What is probed: an id that the caller knows it by, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its identity over time.
    pub id: Arc<str>,
    /// Where it is. Probes that connect need a scheme and an authority.
    pub uri: Uri,
    /// Where its health is asked for, if not at the usual place below [`uri`](Target::uri).
    pub health_url: Option<Uri>,
}

impl Target {
    /// The target known as `id` at `uri`.
    pub fn new(id: impl Into<Arc<str>>, uri: Uri) -> Self {
        Self {
            id: id.into(),
            uri,
            health_url: None,
        }
    }

    /// The same target, whose health is asked for at `url`: a whole address, query included.
    #[must_use]
    pub fn with_health_url(mut self, url: Uri) -> Self {
        self.health_url = Some(url);
        self
    }
}
