use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
};

use super::Trouble;

/// A file beside a registry that says which process serves it, and where it listens.
///
/// The process holds a lock on it for as long as it lives, so that a file that was left behind,
/// and a process that by chance got the number of an older one, deceive nobody.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

/// A process that serves a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    /// Where it listens, once it does.
    pub(crate) url: Option<String>,
}

impl PidFile {
    /// Where the file of a registry is.
    pub(crate) fn path(registry: &Path) -> PathBuf {
        beside(registry, ".pid")
    }

    /// The process that serves this registry, if one does.
    ///
    /// Keys are shown to whoever listens where it says, so the file has to be the user's own or
    /// the system's.
    pub(crate) fn running(registry: &Path) -> Option<Running> {
        let file = options(0).read(true).open(Self::path(registry)).ok()?;
        let running = read(&file).filter(|_| is_trusted(&file))?;
        // Looking at the lock takes it for an instant, so that is not done without need.
        let locked = || matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        (exists(running.pid) && locked()).then_some(running)
    }

    /// Becomes the process that serves this registry.
    ///
    /// # Errors
    ///
    /// When another one does, or the file cannot be written.
    pub(crate) fn take(registry: &Path) -> Result<Self, Trouble> {
        let path = Self::path(registry);
        let failed = |source| Trouble::File {
            path: path.clone(),
            source,
        };
        loop {
            // Others may find the process: what is in the file is no secret.
            let mut options = options(0o644);
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let running = read(&file);
                    let pid = running.as_ref().map_or(0, |it| it.pid);
                    let url = running.and_then(|it| it.url);
                    return Err(Trouble::Running {
                        pid,
                        place: url.map_or_else(String::new, |url| format!(", at {url}")),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Whoever had it may have removed it between the two.
            if is_at(&file, &path) {
                let mut taken = Self {
                    path: path.clone(),
                    file,
                };
                taken
                    .write(&format!("{}\n", process::id()))
                    .map_err(failed)?;
                return Ok(taken);
            }
        }
    }

    /// Says where this process listens.
    pub(crate) fn listens_at(&mut self, url: &str) -> io::Result<()> {
        self.write(&format!("{}\n{url}\n", process::id()))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// `path` with more after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

/// Opens a file itself, made with these permissions if it is made: a link in its place may be
/// somebody else's, and lead anywhere.
#[cfg(unix)]
pub(super) fn options(mode: u32) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW.bits();
    options.mode(mode).custom_flags(flags.cast_signed());
    options
}

#[cfg(not(unix))]
pub(super) fn options(_: u32) -> OpenOptions {
    OpenOptions::new()
}

fn read(mut file: &File) -> Option<Running> {
    /// A number and a URL.
    const LONGEST: u64 = 1_024;

    let mut text = String::new();
    file.rewind().ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some(Running {
        pid: lines.next()?.parse().ok()?,
        url: lines.next().map(str::to_owned),
    })
}

/// Whether there is a process of that number, whosever it is.
#[cfg(unix)]
fn exists(pid: u32) -> bool {
    use rustix::{io::Errno, process};
    let pid = i32::try_from(pid).ok().and_then(process::Pid::from_raw);
    pid.is_some_and(|pid| matches!(process::test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

#[cfg(not(unix))]
fn exists(_: u32) -> bool {
    true
}

/// Whether nobody else can have written the file.
#[cfg(unix)]
fn is_trusted(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let ours = rustix::process::geteuid().as_raw();
    file.metadata()
        .is_ok_and(|it| (it.uid() == ours || it.uid() == 0) && it.mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn is_trusted(_: &File) -> bool {
    true
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_a_registry_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let registry = directory.path().join("registry.json");
        assert_eq!(PidFile::running(&registry), None);
        let mut ours = PidFile::take(&registry).unwrap();
        let running = PidFile::running(&registry).unwrap();
        assert_eq!((running.pid, running.url), (process::id(), None));
        ours.listens_at("http://127.0.0.1:1").unwrap();
        let error = PidFile::take(&registry).unwrap_err().to_string();
        assert!(error.contains("at http://127.0.0.1:1"), "{error}");
        drop(ours);
        assert!(!PidFile::path(&registry).exists());
        PidFile::take(&registry).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let registry = directory.path().join("registry.json");
        let target = directory.path().join("somebody's");
        fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, PidFile::path(&registry)).unwrap();
        assert!(PidFile::take(&registry).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        let elsewhere = directory.path().join("other.json");
        let _ours = PidFile::take(&elsewhere).unwrap();
        fs::remove_file(PidFile::path(&registry)).unwrap();
        std::os::unix::fs::symlink(PidFile::path(&elsewhere), PidFile::path(&registry)).unwrap();
        assert!(PidFile::running(&elsewhere).is_some());
        assert_eq!(PidFile::running(&registry), None);
    }

    #[test]
    fn a_file_that_was_left_behind_deceives_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let registry = directory.path().join("registry.json");
        // A process that is there, but not the one that wrote this.
        fs::write(PidFile::path(&registry), "1\nhttp://127.0.0.1:1\n").unwrap();
        assert_eq!(PidFile::running(&registry), None);
        PidFile::take(&registry).unwrap();
        fs::write(PidFile::path(&registry), "nonsense").unwrap();
        assert_eq!(PidFile::running(&registry), None);
        PidFile::take(&registry).unwrap();
    }
}
