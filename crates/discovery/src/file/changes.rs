use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// What the operating system says of changes of one file.
///
/// The directories are watched, not the file: most programs write a new file and rename it, and
/// whoever watches the old one hears nothing more. The file need not be there.
///
/// It is a hint and no more: network file systems tell of nothing, and what is told may be about
/// the same content. Look at the file now and then, and compare.
#[derive(Debug)]
pub struct Changes {
    _watcher: RecommendedWatcher,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    /// Whether nothing more may be heard, because a directory has gone or the queue broke.
    lost: AtomicBool,
}

impl Changes {
    /// Listens to what happens to the file at `path`, and to what it leads to if it is a link.
    ///
    /// # Errors
    ///
    /// When its directory is not there, or the operating system watches no more.
    pub fn watch(path: &Path) -> io::Result<Self> {
        Self::begin(path).map_err(io::Error::other)
    }

    fn begin(path: &Path) -> notify::Result<Self> {
        let bell = Arc::new(Bell::default());
        let (names, directories) = places(path);
        let ear = Ear {
            bell: Arc::clone(&bell),
            names,
            directories: directories.clone(),
        };
        let mut watcher = notify::recommended_watcher(move |event| ear.hear(event))?;
        for directory in &directories {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok(Self {
            _watcher: watcher,
            bell,
        })
    }

    /// Waits until the file may have changed since the last wait.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&self) {
        self.bell.rung.notified().await;
    }

    /// Whether it takes a new watcher to hear anything.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.bell.lost.load(Ordering::Acquire)
    }
}

/// The names under which the file is known, and where they are: where a link leads to is as
/// much the file as the link. `..data` is the link that a mounted ConfigMap is switched by.
fn places(path: &Path) -> (Vec<OsString>, Vec<PathBuf>) {
    let mut names = vec![OsString::from("..data")];
    let mut directories = Vec::new();
    let target = path.canonicalize().ok();
    for path in [Some(path), target.as_deref()].into_iter().flatten() {
        names.extend(path.file_name().map(Into::into));
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let parent = parent.canonicalize().unwrap_or_else(|_| parent.into());
        if !directories.contains(&parent) {
            directories.push(parent);
        }
    }
    (names, directories)
}

struct Ear {
    bell: Arc<Bell>,
    names: Vec<OsString>,
    directories: Vec<PathBuf>,
}

impl Ear {
    fn hear(&self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            self.bell.lost.store(true, Ordering::Release);
            return self.bell.rung.notify_one();
        };
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if event.kind.is_access() && event.kind != written {
            // Reading the file, as we do, is no change of it.
            return;
        }
        let gone = event.kind.is_remove()
            && event
                .paths
                .iter()
                .any(|path| self.directories.contains(path));
        if gone {
            self.bell.lost.store(true, Ordering::Release);
        }
        let ours = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| self.names.iter().any(|known| known == name))
        };
        if gone || event.need_rescan() || event.paths.iter().any(ours) {
            self.bell.rung.notify_one();
        }
    }
}
