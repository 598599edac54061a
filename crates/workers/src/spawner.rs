use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use pin_project::pin_project;
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
        let place = Place::new(&worker.tasks);
        worker.runtime.spawn(Counted { task, place });
    }
}

/// A task and its place, in no more room than the two: an `async` block would keep the task twice,
/// as what it was given and as what it waits for.
#[pin_project]
struct Counted<F> {
    #[pin]
    task: F,
    place: Place,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().task.poll(cx)
    }
}

/// Counts a task for as long as it is there.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn new(tasks: &Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(tasks))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
