//! Files that somebody changes while they are looked at.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_discovery::Changes;
use tokio::{sync::Notify, task::JoinSet, time::timeout};

/// How long nothing may happen before files count as written: editors write in several steps,
/// and whoever changes one file often changes another.
const SETTLE: Duration = Duration::from_millis(100);
/// A file that is written to all the time is looked at all the same.
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);
/// From one look to the next where the operating system tells of nothing, as with network file
/// systems.
const POLL_EVERY: Duration = Duration::from_secs(10);
/// More of a file of settings is never read.
const MOST_BYTES: u64 = 1 << 20;

/// Files, and what was in them when they were last looked at.
#[derive(Debug)]
pub(super) struct Watched {
    files: Arc<[PathBuf]>,
    hashing: RandomState,
    seen: Vec<u64>,
}

impl Watched {
    /// These files as they are now; they need not be there.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let hashing = RandomState::new();
        Self {
            seen: look(&files, &hashing),
            files: files.into(),
            hashing,
        }
    }

    /// Begins to listen to what happens to them.
    pub(super) fn listen(self) -> Listening {
        let clock = Clock::default();
        let rung = Arc::new(Notify::new());
        let mut listeners = JoinSet::new();
        for file in self.files.iter() {
            listeners.spawn(listen(file.clone(), Arc::clone(&rung), clock));
        }
        Listening {
            watched: self,
            rung,
            clock,
            _listeners: listeners,
        }
    }

    /// The files that hold something else than before.
    async fn changed(&mut self) -> Vec<PathBuf> {
        let (files, hashing) = (Arc::clone(&self.files), self.hashing.clone());
        // They may be on a disk that has gone away.
        let looked = tokio::task::spawn_blocking(move || look(&files, &hashing));
        let Ok(now) = looked.await else {
            return Vec::new();
        };
        let then = std::mem::replace(&mut self.seen, now);
        let files = self.files.iter().zip(then.iter().zip(&self.seen));
        let others = files.filter(|(_, (then, now))| then != now);
        others.map(|(file, _)| file.clone()).collect()
    }
}

/// What stands for the content of each file: secrets are not kept for this.
fn look(files: &[PathBuf], hashing: &RandomState) -> Vec<u64> {
    let content = |path: &PathBuf| -> io::Result<Vec<u8>> {
        // Opening a pipe may take for ever, and what is read from one is gone.
        if !fs::metadata(path)?.is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let files = files.iter();
    files
        .map(|path| hashing.hash_one(content(path).map_err(|error| error.kind())))
        .collect()
}

/// Files that are listened to for as long as this is there.
#[derive(Debug)]
pub(super) struct Listening {
    watched: Watched,
    rung: Arc<Notify>,
    clock: Clock,
    _listeners: JoinSet<()>,
}

impl Listening {
    /// Waits until files hold something else than before, and says which.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no change, unless it was about to complete.
    pub(super) async fn next(&mut self) -> Vec<PathBuf> {
        loop {
            self.rung.notified().await;
            settle(&self.rung, self.clock).await;
            let changed = self.watched.changed().await;
            if !changed.is_empty() {
                return changed;
            }
        }
    }
}

/// Waits until nothing has happened for a while.
async fn settle(rung: &Notify, clock: Clock) {
    let quiet = async { while timeout(SETTLE, rung.notified()).await.is_ok() {} };
    tokio::select! {
        () = quiet => {}
        () = clock.sleep(SETTLE_AT_MOST) => {}
    }
}

/// Rings whenever the file may have changed.
async fn listen(file: PathBuf, rung: Arc<Notify>, clock: Clock) {
    let mut deaf = false;
    loop {
        match Changes::watch(&file) {
            Ok(changes) => {
                // It may have changed while nobody listened.
                rung.notify_one();
                while !changes.is_lost() {
                    tokio::select! {
                        () = changes.next() => {}
                        () = clock.sleep(POLL_EVERY) => {}
                    }
                    rung.notify_one();
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut deaf, true) {
                    let file = file.display();
                    tracing::warn!(%file, %error, "file cannot be watched, polling it");
                }
            }
        }
        clock.sleep(POLL_EVERY).await;
        rung.notify_one();
    }
}
