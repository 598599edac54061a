use std::{
    cell::Cell,
    convert::Infallible,
    fmt, io,
    num::NonZeroUsize,
    pin::pin,
    sync::{
        Arc,
        atomic::AtomicUsize,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

use crate::{Spawner, spawner::Worker};

/// Threads that run a single-threaded tokio runtime each.
///
/// Dropping it drops every task that is left on them and waits for the threads, and for blocking
/// calls that their tasks began: not to be done within a runtime. It waits for two seconds at
/// most, as a name server or a disk that has gone away can hold up a blocking call for ever. What
/// has not ended by then goes on until the process does.
pub struct Workers {
    spawner: Spawner,
    threads: Vec<Thread>,
    /// Ends with the last thread.
    running: mpsc::Receiver<Infallible>,
}

struct Thread {
    /// Dropped to end it.
    end: oneshot::Sender<()>,
    handle: JoinHandle<()>,
}

/// How long blocking calls may go on after the tasks that began them.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How long threads may take to end, blocking calls included.
const ENDING: Duration = Duration::from_secs(2);

/// Shorter than most timeouts, and long enough to cost nothing.
const TICK: Duration = Duration::from_secs(1);

thread_local! {
    static FELLOWS: Cell<usize> = const { Cell::new(0) };
}

/// How many workers there are, if this thread is one of them.
#[inline]
pub(crate) fn fellows() -> Option<NonZeroUsize> {
    NonZeroUsize::new(FELLOWS.get())
}

impl Workers {
    /// Starts `count` threads, called `worker-0` and so on.
    ///
    /// # Errors
    ///
    /// When the operating system has no descriptor or no thread left; then those that were
    /// started end again.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        let (runs, running) = mpsc::channel();
        for index in 0..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.push(Worker {
                runtime: runtime.handle().clone(),
                tasks: Arc::new(AtomicUsize::new(0)),
            });
            let name = format!("worker-{index}");
            threads.push(Thread::start(name, count, runtime, runs.clone())?);
        }
        Ok(Self {
            spawner: Spawner::new(workers),
            threads,
            running,
        })
    }

    /// What gives them tasks. It may outlive them.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }
}

impl Thread {
    fn start(
        name: String,
        count: NonZeroUsize,
        runtime: Runtime,
        runs: mpsc::Sender<Infallible>,
    ) -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let handle = thread::Builder::new().name(name).spawn(move || {
            FELLOWS.set(count.get());
            runtime.block_on(tick_until(ended));
            runtime.shutdown_timeout(LEFT_BEHIND);
            drop(runs);
        })?;
        Ok(Self { end, handle })
    }
}

/// Runs until the sender of `ended` goes, whichever way.
///
/// It ticks because tokio wakes a thread, by a system call, at each timer that is set to go off
/// before all others, even if that thread is the one that sets it. With a tick ahead, that is
/// none of those that watch over calls and are hardly ever needed.
async fn tick_until(ended: oneshot::Receiver<()>) {
    let mut ended = pin!(ended);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = &mut ended => return,
            _ = ticks.tick() => {}
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // All at once, rather than each after the one before has gone.
        let threads = self.threads.drain(..);
        let (ends, handles): (Vec<_>, Vec<_>) = threads.map(|it| (it.end, it.handle)).unzip();
        drop(ends);
        if self.running.recv_timeout(ENDING) == Err(RecvTimeoutError::Disconnected) {
            for handle in handles {
                // A panic of the runtime itself has been printed by its thread.
                let _ = handle.join();
            }
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}
