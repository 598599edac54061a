use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use axum::extract::FromRef;

use crate::shared::Shared;

/// What counts now: one snapshot of everything that a configuration decides.
///
/// Doors take the snapshot once, when a request comes in; a request keeps the one that it began
/// with to its end, whatever is swapped in meanwhile.
#[derive(Clone)]
pub(crate) struct Current(Arc<ArcSwap<Shared>>);

impl Current {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(shared)))
    }

    pub(crate) fn load(&self) -> Arc<Shared> {
        self.0.load_full()
    }

    /// Puts another snapshot in the place of the one that is there, which is returned.
    pub(crate) fn swap(&self, shared: Shared) -> Arc<Shared> {
        self.0.swap(Arc::new(shared))
    }
}

impl FromRef<Current> for Arc<Shared> {
    fn from_ref(current: &Current) -> Self {
        current.load()
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.load()).finish()
    }
}
