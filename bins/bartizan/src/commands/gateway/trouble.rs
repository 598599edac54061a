use std::{io, path::PathBuf};

use bartizan_discovery::StoreError;
use thiserror::Error;

/// Why a command about a gateway did not do what it was asked to, and what to do next.
#[derive(Debug, Error)]
pub(crate) enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("no home directory is known to look for a registry in: say --registry FILE")]
    NoRegistry,
    #[error("{}", explained(_0))]
    Store(#[from] StoreError),
    #[error(
        "template `{template}` has no instance `{id}`\n\
         `bartizan gateway status` lists those that there are"
    )]
    NotFound { template: String, id: String },
    #[error("cannot reach the gateway at {url}: {reason}\nis it running, and is that its address?")]
    Unreachable { url: String, reason: String },
    #[error("the gateway at {url} did not answer: {reason}")]
    Broken { url: String, reason: String },
    #[error(
        "the gateway at {url} wants a key: set MCP_GATEWAY_API_KEYS as it is set for the gateway, \
         or say --api-key-file FILE"
    )]
    NoKey { url: String },
    #[error(
        "the gateway at {url} refuses: {reason}\n\
         a key of MCP_GATEWAY_ADMIN_KEYS may be needed: set it as for the gateway, or say \
         --api-key-file FILE; whoever may write the file may also say --offline"
    )]
    Forbidden { url: String, reason: String },
    #[error(
        "what listens at {url} is no gateway that can be managed: it answers \
         {answer} to GET /gateway/stats"
    )]
    Stranger { url: String, answer: String },
    #[error(
        "the gateway at {url} does not follow the registry {}\n\
         leave out --registry to have the gateway do it with its own, or --url for the file",
        path.display()
    )]
    OtherRegistry { url: String, path: PathBuf },
    #[error("the gateway at {url} refuses: {reason}")]
    Refused { url: String, reason: String },
    #[error(
        "a gateway runs with this registry already: process {pid}{place}\n\
         stop it with `kill {pid}`, or start another one with another --registry"
    )]
    Running { pid: u32, place: String },
    #[error("the gateway did not start:\n{0}")]
    NotStarted(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "not every source could be looked at: {0}\n\
         what it said before stands; correct it, then sync again"
    )]
    Source(String),
    #[error("this needs somebody to ask: say --yes to remove them without, or --dry-run")]
    NobodyToAsk,
    #[error("nothing was removed")]
    Declined,
    #[error("not removed:\n{0}")]
    NotRemoved(String),
}

impl Trouble {
    /// What the process ends with: 1 for failed, 2 for wrong usage, 3 for not found, 4 for a
    /// gateway that cannot be reached.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::OtherRegistry { .. } | Self::NobodyToAsk => 2,
            Self::NotFound { .. } | Self::Store(StoreError::NotFound { .. }) => 3,
            Self::Unreachable { .. } => 4,
            _ => 1,
        }
    }

    /// Whether a gateway answered that it will not do this, and may do other things.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Forbidden { .. })
    }
}

fn explained(error: &StoreError) -> String {
    let next = match error {
        StoreError::Invalid { .. } => "the file is as it was: correct it, then try again",
        StoreError::Locked { .. } => "try again when it has ended",
        StoreError::NotFound { .. } => "`bartizan gateway status` lists those that there are",
        StoreError::Io { .. } => "look at its permissions, or name another file with --registry",
        _ => "the file is as it was",
    };
    format!("{error}\n{next}")
}
