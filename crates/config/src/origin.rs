use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it; the text says where the default comes from.
    Default(&'static str),
    /// A variable of the process environment.
    Variable(String),
    /// An argument of the command line, which stands for a variable.
    Flag(&'static str),
    /// A variable of an environment file.
    DotEnv {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
    },
    /// A file that holds nothing but the value, named by a `..._FILE` variable.
    File {
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// A member of a file of MCP servers.
    McpServers {
        /// The member: the server's name and what it is for, such as `github.command`.
        member: String,
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// The column, in characters counted from one.
        column: usize,
    },
    /// A key of a `bartizan.yaml`.
    Native {
        /// The key and what it stands in, such as `services.github.timeout`.
        key: String,
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// The column, in characters counted from one.
        column: usize,
    },
    /// The file of a registry, which lists the service.
    Registry(PathBuf),
    /// The program that embeds the gateway, through [`GatewayConfig`](crate::GatewayConfig).
    Builder,
}

impl Origin {
    /// Whether it is a file whose author wrote something else than variables: it has names of its
    /// own, and what is empty there was meant to be.
    pub(crate) fn is_structured(&self) -> bool {
        self.member().is_some()
    }

    /// What its author calls the value, if that is not the variable.
    pub(crate) fn member(&self) -> Option<&str> {
        match self {
            Self::McpServers { member: name, .. } | Self::Native { key: name, .. } => Some(name),
            _ => None,
        }
    }

    /// What wins over what: the smaller over the greater.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Native { .. } => 1,
            Self::McpServers { .. } => 2,
            _ => 0,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(why) => write!(f, "default: {why}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::DotEnv {
                variable,
                path,
                line,
            } => write!(f, "{variable} ({}, line {line})", path.display()),
            Self::File { variable, path } => write!(f, "{variable} ({})", path.display()),
            Self::McpServers {
                member: name,
                path,
                line,
                column,
            }
            | Self::Native {
                key: name,
                path,
                line,
                column,
            } => write!(
                f,
                "{name} ({}, line {line}, column {column})",
                path.display()
            ),
            Self::Registry(path) => write!(f, "registry {}", path.display()),
            Self::Builder => f.write_str("the embedding program"),
        }
    }
}
