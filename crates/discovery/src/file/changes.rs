use std::{
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::Notify;

/// What the operating system says of changes of one file.
///
/// The directories are watched, not the file: most programs write a new file and rename it, and
/// whoever watches the old one hears nothing more. Neither the file nor its directory need be
/// there. When a link on the way to it is turned or a directory is swapped, that is heard, and
/// [`is_lost`](Changes::is_lost) from then on.
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
    /// Whether nothing more may be heard, because a directory has gone, the way to the file leads
    /// elsewhere or the queue broke.
    lost: AtomicBool,
    /// Whether the last that was heard of its content is that it changed, and not that it was
    /// closed or replaced.
    being_written: AtomicBool,
}

impl Changes {
    /// Listens to what happens to the file at `path`, and to all links that lead to it.
    ///
    /// # Errors
    ///
    /// When its directory may not be read, or the operating system watches no more.
    pub fn watch(path: &Path) -> io::Result<Self> {
        Self::begin(path).map_err(io::Error::other)
    }

    fn begin(path: &Path) -> notify::Result<Self> {
        let bell = Arc::new(Bell::default());
        let places = Places::of(path);
        let ear = Ear {
            bell: Arc::clone(&bell),
            path: path.into(),
            places: places.clone(),
        };
        let mut watcher = notify::recommended_watcher(move |event| ear.hear(event))?;
        let mut watched = Ok(());
        for directory in &places.directories {
            watched = watcher.watch(directory, RecursiveMode::NonRecursive);
        }
        // Only the last one counts. Whoever may pass through a directory need not be allowed to
        // read it: a link in such a one is turned unheard, but the file itself is heard of.
        watched?;
        if Places::of(path) != places {
            bell.lose();
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

    /// Whether somebody has written into the file and not closed it yet, where the operating
    /// system tells of that: what it says now may be half of what it is about to say.
    pub(super) fn is_being_written(&self) -> bool {
        self.bell.being_written.load(Ordering::Acquire)
    }

    /// Whether it takes a new watcher to hear anything.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.bell.lost.load(Ordering::Acquire)
    }
}

impl Bell {
    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.rung.notify_one();
    }
}

/// The names by which one gets to the file, and where they are: links on the way to it are as
/// much the file as its own name, and so is the first directory that is not there yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    names: Vec<OsString>,
    /// Without links; the last is the one that the file is in.
    directories: Vec<PathBuf>,
}

impl Places {
    /// More links than this are followed by no operating system.
    const LINKS: usize = 40;

    fn of(path: &Path) -> Self {
        let mut places = Self::default();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let mut at = PathBuf::new();
        let mut rest = Vec::from_iter(steps(&path));
        let mut links = 0;
        while let Some(step) = rest.pop() {
            if step == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&step);
            match next.read_link() {
                Ok(target) if links < Self::LINKS => {
                    links += 1;
                    places.add(&at, step);
                    rest.extend(steps(&target));
                }
                _ if rest.is_empty() || !next.exists() => {
                    places.add(&at, step);
                    break;
                }
                _ => at = next,
            }
        }
        places
    }

    fn add(&mut self, directory: &Path, name: OsString) {
        self.names.push(name);
        self.directories.retain(|known| known != directory);
        self.directories.push(directory.into());
    }
}

/// What a path is made of, the last first.
fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    let steps = path.components().rev();
    let steps = steps.filter(|step| *step != Component::CurDir);
    steps.map(|step| step.as_os_str().to_owned())
}

struct Ear {
    bell: Arc<Bell>,
    path: PathBuf,
    places: Places,
}

impl Ear {
    fn hear(&self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            return self.bell.lose();
        };
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if event.kind.is_access() && event.kind != written {
            // Reading the file, as we do, is no change of it.
            return;
        }
        let Places { names, directories } = &self.places;
        let renamed = matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
        let goes = renamed || event.kind.is_remove();
        if goes && event.paths.iter().any(|path| directories.contains(path)) {
            return self.bell.lose();
        }
        let ours = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| names.iter().any(|known| known == name))
        };
        if !event.need_rescan() && !event.paths.iter().any(ours) {
            return;
        }
        // Only inotify tells of both.
        let is_data = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
        if cfg!(target_os = "linux") && (is_data || goes || event.kind == written) {
            self.bell.being_written.store(is_data, Ordering::Release);
        }
        if Places::of(&self.path) == self.places {
            self.bell.rung.notify_one();
        } else {
            self.bell.lose();
        }
    }
}
