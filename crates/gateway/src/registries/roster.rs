use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Listing;

/// What registries say of a service at this moment; nothing of one that is configured.
///
/// Clones show the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster(Arc<ArcSwapOption<Listing>>);

impl Roster {
    pub(crate) fn new(listing: Option<Arc<Listing>>) -> Self {
        Self(Arc::new(ArcSwapOption::new(listing)))
    }

    pub(crate) fn current(&self) -> Option<Arc<Listing>> {
        self.0.load_full()
    }

    /// Whether any instance is a program; asked for by every call.
    pub(crate) fn has_programs(&self) -> bool {
        let listing = self.0.load();
        listing.as_ref().is_some_and(|it| it.has_programs())
    }

    pub(crate) fn set(&self, listing: Option<Arc<Listing>>) {
        self.0.store(listing);
    }
}
