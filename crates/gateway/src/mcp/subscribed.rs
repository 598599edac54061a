use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Of how many resources it is known whether an upstream watches them. To ask for one more than
/// that twice does no harm.
const MAX_KNOWN: usize = 1024;

/// The resources that an upstream watches in one session.
///
/// Who subscribes holds the resource meanwhile: others who want the same wait for what comes of
/// that, and need not subscribe as well.
#[derive(Debug, Default)]
pub(super) struct Subscribed(SyncMutex<HashMap<Box<str>, Arc<Mutex<bool>>>>);

impl Subscribed {
    /// Whether the upstream watches a resource, for one at a time to see and to change.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the place in the line.
    pub(super) async fn hold(&self, uri: &str) -> OwnedMutexGuard<bool> {
        self.of(uri).lock_owned().await
    }

    fn of(&self, uri: &str) -> Arc<Mutex<bool>> {
        let mut known = self.0.lock();
        if let Some(resource) = known.get(uri) {
            return Arc::clone(resource);
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, resource| is_of_use(resource));
        }
        let resource = Arc::default();
        if known.len() < MAX_KNOWN {
            known.insert(uri.into(), Arc::clone(&resource));
        }
        resource
    }
}

/// Whether a resource is watched, or somebody is about to change that.
fn is_of_use(resource: &Arc<Mutex<bool>>) -> bool {
    Arc::strong_count(resource) > 1 || resource.try_lock().is_ok_and(|watched| *watched)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_resource_is_held_by_one_at_a_time() {
        let subscribed = Subscribed::default();
        let mut first = subscribed.hold("u://1").await;
        assert!(subscribed.hold("u://1").now_or_never().is_none());
        assert!(subscribed.hold("u://2").now_or_never().is_some());
        *first = true;
        drop(first);
        assert!(*subscribed.hold("u://1").await);
    }

    #[tokio::test]
    async fn what_is_not_watched_makes_room() {
        let subscribed = Subscribed::default();
        *subscribed.hold("u://watched").await = true;
        for number in 0..2 * MAX_KNOWN {
            subscribed.hold(&format!("u://{number}")).await;
        }
        assert!(subscribed.0.lock().len() <= MAX_KNOWN);
        assert!(*subscribed.hold("u://watched").await);
    }
}
