//! The gateway's command line: serve, stdio, check, explain, demo, gateway.

mod cli;
mod commands;
mod demo;
mod stdin;

use std::process::ExitCode;

use crate::{
    cli::{Cli, Command},
    commands::Failure,
};

/// A call makes some sixty small allocations, most of them inside hyper; docs/decisions.md has
/// what this saves.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::read();
    let outcome = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => commands::serve(&cli.source),
        Command::Stdio { service } => commands::stdio(&cli.source, service.as_deref()),
        Command::Check => commands::check(&cli.source),
        Command::Explain { service } => commands::explain(&cli.source, service.as_deref()),
        Command::Demo { port } => commands::demo(port),
        Command::Gateway { command } => commands::gateway(&cli.source, &command),
        Command::Completions { shell } => commands::completions(shell),
        Command::Man { dir } => commands::man(dir.as_deref()),
        Command::Reference => commands::reference(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has gone, as `head` does.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            commands::complain(&failure);
            ExitCode::from(failure.code())
        }
    }
}
