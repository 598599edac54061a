use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{RefreshTokenStore, SavedRefreshToken, StoreFuture};
use crate::{Secret, secret::MAX_FILE_BYTES};

/// What a file of ours is read up to. It holds what others sent, of which no answer is larger than a
/// secret file: a client, a refresh token, and scopes.
const MAX_SAVED_BYTES: u64 = 4 * MAX_FILE_BYTES;

/// A refresh token in a file of its own, readable by its owner only.
///
/// Each save writes a new file beside it, forces it to the disk and renames it into place, so
/// that a crash leaves the old or the new token and never half of one. The directory must exist
/// and be writable. Errors name the file and never what is in it.
#[derive(Clone, Debug)]
pub struct RefreshTokenFile {
    path: PathBuf,
}

impl RefreshTokenFile {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl RefreshTokenStore for RefreshTokenFile {
    fn load(&self) -> StoreFuture<'_, Option<SavedRefreshToken>> {
        let path = self.path.clone();
        Box::pin(blocking(move || {
            load(&path).map_err(|error| about(&path, &error))
        }))
    }

    fn save(&self, token: SavedRefreshToken) -> StoreFuture<'_, ()> {
        let path = self.path.clone();
        Box::pin(blocking(move || {
            write(&path, &token).map_err(|error| about(&path, &error))
        }))
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

pub(crate) fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What is in a file, so far as it can be a file of ours; `None` if there is no file.
pub(crate) fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_SAVED_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn load(path: &Path) -> io::Result<Option<SavedRefreshToken>> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    let saved: Option<Value> = serde_json::from_slice(&bytes).ok();
    let token = |name: &str| Some(Secret::new(saved.as_ref()?.get(name)?.as_str()?));
    match (token("configured"), token("current")) {
        (Some(configured), Some(current)) => Ok(Some(SavedRefreshToken {
            configured,
            current,
        })),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a saved refresh token",
        )),
    }
}

fn write(path: &Path, token: &SavedRefreshToken) -> io::Result<()> {
    let text = json!({
        "configured": token.configured.expose(),
        "current": token.current.expose(),
    });
    let text = Zeroizing::new(text.to_string());
    replace(path, text.as_bytes())
}

/// Puts `text` into a file that only its owner can read, all of it or nothing.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // One is left behind by a crash between writing and renaming.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_directory(path)
}

/// Makes the rename itself survive a crash.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Directories cannot be opened as files there, and renames are journalled.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(current: &str) -> SavedRefreshToken {
        SavedRefreshToken {
            configured: Secret::new("first"),
            current: Secret::new(current),
        }
    }

    #[tokio::test]
    async fn the_newest_token_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("refresh");
        let file = RefreshTokenFile::new(&path);
        assert_eq!(file.load().await.unwrap(), None);
        for token in ["second", "thi\"rd\n"] {
            file.save(saved(token)).await.unwrap();
            assert_eq!(file.load().await.unwrap(), Some(saved(token)));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("refresh");
        // What a crash left behind, open to all, does not lend its permissions.
        fs::write(directory.path().join("refresh.new"), "half").unwrap();
        RefreshTokenFile::new(&path)
            .save(saved("second"))
            .await
            .unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_broken_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("refresh");
        for content in ["", "s3cr3t", r#"{"current":"s3cr3t"}"#] {
            fs::write(&path, content).unwrap();
            let error = RefreshTokenFile::new(&path).load().await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(
                text.contains("refresh") && !text.contains("s3cr3t"),
                "{text}"
            );
        }
        let nowhere = RefreshTokenFile::new(directory.path().join("missing/refresh"));
        assert!(nowhere.save(saved("second")).await.is_err());
    }
}
