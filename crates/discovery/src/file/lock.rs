use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bartizan_clock::Clock;

use super::replace::beside;

/// From one try to the next: an edit takes some milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 2..12;

/// The file that is locked by who writes the one at `path`, which is replaced and cannot be.
pub(crate) fn of(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// Takes the lock that all writers of the file at `path` agree on; `None` when someone else has
/// had it for all of `wait`.
///
/// It is the advisory lock of the operating system. It ends with the process that holds it,
/// however that ends.
pub(crate) async fn lock(path: PathBuf, wait: Duration, clock: Clock) -> io::Result<Option<File>> {
    let deadline = clock.now() + wait;
    let file = tokio::task::spawn_blocking(move || open(&path));
    let mut file = file.await.map_err(io::Error::other)??;
    loop {
        let attempt = tokio::task::spawn_blocking(move || (file.try_lock(), file));
        let (result, back) = attempt.await.map_err(io::Error::other)?;
        file = back;
        match result {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if clock.now() >= deadline => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
        }
        clock
            .sleep(Duration::from_millis(fastrand::u64(PAUSE_MS)))
            .await;
    }
}

/// Opens the lock of the file at `path`, which is made if need be.
fn open(path: &Path) -> io::Result<File> {
    let lock = of(path);
    match open_made(&lock) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match make(&lock, path) {
            // Someone else was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_made(&lock),
            made => made,
        },
        opened => opened,
    }
}

/// NFS locks only what is open for writing; elsewhere whoever may read the file may lock it.
fn open_made(lock: &Path) -> io::Result<File> {
    match options().read(true).write(true).open(lock) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            options().read(true).open(lock)
        }
        opened => opened,
    }
}

fn make(lock: &Path, path: &Path) -> io::Result<File> {
    let mut options = options();
    options.read(true).write(true).create_new(true);
    let file = options.open(lock)?;
    share(&file, path);
    Ok(file)
}

/// Gives a new lock to whom the file at `path` belongs, or its directory as long as there is no
/// such file: an operator's root must not keep the gateway out.
#[cfg(unix)]
fn share(lock: &File, path: &Path) {
    use std::{
        fs::{Permissions, metadata},
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use super::replace::{directory, keep_owner};

    let Ok(model) = metadata(path).or_else(|_| metadata(directory(path))) else {
        return;
    };
    // Only root may give files away. What stays with another is for the owner to read at least.
    let least = keep_owner(lock, &model).map_or(0o644, |()| 0);
    let mode = model.mode() & 0o666 | least;
    let _ = lock.set_permissions(Permissions::from_mode(mode));
}

/// There are no such owners elsewhere.
#[cfg(not(unix))]
fn share(_: &File, _: &Path) {}

/// Opens the file itself: a link in its place may be somebody else's, and lead anywhere.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    };

    use super::*;

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name| directory.path().join(name);
        for (name, target) in [("there", place("file")), ("nowhere", place("none"))] {
            fs::write(place("file"), "").unwrap();
            symlink(target, of(&place(name))).unwrap();
            assert!(open(&place(name)).is_err(), "{name}");
        }
        assert!(!place("none").exists());
        open(&place("lock")).unwrap();
        open(&place("lock")).unwrap();
    }

    #[test]
    fn the_lock_is_open_for_writing_whoever_made_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.json");
        for _ in 0..2 {
            // What is open for reading only has no length to change.
            open(&path).unwrap().set_len(0).unwrap();
        }
    }

    #[test]
    fn the_lock_belongs_to_whom_the_file_belongs() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        let path = directory.path().join("registry.json");
        let made = |path: &Path| {
            open(path).unwrap();
            let made = fs::metadata(of(path)).unwrap();
            fs::remove_file(of(path)).unwrap();
            (made.uid(), made.gid(), made.mode() & 0o777)
        };
        let us = made(&path);
        assert_eq!(us.2, 0o600, "as the directory");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(made(&path), (us.0, us.1, 0o640));
        if chown(&path, Some(1234), Some(5678)).is_ok() {
            assert_eq!(made(&path), (1234, 5678, 0o640));
        }
    }
}
