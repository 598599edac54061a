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
        let sources = stats["registry"]["sources"].as_array()?.iter();
        let mut paths = sources.filter_map(|source| source["path"].as_str());
        let is_same = |path| std::fs::canonicalize(path).is_ok_and(|it| it == registry);
        paths.any(is_same).then(|| RegistryStore::new(registry))
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
/// registry, or the one at the configured address; a registry that was named and that no gateway
/// was started with is not assumed to be that of whatever listens at the usual port.
pub(super) async fn find(
    source: &cli::Source,
    place: &cli::Place,
) -> Result<(Target, Report), Failure> {
    let mut variables = variables(source)?;
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
        let stats = remote.probe().await?.ok_or_else(|| Trouble::Unreachable {
            url: url.clone(),
            reason: "nobody listens there".to_owned(),
        })?;
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
    for url in started.into_iter().chain(configured) {
        let remote = remote(url)?;
        match remote.probe().await {
            Ok(Some(stats)) => {
                return Ok((
                    Target::Gateway {
                        remote,
                        registry,
                        stats,
                    },
                    report,
                ));
            }
            Ok(None) => {}
            Err(Trouble::Stranger { url, .. }) => {
                return file(Some(format!("what listens at {url} is no gateway")));
            }
            Err(other) => return Err(other.into()),
        }
    }
    file(None)
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
