use std::path::{Path, PathBuf};

use bartizan_config::{Reach, usual_registry};

use super::{PidFile, Trouble, background};
use crate::{
    cli::{self, Flag, Start},
    commands::{Failure, serve::serve_as, variables},
};

/// Serves with what the command line says on top of what is configured; in the background if it
/// is told to.
pub(super) fn start(source: &cli::Source, arguments: &Start) -> Result<(), Failure> {
    let registry = registry(source, arguments)?;
    if let Some(directory) = registry.parent() {
        // Where it cannot be made, whoever writes there says why.
        let _ = std::fs::create_dir_all(directory);
    }
    if arguments.background {
        return background::start(&registry, arguments.json);
    }
    if arguments.detached {
        leave_session();
    }
    let mut source = source.clone();
    source.flags = flags(arguments, &registry);
    let pid_file = match PidFile::take(&registry) {
        Ok(file) => Some(file),
        // A registry may be in a place that nobody may write to, and served all the same.
        Err(Trouble::File { .. }) if !arguments.detached => None,
        Err(trouble) => return Err(trouble.into()),
    };
    serve_as(&source, pid_file)
}

/// The registry: what the command line says, what is configured, or the usual one.
fn registry(source: &cli::Source, arguments: &Start) -> Result<PathBuf, Failure> {
    if let Some(path) = &arguments.registry {
        return Ok(path.clone());
    }
    let reach = Reach::parse(&variables(source))?;
    let configured = reach.registry.map(|path| path.value().clone());
    let registry = configured.or_else(usual_registry);
    registry.ok_or_else(|| Trouble::NoRegistry.into())
}

fn flags(arguments: &Start, registry: &Path) -> Vec<Flag> {
    let registry_flag = match arguments.registry {
        Some(_) => "--registry",
        None => "the registry of `bartizan gateway start`",
    };
    let values = [
        (
            "--host",
            "MCP_GATEWAY_HOST",
            arguments.host.map(|it| it.to_string()),
        ),
        (
            "--port",
            "MCP_GATEWAY_PORT",
            arguments.port.map(|it| it.to_string()),
        ),
        (
            registry_flag,
            "MCP_GATEWAY_REGISTRY_FILE",
            Some(registry.to_string_lossy().into_owned()),
        ),
        (
            "--health-interval",
            "MCP_GATEWAY_HEALTH_INTERVAL",
            arguments.health_interval.map(|it| it.to_string()),
        ),
        (
            "--log-level",
            "MCP_GATEWAY_LOG_LEVEL",
            arguments.log_level.clone(),
        ),
    ];
    let set = |(flag, variable, text): (_, _, Option<String>)| {
        text.map(|text| Flag {
            flag,
            variable,
            text,
        })
    };
    values.into_iter().filter_map(set).collect()
}

/// Goes on when the terminal that this was started from is closed.
fn leave_session() {
    #[cfg(unix)]
    {
        // It fails for the leader of a group, which a process just started is not.
        let _ = rustix::process::setsid();
    }
}
