use std::path::{Path, PathBuf};

use bartizan_config::{Reach, usual_registry};
use bartizan_discovery::RegistryStore;
use http::HeaderValue;
use serde_json::Value;

use super::{
    PidFile, Trouble,
    remote::{Keys, Remote},
    report::Report,
};
use crate::{
    cli,
    commands::{Failure, variables},
};

/// Who does what is asked: a gateway that runs, or this process with the file.
#[derive(Debug)]
pub(super) enum Target {
    Gateway {
        remote: Remote,
        /// The registry that is meant, if it is on this machine and the gateway follows it.
        registry: Option<PathBuf>,
        /// What it said of itself when it was looked for.
        stats: Value,
    },
    File {
        store: RegistryStore,
        /// Why it is not a gateway, if somebody listens where one was looked for.
        stranger: Option<String>,
    },
}

impl Target {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "gateway",
            Self::File { .. } => "file",
        }
    }

    /// The registry of a gateway that runs, for who has no operator's key and needs none: it is a
    /// file of this machine, whoever may write it may do everything to it, and the gateway follows.
    pub(super) fn writable_without_key(&self) -> Option<RegistryStore> {
        let Self::Gateway {
            remote,
            registry,
            stats,
        } = self
        else {
            return None;
        };
        if remote.is_operator() {
            return None;
        }
        let registry = registry.as_ref()?.canonicalize().ok()?;
        follows(stats, &registry).then(|| RegistryStore::new(registry))
    }

    pub(super) fn url(&self) -> Option<&str> {
        match self {
            Self::Gateway { remote, .. } => Some(remote.url()),
            Self::File { .. } => None,
        }
    }

    pub(super) fn registry(&self) -> Option<&Path> {
        match self {
            Self::Gateway { registry, .. } => registry.as_deref(),
            Self::File { store, .. } => Some(store.path()),
        }
    }

    /// What people read.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Gateway { remote, .. } => format!("the gateway at {}", remote.url()),
            Self::File { store, stranger } => {
                let why = stranger.as_deref().unwrap_or("no gateway runs");
                format!("the file {} ({why})", store.path().display())
            }
        }
    }
}

/// Finds out whom to talk to, and how to talk to whoever asks.
///
/// A gateway that was named has to be there. Otherwise it is the one that was started with the
/// registry, or the one at the configured address. A registry that was named is not taken for that
/// of a gateway that follows others: what was asked for would happen to those.
pub(super) async fn find(
    source: &cli::Source,
    place: &cli::Place,
) -> Result<(Target, Report), Failure> {
    let mut variables = variables(source);
    if let Some(file) = &place.api_key_file {
        const FLAG: &str = "--api-key-file";
        // Blank counts as not set, so that the file does not contradict the environment.
        variables = variables
            .with_flag(FLAG, "MCP_GATEWAY_API_KEYS", "")
            .with_flag(FLAG, "MCP_GATEWAY_API_KEYS_FILE", file.to_string_lossy())
            .with_flag(FLAG, "MCP_GATEWAY_ADMIN_KEYS", "")
            .with_flag(FLAG, "MCP_GATEWAY_ADMIN_KEYS_FILE", file.to_string_lossy());
    }
    let reach = Reach::parse(&variables)?;
    let report = Report::new(place.json, reach.color);
    let configured = reach.registry.as_ref().map(|path| path.value().clone());
    let registry = place
        .registry
        .clone()
        .or(configured)
        .or_else(usual_registry);
    let file = |stranger: Option<String>| {
        let path = registry.clone().ok_or(Trouble::NoRegistry)?;
        let store = RegistryStore::new(path);
        Ok((Target::File { store, stranger }, report))
    };
    if place.offline {
        return file(Some("as asked".to_owned()));
    }
    let remote = |url: String| Remote::new(url, keys(&reach), place.ca_file.as_deref());
    if let Some(url) = &place.url {
        let remote = remote(url.clone())?;
        let stats = remote.probe().await?;
        if let Some(path) = place.registry.as_ref().filter(|it| !follows(&stats, it)) {
            let (url, path) = (url.clone(), path.clone());
            return Err(Trouble::OtherRegistry { url, path }.into());
        }
        // It may be on another machine, where our paths mean nothing.
        let registry = None;
        return Ok((
            Target::Gateway {
                remote,
                registry,
                stats,
            },
            report,
        ));
    }
    let running = registry.as_deref().and_then(PidFile::running);
    let started = running.and_then(|running| running.url);
    let configured = (place.registry.is_none() || reach.is_configured())
        .then(|| url(&reach))
        .flatten();
    let mut stranger = None;
    for url in started.into_iter().chain(configured) {
        let remote = remote(url)?;
        match remote.probe().await {
            Ok(stats) => {
                let followed = registry.clone().filter(|path| follows(&stats, path));
                if followed.is_none() && place.registry.is_some() {
                    let url = remote.url();
                    stranger = Some(format!("the gateway at {url} follows another registry"));
                    continue;
                }
                return Ok((
                    Target::Gateway {
                        remote,
                        registry: followed,
                        stats,
                    },
                    report,
                ));
            }
            Err(Trouble::Unreachable { .. }) => {}
            Err(Trouble::Stranger { url, .. }) => {
                return file(Some(format!("what listens at {url} is no gateway")));
            }
            Err(other) => return Err(other.into()),
        }
    }
    file(stranger)
}

/// Whether a gateway that says this of itself follows the registry at `path`.
fn follows(stats: &Value, path: &Path) -> bool {
    let sources = stats["registry"]["sources"].as_array();
    let paths = sources.into_iter().flatten();
    let mut paths = paths.filter_map(|source| source["path"].as_str().map(Path::new));
    // One that is relative is one of a directory that only the gateway knows.
    paths.any(|other| other.is_absolute() && is_same(other, path))
}

/// Whether two paths lead to the same file, which need not be there yet.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| -> Option<PathBuf> {
        let path = std::path::absolute(path).ok()?;
        let beside = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
        Some(path.canonicalize().ok().or_else(beside).unwrap_or(path))
    };
    whole(one).is_some_and(|one| whole(other) == Some(one))
}

/// Where the configured gateway is; `None` where the operating system chose its port.
fn url(reach: &Reach) -> Option<String> {
    if *reach.port == 0 {
        return None;
    }
    let named = reach.url.as_str().trim_end_matches('/');
    Some(match reach.tls {
        // Its certificate is for the name that callers use.
        true if named.starts_with("https://") => named.to_owned(),
        true => format!("https://{}", reach.address()),
        false => format!("http://{}", reach.address()),
    })
}

fn keys(reach: &Reach) -> Keys {
    let (callers, admins) = (reach.api_keys.as_ref(), reach.admin_keys.as_ref());
    Keys {
        caller: callers.and_then(|keys| header(keys.value().first()?.expose())),
        admin: admins.and_then(|keys| header(keys.value().first()?.expose())),
    }
}

fn header(key: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(key).ok()?;
    value.set_sensitive(true);
    Some(value)
}
