use std::sync::Arc;

use http::Uri;

use crate::Health;

/// A change of health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Whose health changed.
    pub id: Arc<str>,
    /// Where it is, or was: it may have moved since.
    pub uri: Uri,
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// What the last probe found, if that was bad.
    pub reason: Option<Arc<str>>,
}

/// Who is told of a change.
pub(crate) type OnTransition = Box<dyn Fn(&Transition) + Send + Sync>;
