use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bartizan_document::utf8;

use super::Format;
use crate::{InvalidRegistry, Registry, registry::Board};

/// A file longer than this is not read: 32 MiB are more than a hundred thousand instances.
pub(super) const MAX_FILE_BYTES: u64 = 32 << 20;

/// What looks at a file and tells a board what it found there.
pub(super) struct Reading {
    pub(super) path: Arc<Path>,
    format: Format,
    may_be_missing: bool,
    seen: Option<Seen>,
    /// Whether anything was ever seen, for others to know.
    pub(super) was_there: Arc<AtomicBool>,
    /// The warnings that have been logged.
    warned: Vec<String>,
    pub(super) board: Arc<Board>,
}

impl Reading {
    pub(super) fn new(
        path: Arc<Path>,
        format: Format,
        may_be_missing: bool,
        board: Arc<Board>,
    ) -> Self {
        Self {
            path,
            format,
            may_be_missing,
            seen: None,
            was_there: Arc::default(),
            warned: Vec::new(),
            board,
        }
    }

    pub(super) async fn look(&mut self) {
        let (path, format) = (Arc::clone(&self.path), self.format);
        let seen = self.seen.take();
        let work = tokio::task::spawn_blocking(move || look(&path, format, seen));
        match work.await {
            Ok(found) => self.take(found),
            Err(_) => self.fail("the file could not be read".into()),
        }
    }

    /// As [`look`](Self::look), on the calling thread.
    pub(super) fn look_now(&mut self) {
        let found = look(&self.path, self.format, self.seen.take());
        self.take(found);
    }

    fn take(&mut self, (found, seen): (Found, Option<Seen>)) {
        self.seen = seen;
        if self.seen.is_some() {
            self.was_there.store(true, Ordering::Relaxed);
        }
        match found {
            Found::Registry(registry) => {
                self.log(&registry);
                self.board.publish(registry);
            }
            Found::Same => self.board.recover(),
            Found::Missing if self.may_be_missing && self.seen.is_none() => {
                self.board.publish(Registry::default());
            }
            Found::Missing => self.fail(format!("{}: no such file", self.path.display())),
            Found::Wrong(error) => self.fail(error.to_string()),
        }
    }

    fn fail(&self, error: String) {
        if self.board.current().error.as_deref() != Some(&*error) {
            let kept = self.seen.is_some();
            tracing::warn!(
                error,
                kept,
                "registry cannot be used; what it said before, if anything, stands"
            );
        }
        self.board.fail(error);
    }

    fn log(&mut self, registry: &Registry) {
        let path = self.path.display();
        for warning in &registry.warnings {
            if self.warned.len() < 256 && !self.warned.contains(&warning.text) {
                tracing::warn!(%path, %warning, "odd registry");
                self.warned.push(warning.text.clone());
            }
        }
        let (services, instances) = (registry.services.len(), registry.instance_count());
        tracing::info!(%path, services, instances, "registry read");
    }
}

/// What was found in the file last, and what became of it.
type Seen = (Vec<u8>, Result<(), Arc<str>>);

/// What a look found.
enum Found {
    Registry(Registry),
    /// What was there before.
    Same,
    Missing,
    Wrong(Arc<str>),
}

fn look(path: &Path, format: Format, seen: Option<Seen>) -> (Found, Option<Seen>) {
    let bytes = match content(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Found::Missing, seen),
        Err(error) => {
            let error = format!("{}: {error}", path.display());
            return (Found::Wrong(error.into()), seen);
        }
    };
    if let Some((before, verdict)) = &seen
        && *before == bytes
    {
        let found = match verdict {
            Ok(()) => Found::Same,
            Err(error) => Found::Wrong(Arc::clone(error)),
        };
        return (found, seen);
    }
    match parse(&bytes, format) {
        Ok(registry) => (Found::Registry(registry), Some((bytes, Ok(())))),
        Err(error) => {
            let error: Arc<str> = format!("{}: {error}", path.display()).into();
            let verdict = Err(Arc::clone(&error));
            (Found::Wrong(error), Some((bytes, verdict)))
        }
    }
}

fn parse(bytes: &[u8], format: Format) -> Result<Registry, InvalidRegistry> {
    let text = utf8(bytes)?;
    match format {
        Format::Yaml => Registry::from_yaml(text),
        Format::Json => Registry::from_json(text),
    }
}

/// The whole file as it was at one moment, as far as its length and date can tell.
pub(super) fn content(path: &Path) -> io::Result<Vec<u8>> {
    for _ in 0..3 {
        // Looked at first: opening a pipe takes until somebody writes to it, which may be never.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut file = File::open(path)?;
        let before = file.metadata()?;
        let too_long = || io::Error::other(format!("longer than {MAX_FILE_BYTES} bytes"));
        let mut bytes = Vec::with_capacity(before.len().min(MAX_FILE_BYTES) as usize + 1);
        (&mut file)
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(too_long());
        }
        let after = file.metadata()?;
        if after.len() == bytes.len() as u64 && before.modified().ok() == after.modified().ok() {
            return Ok(bytes);
        }
    }
    Err(io::Error::other("being written to all the time"))
}
