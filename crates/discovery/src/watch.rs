use tokio::sync::watch;

use crate::Snapshot;

/// A source of instances.
pub trait Discover {
    /// A new watch on what the source knows.
    fn watch(&self) -> Watch;
}

impl<D: Discover + ?Sized> Discover for &D {
    fn watch(&self) -> Watch {
        (**self).watch()
    }
}

impl<D: Discover + ?Sized> Discover for std::sync::Arc<D> {
    fn watch(&self) -> Watch {
        (**self).watch()
    }
}

/// A watch is as good as its source, for as long as someone keeps that.
impl Discover for Watch {
    fn watch(&self) -> Watch {
        self.clone()
    }
}

/// The latest [`Snapshot`] of a source, and a way to wait for the next.
///
/// Snapshots that nobody waited for are skipped, never queued.
#[derive(Clone, Debug)]
pub struct Watch {
    receiver: watch::Receiver<Snapshot>,
}

impl Watch {
    pub(crate) fn new(receiver: watch::Receiver<Snapshot>) -> Self {
        Self { receiver }
    }

    /// What the source knows now.
    #[must_use]
    pub fn current(&self) -> Snapshot {
        self.receiver.borrow().clone()
    }

    /// Waits for a snapshot that this method has not returned yet; `None` once the source is
    /// gone and nothing more can come.
    ///
    /// The first call may return what [`current`](Watch::current) has shown already: look at
    /// the current snapshot first, then wait in a loop.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing: the next call returns the snapshot it would have.
    pub async fn changed(&mut self) -> Option<Snapshot> {
        self.receiver.changed().await.ok()?;
        Some(self.receiver.borrow_and_update().clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Discover, Instance, Publisher};

    #[tokio::test]
    async fn a_slow_reader_sees_the_latest_set_once() {
        let publisher = Publisher::new();
        let mut watch = publisher.watch();
        for n in 1..=3 {
            publisher.replace(vec![Instance::new(format!("http://a:{n}")).unwrap()]);
        }
        let seen = watch.changed().await.unwrap();
        assert_eq!(&**seen.instances[0].id(), "http://a:3");
        assert_eq!(seen, watch.current());
        drop(publisher);
        assert_eq!(watch.changed().await, None);
        assert_eq!(seen, watch.current());
    }
}
