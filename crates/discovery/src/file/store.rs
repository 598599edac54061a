use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_document::{Node, parse_json, utf8};

use super::{
    Format, RegistryFile, RegistryFileBuilder, StoreError,
    edit::{self, EMPTY, Edits, Ids},
    json::from_node,
    lock,
    reading::{MAX_FILE_BYTES, content},
    replace::{directory, replace},
};
use crate::{Entry, InvalidRegistry, Registry};

/// More links than this, one after the other, are followed by no operating system.
const LINKS: usize = 40;

/// A `registry.json` that is written to.
///
/// Every change is an edit of the text: all that it is not about stays byte for byte, fields
/// that nothing here knows included. The file is replaced as a whole and made durable, so it is
/// the old one or the new one at every moment; whose it is and who may read it stays. Should a
/// loss of power still be able to bring back the old one, a warning is logged. Processes that
/// write take turns, by a lock on a file beside it with `.lock` after its name, and each begins
/// with what the last one left. A file that is wrong is never written to.
///
/// What it reads is always what the file says now; [`source`](RegistryStore::source) is for those
/// who want to hear of changes.
///
/// ```
/// use bartizan_discovery::{Instance, RegistryStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("registry.json");
/// let store = RegistryStore::new(path);
/// let instance = Instance::new("http://10.0.0.1:8080")?.with_id("users-1")?;
/// store.register("users", instance).await?;
/// assert_eq!(store.load().await?.services.len(), 1);
/// store.deregister("users", "users-1").await?;
/// assert!(store.list().await?.is_empty());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
///
/// # Cancellation
///
/// Dropping the future of a change while it waits for its turn undoes it; after that it is
/// made as if nobody had gone away.
#[derive(Clone, Debug)]
pub struct RegistryStore {
    path: Arc<Path>,
    may_be_missing: bool,
    wait: Duration,
    clock: Clock,
}

/// One instance of a registry, and the service that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The name of the service.
    pub service: Arc<str>,
    /// All that the registry says of the instance.
    pub entry: Entry,
}

impl RegistryStore {
    /// The registry at `path`, which need not be there yet: the first instance makes it.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            may_be_missing: true,
            // A writer needs some tens of milliseconds for ten thousand instances.
            wait: Duration::from_secs(5),
            clock: Clock::default(),
        }
    }

    /// Whether a file that is not there is an empty registry, which the first instance makes.
    /// Default: yes.
    ///
    /// Whoever knows that it was there says no: it may be back in a moment, as when an editor
    /// puts another in its place, and must not find one in its place that has forgotten all.
    #[must_use]
    pub fn may_be_missing(mut self, may_be_missing: bool) -> Self {
        self.may_be_missing = may_be_missing;
        self
    }

    /// How long to wait for another process that writes. Default: 5 s.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The clock that measures the wait and dates the file. Default: [`Clock::default`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Where the registry is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A source that tells of every change of the file, whoever made it. It is empty for as
    /// long as there was never a file.
    pub fn source(&self) -> RegistryFileBuilder {
        RegistryFile::builder(&*self.path, Format::Json)
            .may_be_missing(true)
            .clock(self.clock)
    }

    /// What the file says now; a file that is not there and [may be
    /// missing](Self::may_be_missing) says nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is wrong.
    pub async fn load(&self) -> Result<Registry, StoreError> {
        let path = Arc::clone(&self.path);
        let may_be_missing = self.may_be_missing;
        self.blocking(move || {
            let text = text_of(&path, may_be_missing)?;
            let registry = |text: &str| {
                let root = parse_json(text)?;
                from_node(&root, text)
            };
            registry(body(&text).1).map_err(|reason| invalid(&path, reason))
        })
        .await
    }

    /// All instances of all services, in the order of the file.
    ///
    /// # Errors
    ///
    /// As of [`load`](RegistryStore::load).
    pub async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let registry = self.load().await?;
        Ok(listed(&registry, |_| true))
    }

    /// Adds an instance to a service, which is made if it is not there yet. True when it takes
    /// the place of one with its id, of which it keeps the fields that nothing here knows.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`] but [`NotFound`](StoreError::NotFound).
    pub async fn register(
        &self,
        service: &str,
        entry: impl Into<Entry>,
    ) -> Result<bool, StoreError> {
        let (service, entry) = (Arc::<str>::from(service), entry.into());
        self.change(move |edits, text, root, _| {
            edit::register(edits, text, root, &service, &entry).map_err(StoreError::Refused)
        })
        .await
    }

    /// Adds an instance as [`register`](RegistryStore::register) does unless the service has one
    /// with its id, which stays as it is then; false in that case.
    ///
    /// Whoever makes up an id tries another one then: nobody else can take it in between.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`] but [`NotFound`](StoreError::NotFound).
    pub async fn add(&self, service: &str, entry: impl Into<Entry>) -> Result<bool, StoreError> {
        let (service, entry) = (Arc::<str>::from(service), entry.into());
        self.change(move |edits, text, root, registry| {
            let listed = registry.service(&service);
            if listed.is_some_and(|it| it.entry(entry.instance.id()).is_some()) {
                return Ok(false);
            }
            edit::register(edits, text, root, &service, &entry).map_err(StoreError::Refused)?;
            Ok(true)
        })
        .await
    }

    /// Takes an instance out of a service, and says what it was. A service goes with its last
    /// instance, unless something else is written of it.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`].
    pub async fn deregister(&self, service: &str, id: &str) -> Result<Entry, StoreError> {
        let (service, id) = (Arc::<str>::from(service), Arc::<str>::from(id));
        self.change(move |edits, _, root, registry| {
            let entry = registry
                .service(&service)
                .and_then(|it| it.entry(&id))
                .cloned();
            let entry = entry.ok_or_else(|| StoreError::NotFound {
                service: Arc::clone(&service),
                id: Arc::clone(&id),
            })?;
            edit::remove(edits, root, |name, it| *name == *service && *it == *id);
            Ok(entry)
        })
        .await
    }

    /// Takes out, or only names if it is a `dry_run`, all instances that have failed at least
    /// `max_failures` health checks in a row, as the file has it on record.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`] but [`NotFound`](StoreError::NotFound).
    pub async fn cleanup(
        &self,
        max_failures: u32,
        dry_run: bool,
    ) -> Result<Vec<Listed>, StoreError> {
        let failed = move |it: &Listed| it.entry.recorded.consecutive_failures >= max_failures;
        self.remove_where(dry_run, failed).await
    }

    /// Takes out, or only names if it is a `dry_run`, all instances that `doomed` says.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`] but [`NotFound`](StoreError::NotFound).
    pub async fn remove_where(
        &self,
        dry_run: bool,
        doomed: impl FnMut(&Listed) -> bool + Send + 'static,
    ) -> Result<Vec<Listed>, StoreError> {
        if dry_run {
            return Ok(listed(&self.load().await?, doomed));
        }
        self.change(move |edits, _, root, registry| {
            let doomed = listed(registry, doomed);
            let mut ids = Ids::default();
            for it in &doomed {
                ids.insert(&it.service, it.entry.instance.id());
            }
            if !doomed.is_empty() {
                edit::remove(edits, root, |service, id| ids.contains(service, id));
            }
            Ok(doomed)
        })
        .await
    }

    /// Reads, edits, checks and replaces the file while nobody else does.
    async fn change<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Edits, &str, &Node<'_>, &Registry) -> Result<T, StoreError>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let given = Arc::clone(&self.path);
        let may_be_missing = self.may_be_missing;
        let path = self
            .blocking(move || target(&given, may_be_missing))
            .await?;
        let guard = lock::lock(path.clone(), self.wait, self.clock).await;
        let guard = guard.map_err(|reason| StoreError::Io {
            path: lock::of(&path),
            reason,
        })?;
        let guard = guard.ok_or_else(|| StoreError::Locked {
            path: lock::of(&path),
            wait: self.wait,
        })?;
        let clock = self.clock;
        self.blocking(move || {
            let result = rewrite(&path, may_be_missing, clock, edit);
            // Held until here, even if whoever asked has gone away.
            drop(guard);
            result
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Io {
                path: self.path.to_path_buf(),
                reason: io::Error::other(error),
            }),
        }
    }
}

/// The file itself, so that a link to it stays one; its directory is made if need be.
fn target(path: &Path, may_be_missing: bool) -> Result<PathBuf, StoreError> {
    if !may_be_missing && path.try_exists().is_ok_and(|is_there| !is_there) {
        return Err(missing(path));
    }
    found(path).map_err(|reason| StoreError::Io {
        path: path.to_path_buf(),
        reason,
    })
}

fn found(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        match path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        // What it leads to may not be there yet.
        if let Ok(target) = path.read_link() {
            path = directory(&path).join(target);
            continue;
        }
        let Some(name) = path.file_name() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let directory = directory(&path);
        std::fs::create_dir_all(directory)?;
        return Ok(directory.canonicalize()?.join(name));
    }
    Err(io::Error::other("too many links lead from one to the next"))
}

fn rewrite<T>(
    path: &Path,
    may_be_missing: bool,
    clock: Clock,
    edit: impl FnOnce(&mut Edits, &str, &Node<'_>, &Registry) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let whole = text_of(path, may_be_missing)?;
    let (mark, text) = body(&whole);
    let root = parse_json(text).map_err(|reason| invalid(path, reason))?;
    let registry = from_node(&root, text).map_err(|reason| invalid(path, reason))?;
    let mut edits = Edits::default();
    let result = edit(&mut edits, text, &root, &registry)?;
    if edits.is_empty() {
        return Ok(result);
    }
    let now = humantime::format_rfc3339_millis(clock.wall()).to_string();
    edit::date(&mut edits, &root, &now);
    let edited = edits.apply(text);
    Registry::from_json(&edited).map_err(StoreError::Refused)?;
    let content = format!("{mark}{edited}");
    if content.len() as u64 > MAX_FILE_BYTES {
        let too_long = format!("it would be longer than {MAX_FILE_BYTES} bytes, and not be read");
        return Err(StoreError::Io {
            path: path.to_path_buf(),
            reason: io::Error::other(too_long),
        });
    }
    replace(path, content.as_bytes()).map_err(|reason| StoreError::Io {
        path: path.to_path_buf(),
        reason,
    })?;
    Ok(result)
}

/// The text of the file, or that of an empty registry if there is none and need be none.
fn text_of(path: &Path, may_be_missing: bool) -> Result<String, StoreError> {
    let bytes = match content(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_missing => {
            return Ok(EMPTY.into());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(path)),
        Err(reason) => {
            return Err(StoreError::Io {
                path: path.to_path_buf(),
                reason,
            });
        }
    };
    utf8(&bytes).map_err(|reason| invalid(path, reason))?;
    String::from_utf8(bytes).map_err(|error| StoreError::Io {
        path: path.to_path_buf(),
        reason: io::Error::other(error),
    })
}

/// The mark that some editors begin a file with, and the rest.
fn body(text: &str) -> (&str, &str) {
    let length = text.len() - text.trim_start_matches('\u{feff}').len();
    text.split_at(length)
}

fn missing(path: &Path) -> StoreError {
    StoreError::Missing {
        path: path.to_path_buf(),
    }
}

fn invalid(path: &Path, reason: impl Into<InvalidRegistry>) -> StoreError {
    StoreError::Invalid {
        path: path.to_path_buf(),
        reason: reason.into(),
    }
}

fn listed(registry: &Registry, mut wanted: impl FnMut(&Listed) -> bool) -> Vec<Listed> {
    let mut found = Vec::new();
    for service in &registry.services {
        for entry in &*service.entries {
            let it = Listed {
                service: Arc::clone(&service.name),
                entry: entry.clone(),
            };
            if wanted(&it) {
                found.push(it);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
