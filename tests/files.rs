use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Files that a test changes while a gateway reads them.
#[derive(Debug)]
pub struct Files(TempDir);

impl Files {
    /// An empty directory.
    ///
    /// # Panics
    ///
    /// When there is no room for one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    /// Where a file is, whether it is there or not.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces a file as a whole, as programs do that mind who reads it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        replace(&path, content.as_ref());
        path
    }

    /// Takes a file away.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).expect("a file to remove");
    }
}

fn replace(path: &Path, content: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, content).expect("a file that can be written");
    std::fs::rename(beside, path).expect("a file that can be replaced");
}
