//! `bartizan gateway`: a gateway with a registry, and what the registry lists.
//!
//! Each command talks to the running gateway when there is one, and to the file when there is
//! none. Which of the two it was is always said.

mod background;
mod cleanup;
mod deregister;
mod overview;
mod pid_file;
mod place;
mod register;
mod remote;
mod report;
mod start;
mod status;
mod sync;
mod trouble;

use super::{Failure, run};
use crate::cli::{self, GatewayCommand};

pub(crate) use self::{pid_file::PidFile, trouble::Trouble};

/// Does what the command line says.
pub(crate) fn gateway(source: &cli::Source, command: &GatewayCommand) -> Result<(), Failure> {
    if let GatewayCommand::Start(arguments) = command {
        return start::start(source, arguments);
    }
    run(async {
        match command {
            GatewayCommand::Status(place) => status::status(source, place).await,
            GatewayCommand::Sync(arguments) => sync::sync(source, arguments).await,
            GatewayCommand::Register(arguments) => register::register(source, arguments).await,
            GatewayCommand::Deregister(arguments) => {
                deregister::deregister(source, arguments).await
            }
            GatewayCommand::Cleanup(arguments) => cleanup::cleanup(source, arguments).await,
            GatewayCommand::Start(_) => Ok(()),
        }
    })?
}
