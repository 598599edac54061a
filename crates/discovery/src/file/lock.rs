use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bartizan_clock::Clock;

/// From one try to the next: an edit takes some milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 2..12;

/// Takes the lock that all writers of a file agree on; `None` when someone else has had it for
/// all of `wait`.
///
/// It is the advisory lock of the operating system on a file beside the one that is written,
/// because the latter is replaced. It ends with the process that holds it, however that ends.
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

fn open(path: &Path) -> io::Result<File> {
    // Whoever may read the file may lock it, whoever made it.
    match options().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path),
        opened => opened,
    }
}

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
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name| directory.path().join(name);
        for (name, target) in [("there", place("file")), ("nowhere", place("none"))] {
            std::fs::write(place("file"), "").unwrap();
            symlink(target, place(name)).unwrap();
            assert!(open(&place(name)).is_err(), "{name}");
        }
        assert!(!place("none").exists());
        open(&place("lock")).unwrap();
        open(&place("lock")).unwrap();
    }
}
