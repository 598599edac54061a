//! What the program says of its own command line.

use std::{ffi::OsStr, fs, path::Path};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Failure, print};
use crate::cli::Cli;

/// Prints the script that completes arguments in `shell`.
///
/// It is for the name that this was called by, which may be a link of another name.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let called = std::env::args_os().next();
    let called = called.as_deref().map(Path::new).and_then(Path::file_stem);
    let name = called.and_then(OsStr::to_str).unwrap_or("bartizan");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(), name, &mut script);
    print(&String::from_utf8_lossy(&script).trim_end())
}

/// The command line without what is for the program itself: completions show hidden arguments.
fn visible() -> Command {
    let start = |start: Command| {
        let shown = start.get_arguments().filter(|it| !it.is_hide_set());
        Command::new("start")
            .about(start.get_about().cloned().unwrap_or_default())
            .disable_help_flag(start.is_disable_help_flag_set())
            .args(shown.cloned())
    };
    Cli::command().mut_subcommand("gateway", |gateway| gateway.mut_subcommand("start", start))
}

/// Prints the manual page, or writes it and one page a command into a directory.
pub(crate) fn man(directory: Option<&Path>) -> Result<(), Failure> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        let rendered = Man::new(Cli::command()).render(&mut page);
        rendered.map_err(Failure::Output)?;
        return print(&String::from_utf8_lossy(&page).trim_end());
    };
    fs::create_dir_all(directory).map_err(Failure::Output)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(Failure::Output)
}
