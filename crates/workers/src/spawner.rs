use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::runtime::Handle;

/// Gives tasks to [`Workers`](crate::Workers). Clones are of the same workers.
#[derive(Clone, Debug)]
pub struct Spawner {
    workers: Arc<[Worker]>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) runtime: Handle,
    /// How many tasks it was given that have not ended.
    pub(crate) tasks: Arc<AtomicUsize>,
}

impl Spawner {
    pub(crate) fn new(workers: Vec<Worker>) -> Self {
        Self {
            workers: workers.into(),
        }
    }

    /// Runs `task` to its end on the worker that was given the fewest of those still running.
    ///
    /// What the task spawns with [`tokio::spawn`] runs on the same worker and is not counted.
    /// A socket belongs to the runtime it was registered with: move it as one of [`std::net`]
    /// and register it in the task.
    ///
    /// # Cancellation
    ///
    /// The task is dropped if the workers have ended, or when they do.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = |worker: &&Worker| worker.tasks.load(Ordering::Relaxed);
        let worker = self.workers.iter().min_by_key(tasks);
        let worker = worker.expect("there is at least one worker");
        let counted = Counted::new(&worker.tasks);
        worker.runtime.spawn(async move {
            task.await;
            drop(counted);
        });
    }
}

/// Counts a task for as long as it is there.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(tasks: &Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(tasks))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
