mod gateway;

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;

pub(crate) use gateway::{
    Cleanup, Deregister, GatewayCommand, Place, Register, Start, Sync, Transport,
};

/// A gateway between AI agents and the services they use.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) source: Source,
}

impl Cli {
    /// What the command line says; ends the process if it cannot be followed.
    pub(crate) fn read() -> Self {
        let cli = Self::parse();
        if let (Some(Command::Demo { .. }), Some(flag)) = (&cli.command, cli.source.named()) {
            let text = format!(
                "{flag} cannot be used with demo, which has a configuration of its own: \
                 `bartizan serve` takes yours"
            );
            let mut command = Self::command();
            command.error(ErrorKind::ArgumentConflict, text).exit();
        }
        cli
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve from the environment and files (the default)
    Serve,
    /// Serve the program that starts this one, over standard input and output
    Stdio {
        /// The one service to serve, with the names that it gives its tools; all without
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
    },
    /// Validate the configuration and say what it means, without serving
    Check,
    /// Show a service's effective stack: every layer in order, every value and its origin
    Explain {
        /// The service, as named in MCP_SERVICES or a file; the gateway's own settings without one
        service: Option<String>,
    },
    /// Start a gateway and four backends on loopback, and print what to try
    Demo {
        /// The port to listen on; another one is taken if it is in use
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Start a gateway with a registry, and see and change what the registry lists
    Gateway {
        #[command(subcommand)]
        command: Box<GatewayCommand>,
    },
    /// Print the configuration reference as Markdown
    Reference,
    /// Print a script that completes the arguments of this program in a shell
    Completions {
        /// The shell that is to read it
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// Write it and one page a command into this directory instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub(crate) struct Source {
    /// A file of variables, below the environment; .env where there is one, without
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// A file of settings and services, below variables; bartizan.yaml where there is one, without
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A file of MCP servers as Claude Desktop, Cursor and VS Code have it; may be repeated
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) mcp_config: Vec<PathBuf>,
    /// What other arguments say, above all of these.
    #[arg(skip)]
    pub(crate) flags: Vec<Flag>,
}

/// An argument that stands for a variable.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) flag: &'static str,
    pub(crate) variable: &'static str,
    pub(crate) text: String,
}

/// The file of variables that is read where it is there.
pub(crate) const DEFAULT_ENV_FILE: &str = ".env";

/// The file of settings that is read where it is there.
pub(crate) const DEFAULT_CONFIG: &str = "bartizan.yaml";

impl Source {
    /// The first argument that names a file.
    fn named(&self) -> Option<&'static str> {
        [
            ("--env-file", self.env_file.is_some()),
            ("--config", self.config.is_some()),
            ("--mcp-config", !self.mcp_config.is_empty()),
        ]
        .into_iter()
        .find_map(|(flag, is_there)| is_there.then_some(flag))
    }

    /// The files that the configuration comes from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let env_file = self.env_file.as_deref();
        let config = self.config.as_deref();
        let mut files = vec![
            env_file.unwrap_or(Path::new(DEFAULT_ENV_FILE)).to_owned(),
            config.unwrap_or(Path::new(DEFAULT_CONFIG)).to_owned(),
        ];
        files.extend(self.mcp_config.iter().cloned());
        files
    }
}
