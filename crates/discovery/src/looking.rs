use std::{future::Future, sync::Arc};

use tokio::task::JoinHandle;

use crate::{Discover, Publisher, Watch, looks::Looks};

/// A task that looks for instances until this is dropped.
#[derive(Debug)]
pub(crate) struct Looking {
    pub(crate) watch: Watch,
    pub(crate) looks: Arc<Looks>,
    task: JoinHandle<()>,
}

impl Looking {
    /// Runs what publishes what it finds, and says when it looks.
    pub(crate) fn spawn<F>(run: impl FnOnce(Publisher, Arc<Looks>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let publisher = Publisher::new();
        let (watch, looks) = (publisher.watch(), Arc::new(Looks::new()));
        let task = tokio::spawn(run(publisher, Arc::clone(&looks)));
        Self { watch, looks, task }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.task.abort();
    }
}
