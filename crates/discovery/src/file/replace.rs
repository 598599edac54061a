use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file beside `path`, with `ending` after its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Where the file is.
pub(crate) fn directory(path: &Path) -> &Path {
    let parent = path.parent();
    let named = parent.filter(|parent| !parent.as_os_str().is_empty());
    named.unwrap_or(Path::new("."))
}

/// Puts `content` in the place of the file, so that whoever reads it at any moment, and after
/// the machine has lost power at any moment, finds all of the old or all of the new.
///
/// Only one may do so at a time: what a writer that was killed left behind is written over.
///
/// # Errors
///
/// When the file is as it was. What is in place already is no error, even if its directory
/// could not be made durable: whoever tried again would change it twice.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let written = write(path, &new, content).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(explain(error));
    }
    if let Err(error) = sync_directory(path) {
        let path = path.display();
        tracing::warn!(%path, %error, "file is written, and a loss of power may undo that");
    }
    Ok(())
}

fn write(path: &Path, new: &Path, content: &[u8]) -> io::Result<()> {
    // Never through a link that someone else put there.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // The registry may hold secrets for programs; who else may read it is for its owner to say.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(new)?;
    if let Ok(old) = fs::metadata(path) {
        // Before the mode, which may open the file to a group that must be the right one by then.
        keep_owner(&file, &old)?;
        file.set_permissions(old.permissions())?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// A file that an operator's root writes is still the gateway's, which has to read it.
#[cfg(unix)]
pub(crate) fn keep_owner(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let new = file.metadata()?;
    let (user, group) = (old.uid(), old.gid());
    if (new.uid(), new.gid()) == (user, group) {
        return Ok(());
    }
    // Whoever is not root may give a file to a group, but not name its user.
    let other = |id: u32, than: u32| (id != than).then_some(id);
    fchown(file, other(user, new.uid()), other(group, new.gid())).map_err(|error| {
        let text = format!("it must stay with user {user} and group {group}: {error}");
        io::Error::new(error.kind(), text)
    })
}

/// There are no such owners elsewhere.
#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// There is no such call elsewhere, where renaming is as durable as it gets.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

fn explain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
            let text = "the file is mounted by itself and cannot be replaced: mount its directory";
            io::Error::new(error.kind(), text)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.json");
        replace(&path, b"old").unwrap();
        fs::write(beside(&path, ".new"), "half of what a killed writer").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn who_may_read_it_stays_and_at_first_is_its_owner() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.json");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, b"old").unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(mode(), 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn whose_file_it_is_stays() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        if chown(&path, Some(1234), Some(5678)).is_err() {
            // Only root may give files away.
            return;
        }
        replace(&path, b"new").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.uid(), after.gid()), (1234, 5678));
        assert_eq!(after.mode() & 0o777, 0o640);
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_in_place_is_no_error() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.json");
        let mode = |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode));
        // Files can be renamed in it, but whoever is not root cannot open it.
        mode(0o300).unwrap();
        let replaced = replace(&path, b"new");
        mode(0o700).unwrap();
        replaced.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
