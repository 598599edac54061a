use std::{collections::HashSet, fmt::Display, sync::Arc};

use tokio::sync::watch;

use crate::{Discover, Instance, Instances, Snapshot, Watch};

/// The writing end of a source: whoever learns of instances publishes them here.
///
/// It holds the rule that all sources share: the last good set survives a source that fails or
/// comes up empty. Only [`clear`](Publisher::clear) empties it, for an operator who says so.
///
/// ```
/// use bartizan_discovery::{Discover, Instance, Publisher};
///
/// let publisher = Publisher::new();
/// let watch = publisher.watch();
/// publisher.replace(vec![Instance::new("http://10.0.0.1:8080")?]);
/// publisher.fail("the registry does not answer");
///
/// let snapshot = watch.current();
/// assert_eq!(snapshot.instances.len(), 1);
/// assert!(snapshot.stale);
/// # Ok::<(), bartizan_discovery::InvalidInstance>(())
/// ```
#[derive(Debug)]
pub struct Publisher {
    sender: watch::Sender<Snapshot>,
}

impl Publisher {
    /// A source that knows nothing yet: empty and stale.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Vec::new())
    }

    pub(crate) fn with(instances: Vec<Instance>) -> Self {
        let (sender, _) = watch::channel(Snapshot::new(unique(instances)));
        Self { sender }
    }

    /// Publishes the whole set as it is now.
    ///
    /// An empty set does not replace the current one but makes it stale. Of two instances with
    /// one id the first stays. Nobody is woken when nothing changed.
    pub fn replace(&self, instances: Vec<Instance>) {
        if instances.is_empty() {
            return self.fail("the source has no instances");
        }
        let instances = unique(instances);
        self.modify(|snapshot| {
            if *snapshot.instances != *instances {
                snapshot.instances = instances.into();
            }
            snapshot.stale = false;
            snapshot.error = None;
        });
    }

    /// Publishes that the source could not be read: the set stays and is stale from now on.
    ///
    /// `error` is shown to operators; it must not hold a secret.
    pub fn fail(&self, error: impl Display) {
        let error: Arc<str> = error.to_string().into();
        self.modify(|snapshot| {
            snapshot.stale = true;
            snapshot.error = Some(error);
        });
    }

    /// Publishes that there are no instances, because an operator removed the last one.
    ///
    /// A source that merely comes up empty uses [`replace`](Publisher::replace).
    pub fn clear(&self) {
        self.modify(|snapshot| {
            snapshot.instances = Arc::new([]);
            snapshot.stale = false;
            snapshot.error = None;
        });
    }

    /// Publishes what a source of sources has worked out; no two instances have one id.
    pub(crate) fn put(&self, instances: Instances, stale: bool, error: Option<Arc<str>>) {
        self.modify(|snapshot| {
            if *snapshot.instances != *instances {
                snapshot.instances = instances;
            }
            snapshot.stale = stale;
            snapshot.error = error;
        });
    }

    pub(crate) fn has_instances(&self) -> bool {
        let snapshot = self.sender.borrow();
        // Once there were any, an empty set is not stale.
        !snapshot.instances.is_empty() || !snapshot.stale
    }

    /// Whether anyone holds a watch.
    pub(crate) fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn modify(&self, change: impl FnOnce(&mut Snapshot)) {
        self.sender.send_if_modified(|snapshot| {
            let before = snapshot.clone();
            change(snapshot);
            let changed = *snapshot != before;
            snapshot.version += u64::from(changed);
            changed
        });
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

impl Discover for Publisher {
    fn watch(&self) -> Watch {
        Watch::new(self.sender.subscribe())
    }
}

fn unique(mut instances: Vec<Instance>) -> Vec<Instance> {
    let mut seen = HashSet::with_capacity(instances.len());
    instances.retain(|instance| {
        let first = seen.insert(Arc::clone(instance.id()));
        if !first {
            let id = &**instance.id();
            tracing::warn!(id, "two instances have one id, ignoring the second");
        }
        first
    });
    instances
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(n: u8) -> Instance {
        Instance::new(format!("http://10.0.0.{n}")).unwrap()
    }

    #[test]
    fn failing_and_empty_sources_keep_the_last_good_set() {
        let publisher = Publisher::new();
        let watch = publisher.watch();
        assert!(watch.current().stale && watch.current().instances.is_empty());

        publisher.replace(vec![instance(1), instance(2)]);
        let good = watch.current();
        assert!(!good.stale);

        publisher.replace(Vec::new());
        assert_eq!(watch.current().instances, good.instances);
        assert!(watch.current().stale);

        publisher.fail("timed out");
        assert_eq!(watch.current().error.as_deref(), Some("timed out"));
        assert_eq!(watch.current().instances, good.instances);

        publisher.replace(vec![instance(1), instance(2)]);
        assert!(!watch.current().stale);
        assert_eq!(watch.current().error, None);
    }

    #[test]
    fn an_operator_can_remove_the_last_one() {
        let publisher = Publisher::with(vec![instance(1)]);
        publisher.clear();
        let snapshot = publisher.watch().current();
        assert!(snapshot.instances.is_empty() && !snapshot.stale);
    }

    #[test]
    fn nothing_new_wakes_nobody() {
        let publisher = Publisher::with(vec![instance(1)]);
        let mut receiver = publisher.sender.subscribe();
        publisher.replace(vec![instance(1)]);
        assert!(!receiver.has_changed().unwrap());
        assert_eq!(receiver.borrow_and_update().version, 0);
        publisher.fail("x");
        publisher.fail("x");
        assert_eq!(receiver.borrow_and_update().version, 1);
    }

    #[test]
    fn of_two_with_one_id_the_first_stays() {
        let twin = instance(2).with_id("http://10.0.0.1").unwrap();
        let publisher = Publisher::with(vec![instance(1), twin]);
        assert_eq!(*publisher.watch().current().instances, [instance(1)]);
    }
}
