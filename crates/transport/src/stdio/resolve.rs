use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use super::{Command, SpawnError};

/// Where a program is looked up if the child has no `PATH`, as the C library does.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The file that `command` runs.
///
/// Done here, because the operating system reports a missing program, a missing interpreter and a
/// missing directory with one and the same error.
pub(super) fn program(command: &Command) -> Result<PathBuf, SpawnError> {
    if let Some(directory) = command.directory() {
        check_directory(directory).map_err(|reason| SpawnError::WorkingDirectory {
            directory: directory.to_owned(),
            reason,
        })?;
    }
    let program = command.program();
    let not_found = || SpawnError::NotFound {
        program: program.into(),
    };
    if program.is_empty() {
        return Err(not_found());
    }
    let from = command.directory().unwrap_or(Path::new(""));
    if program.as_bytes().contains(&b'/') {
        return match find(&from.join(program)) {
            Some(Ok(file)) => Ok(absolute(file)),
            Some(Err(program)) => Err(SpawnError::NotExecutable { program }),
            None => Err(not_found()),
        };
    }
    let path = command.variables().rfind(|(name, _)| *name == "PATH");
    let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value);
    let mut unusable = None;
    for directory in path.as_bytes().split(|byte| *byte == b':') {
        // An empty entry is the working directory.
        let directory = from.join(OsStr::from_bytes(directory));
        match find(&directory.join(program)) {
            Some(Ok(file)) => return Ok(absolute(file)),
            Some(Err(file)) => unusable = unusable.or(Some(file)),
            None => {}
        }
    }
    Err(unusable.map_or_else(not_found, |program| SpawnError::NotExecutable { program }))
}

/// What failed when `program`, which exists, could not be started.
pub(super) fn spawn_error(program: PathBuf, error: io::Error) -> SpawnError {
    match error.kind() {
        io::ErrorKind::NotFound if program.exists() => SpawnError::NoInterpreter { program },
        io::ErrorKind::NotFound => SpawnError::NotFound { program },
        io::ErrorKind::PermissionDenied => SpawnError::NotExecutable { program },
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            SpawnError::NotExecutable { program }
        }
        _ => SpawnError::Io(error),
    }
}

fn check_directory(directory: &Path) -> io::Result<()> {
    let metadata = fs::metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // Looking up a name in a directory needs the permission that entering it needs.
    fs::metadata(directory.join(".")).map(drop)
}

/// None if there is nothing, an error if what is there cannot be executed by anyone.
fn find(file: &Path) -> Option<Result<PathBuf, PathBuf>> {
    let metadata = fs::metadata(file).ok()?;
    let executable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    Some(if executable {
        Ok(file.to_owned())
    } else {
        Err(file.to_owned())
    })
}

/// The child changes its directory before it becomes the program, so the path must not depend on it.
fn absolute(file: PathBuf) -> PathBuf {
    std::path::absolute(&file).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use super::{Command, SpawnError, program};

    fn file(directory: &Path, name: &str, mode: u32) {
        let path = directory.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_child_s_own_path_is_searched_in_order() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(first.path(), "server", 0o644);
        file(second.path(), "server", 0o755);
        let path = format!(
            "/nowhere:{}:{}",
            first.path().display(),
            second.path().display()
        );
        let command = Command::new("server").env("PATH", path);
        let found = program(&command).unwrap();
        assert_eq!(found, second.path().join("server"));
    }

    #[test]
    fn what_is_set_counts_before_what_is_inherited() {
        let command = Command::new("sh").inherited(vec![("PATH".into(), "/bin:/usr/bin".into())]);
        assert!(program(&command).is_ok());
        let command = command.env("PATH", "/nowhere");
        assert!(matches!(
            program(&command),
            Err(SpawnError::NotFound { .. })
        ));
    }

    #[test]
    fn a_relative_path_starts_from_the_working_directory() {
        let directory = tempfile::tempdir().unwrap();
        file(directory.path(), "server", 0o755);
        let command = Command::new("./server").working_dir(directory.path());
        assert!(program(&command).unwrap().is_absolute());
        assert!(matches!(
            program(&Command::new("./server")),
            Err(SpawnError::NotFound { .. })
        ));
    }

    #[test]
    fn a_file_without_permission_is_named() {
        let directory = tempfile::tempdir().unwrap();
        file(directory.path(), "server", 0o644);
        let error = program(&Command::new("./server").working_dir(directory.path())).unwrap_err();
        assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error}");
        let error = program(&Command::new(directory.path())).unwrap_err();
        assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error}");
    }

    #[test]
    fn an_empty_name_is_not_found() {
        let error = program(&Command::new("")).unwrap_err();
        assert!(matches!(error, SpawnError::NotFound { .. }), "{error}");
    }
}
