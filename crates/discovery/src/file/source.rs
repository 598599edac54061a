use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bartizan_clock::Clock;
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{changes::Changes, reading::Reading};
use crate::{Registry, RegistryState, RegistryWatch, Watch, registry::Board};

/// How long a file must be left alone before a change is read: editors write in several steps.
/// One that is written in place must have been closed before.
const SETTLE: Duration = Duration::from_millis(50);

/// However busy a file is, it is read this long after the first change.
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);

/// A registry that is a file, read again whenever it changes.
///
/// The file is looked at every interval, and soon after the operating system tells of a change
/// where it does. Content that is the same byte for byte costs no more than reading it. A file
/// that cannot be read or is wrong leaves everything as it was, flagged stale, with an error
/// that names line and column; one that is right takes out what it does not have any more.
///
/// The file is read in a task that dropping the source stops.
///
/// ```
/// use bartizan_discovery::{Format, RegistryFile};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("registry.yaml");
/// # std::fs::write(&path, "servers:\n  - {namespace: users, name: users.internal, port: 80}\n")?;
/// let file = RegistryFile::builder(path, Format::Yaml).spawn()?;
/// let state = file.reload().await.map_err(|error| error.to_string())?;
/// assert_eq!(state.registry.services.len(), 1);
/// assert_eq!(file.service("users").current().instances.len(), 1);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct RegistryFile {
    board: Arc<Board>,
    /// Nothing reads what was read by somebody else.
    reading: Option<Task>,
}

#[derive(Debug)]
struct Task {
    /// Whether the file was ever there, right or wrong.
    was_there: Arc<AtomicBool>,
    reloads: mpsc::Sender<oneshot::Sender<RegistryState>>,
    interval: watch::Sender<Duration>,
    task: JoinHandle<()>,
}

impl RegistryFile {
    /// A builder of a source for the file at `path`, which need not be there yet.
    pub fn builder(path: impl Into<PathBuf>, format: Format) -> RegistryFileBuilder {
        RegistryFileBuilder {
            path: path.into(),
            format,
            // What the first gateway with such a file has documented.
            interval: Duration::from_secs(60),
            watched: true,
            may_be_missing: false,
            clock: Clock::default(),
        }
    }

    /// A registry that somebody else has read, who makes another source of it when it changes:
    /// one that is a part of a file of settings has to change together with the rest.
    #[must_use]
    pub fn fixed(registry: Arc<Registry>) -> Self {
        let board = Arc::new(Board::new());
        board.publish(registry);
        Self {
            board,
            reading: None,
        }
    }

    /// All services of the file, now and later.
    #[must_use]
    pub fn watch(&self) -> RegistryWatch {
        self.board.watch()
    }

    /// What is known of the file now, which before the first look is nothing.
    #[must_use]
    pub fn current(&self) -> RegistryState {
        self.board.current()
    }

    /// Whether the file was there at any look so far, were it that it was wrong.
    #[must_use]
    pub fn was_there(&self) -> bool {
        let task = self.reading.as_ref();
        task.is_none_or(|task| task.was_there.load(Ordering::Relaxed))
    }

    /// Changes the time from one look to the next; zero changes nothing. What is known stays.
    pub fn set_interval(&self, interval: Duration) {
        if let Some(Task { interval: own, .. }) = &self.reading
            && !interval.is_zero()
        {
            own.send_if_modified(|known| std::mem::replace(known, interval) != interval);
        }
    }

    /// The instances of one service, now and later; it need not be in the file yet.
    #[must_use]
    pub fn service(&self, name: &str) -> Watch {
        self.board.service(name)
    }

    /// Looks at the file now, and says what is known after that.
    ///
    /// # Errors
    ///
    /// Why the file cannot be used, with line and column; everything stays as it was then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the look to be taken.
    pub async fn reload(&self) -> Result<RegistryState, Arc<str>> {
        let Some(Task { reloads, .. }) = &self.reading else {
            return Ok(self.current());
        };
        let (reply, state) = oneshot::channel();
        let stopped = |_| Arc::from("the source has been stopped");
        reloads
            .send(reply)
            .await
            .map_err(|error| stopped(error.to_string()))?;
        let state = state.await.map_err(|error| stopped(error.to_string()))?;
        match state.error {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a registry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// As [`Registry::from_yaml`] reads it.
    Yaml,
    /// As [`Registry::from_json`] reads it.
    Json,
}

/// Builds a [`RegistryFile`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RegistryFileBuilder {
    path: PathBuf,
    format: Format,
    interval: Duration,
    watched: bool,
    may_be_missing: bool,
    clock: Clock,
}

impl RegistryFileBuilder {
    /// The time from one look to the next. Default: 60 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Whether changes are heard of between the looks, where the operating system tells of
    /// them. Default: yes.
    ///
    /// Some network file systems tell nothing of what other machines do; then the interval
    /// counts alone.
    pub fn watched(mut self, watched: bool) -> Self {
        self.watched = watched;
        self
    }

    /// Whether a file that is not there is an empty registry for as long as none was ever
    /// there. Default: no, it is an error.
    ///
    /// One that has been there and is gone is an error in any case, and everything stays.
    pub fn may_be_missing(mut self, may_be_missing: bool) -> Self {
        self.may_be_missing = may_be_missing;
        self
    }

    /// The clock that measures the interval. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts reading; the first look is taken at once.
    ///
    /// # Errors
    ///
    /// When the interval is zero.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(self) -> Result<RegistryFile, InvalidRegistryFile> {
        self.start(|_| Ok(()))
    }

    /// As [`spawn`](Self::spawn), and reads the file before it returns, on the calling thread:
    /// for whoever must not begin without it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn), and when the file cannot be used as it is now.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn_loaded(self) -> Result<RegistryFile, InvalidRegistryFile> {
        self.start(|reading| {
            reading.look_now();
            match reading.board.current().error {
                Some(error) => Err(InvalidRegistryFile::Unusable(error)),
                None => Ok(()),
            }
        })
    }

    fn start(
        self,
        begin: impl FnOnce(&mut Reading) -> Result<(), InvalidRegistryFile>,
    ) -> Result<RegistryFile, InvalidRegistryFile> {
        if self.interval.is_zero() {
            return Err(InvalidRegistryFile::ZeroInterval);
        }
        let board = Arc::new(Board::new());
        // Whoever asks while a look is taken gets the next one, and waits for room if many do.
        let (reloads, requests) = mpsc::channel(16);
        let mut reading = Reading::new(
            self.path.into(),
            self.format,
            self.may_be_missing,
            Arc::clone(&board),
        );
        begin(&mut reading)?;
        let was_there = Arc::clone(&reading.was_there);
        let (interval, intervals) = watch::channel(self.interval);
        let task = tokio::spawn(run(reading, requests, intervals, self.watched, self.clock));
        Ok(RegistryFile {
            board,
            reading: Some(Task {
                was_there,
                reloads,
                interval,
                task,
            }),
        })
    }
}

/// A [`RegistryFile`] that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidRegistryFile {
    /// The interval is zero.
    #[error("the interval must be positive")]
    ZeroInterval,
    /// The file cannot be used, for a reason that names it, and the line and the column.
    #[error("{0}")]
    Unusable(Arc<str>),
}

async fn run(
    mut reading: Reading,
    mut requests: mpsc::Receiver<oneshot::Sender<RegistryState>>,
    mut interval: watch::Receiver<Duration>,
    watched: bool,
    clock: Clock,
) {
    let mut changes: Option<Changes> = None;
    let mut deaf = false;
    let mut heard = false;
    let mut waiting = Vec::new();
    loop {
        // Before the file is read, so that no change falls between the two.
        if watched && changes.as_ref().is_none_or(Changes::is_lost) {
            changes = match Changes::watch(&reading.path) {
                Ok(changes) => Some(changes),
                Err(error) => {
                    if !std::mem::replace(&mut deaf, true) {
                        let path = reading.path.display();
                        tracing::warn!(%path, %error, "file cannot be watched, polling it");
                    }
                    None
                }
            };
        }
        // Whatever the reason to look now, and not at half of a file.
        if let Some(changes) = &changes
            && (heard || changes.is_being_written())
        {
            settle(changes, clock).await;
        }
        reading.look().await;
        for reply in waiting.drain(..) {
            let reply: oneshot::Sender<RegistryState> = reply;
            let _ = reply.send(reading.board.current());
        }
        let changed = async {
            match &changes {
                Some(changes) => changes.next().await,
                None => std::future::pending().await,
            }
        };
        let pause = *interval.borrow_and_update();
        heard = tokio::select! {
            () = clock.sleep(pause) => false,
            Ok(()) = interval.changed() => false,
            () = changed => true,
            Some(reply) = requests.recv() => {
                waiting.push(reply);
                false
            }
        };
        while let Ok(reply) = requests.try_recv() {
            waiting.push(reply);
        }
    }
}

async fn settle(changes: &Changes, clock: Clock) {
    let quiet = async {
        loop {
            if changes.is_being_written() {
                // However long a writer pauses, half of a file can look like a whole one.
                changes.next().await;
            } else if tokio::time::timeout(SETTLE, changes.next()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = quiet => {}
        () = clock.sleep(SETTLE_AT_MOST) => {}
    }
}

#[cfg(test)]
mod tests;
