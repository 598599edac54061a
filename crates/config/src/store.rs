//! Files in which the gateway keeps what it must not lose.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Problem, Setting, Variable,
    reader::{Reader, Scope},
};

/// The path of a file that need not be there, in a directory that is, and that is kept for nothing
/// else: what cannot be written shows otherwise only when what was there before is spent.
pub(crate) fn store(
    reader: &mut Reader<'_>,
    scope: &Scope,
    variable: &Variable,
) -> Option<Setting<PathBuf>> {
    let path: Setting<PathBuf> = reader.optional(scope, variable)?;
    let name = scope.name(variable);
    let wrong = match whole(&path) {
        Err(wrong) => Some(wrong),
        Ok(whole) => reader
            .keep(whole, &name)
            .map(|other| format!("{other} names it, too")),
    };
    let Some(wrong) = wrong else {
        return Some(path);
    };
    let place = reader.place(&name);
    let problem = Problem::new(format!("{place} must name a file of its own"));
    reader.problem(problem.detail(format!("{}: {wrong}", path.display())));
    None
}

/// The path as it is for everybody, or why there can be no such file.
fn whole(path: &Path) -> Result<PathBuf, String> {
    if path.is_dir() {
        return Err("it is a directory".to_owned());
    }
    let Some(name) = path.file_name() else {
        return Err("it has no name".to_owned());
    };
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    match fs::canonicalize(parent.unwrap_or(Path::new("."))) {
        Ok(directory) if directory.is_dir() => Ok(directory.join(name)),
        Ok(_) => Err("it is in no directory".to_owned()),
        Err(error) => Err(format!("its directory: {error}")),
    }
}
