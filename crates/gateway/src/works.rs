//! From configurations to snapshots, one after the other.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use bartizan_client::{Client, ClientConfig, InvalidClient, Pem, TlsRoots};
use bartizan_clock::Clock;
use bartizan_config::{Configuration, GatewaySettings, ServiceSettings};
use bartizan_server::Tls;
use parking_lot::Mutex;

use crate::{
    BuildError, ReloadError, Reloaded, StartError,
    catalog::Catalog,
    gateway::server,
    mcp::House,
    reload::Read,
    service::{Hosting, Service},
    shared::{Lasting, Shared},
};

/// What builds the snapshots, and keeps what the next one takes over from the last.
pub(crate) struct Works {
    lasting: Arc<Lasting>,
    tls: Option<Tls>,
    read: OnceLock<Read>,
    /// Held while a snapshot is built, so that two changes come one after the other.
    ground: Mutex<Ground>,
}

/// What services stand on.
#[derive(Debug)]
struct Ground {
    settings: GatewaySettings,
    client: Client,
    hosting: Hosting,
}

impl Works {
    /// The works and their first snapshot.
    pub(crate) fn start(configuration: &Configuration) -> Result<(Self, Shared), StartError> {
        let settings = &configuration.gateway;
        let lasting = Arc::new(Lasting::new(Clock::counter()));
        let tls = settings.tls.as_ref();
        let tls = tls
            .map(|tls| Tls::from_pem_files(tls.certificate.value(), tls.key.value()))
            .transpose()?;
        let ground = Ground::new(settings)?;
        let services = configuration.services.iter();
        let services = services.map(|settings| ground.service(settings, &lasting));
        let services = services.collect::<Result<Vec<_>, _>>()?;
        let house = House::new(settings, lasting.clock())?;
        let shelf = house.shelf(*settings.mcp.list_timeout)?;
        let (catalog, to_all) = (Catalog::new(services), Arc::clone(&lasting));
        let shared = Shared::new(to_all, settings, catalog, house, shelf);
        let works = Self {
            lasting,
            tls,
            read: OnceLock::new(),
            ground: Mutex::new(ground),
        };
        Ok((works, shared))
    }

    pub(crate) fn lasting(&self) -> &Arc<Lasting> {
        &self.lasting
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Says how the configuration is read anew; who says it first is right.
    pub(crate) fn configured_by(&self, read: Read) {
        let _ = self.read.set(read);
    }

    /// The configuration as it is now where it came from.
    pub(crate) fn read(&self) -> Result<Configuration, ReloadError> {
        let read = self.read.get().ok_or(ReloadError::NoSource)?;
        Ok(read()?)
    }

    /// Builds the next snapshot and gives it to `swap`, which puts it in the place of `current`.
    ///
    /// Services whose settings are what they were go on as they are. Nothing has changed if there
    /// is an error.
    pub(crate) fn renew(
        &self,
        configuration: &Configuration,
        current: impl FnOnce() -> Arc<Shared>,
        swap: impl FnOnce(Shared) -> Arc<Shared>,
    ) -> Result<(Reloaded, Vec<Arc<Service>>), StartError> {
        let settings = &configuration.gateway;
        let mut ground = self.ground.lock();
        let current = current();
        let next = ground.renewed(settings)?;
        let stays = next.is_none();
        let standing = next.as_ref().unwrap_or(&ground);

        let mut reloaded = Reloaded::default();
        let mut left: HashMap<_, _> = current
            .catalog()
            .iter()
            .map(|service| (Arc::clone(service.name()), Arc::clone(service)))
            .collect();
        let mut services = Vec::with_capacity(configuration.services.len());
        let mut adopting = Vec::new();
        let mut gone = Vec::new();
        for settings in &configuration.services {
            let name = || settings.name.clone();
            let service = match left.remove(&*settings.name) {
                Some(service) if stays && service.could_adopt(settings) => {
                    reloaded.unchanged.push(name());
                    adopting.push((Arc::clone(&service), settings));
                    service
                }
                Some(replaced) => {
                    reloaded.changed.push(name());
                    gone.push(replaced);
                    standing.service(settings, &self.lasting)?
                }
                None => {
                    reloaded.added.push(name());
                    standing.service(settings, &self.lasting)?
                }
            };
            services.push(service);
        }
        let house = current.mcp().renewed(settings)?;
        let shelf = house.shelf(*settings.mcp.list_timeout)?;
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        reloaded.needs_restart = needs_restart(&ground.settings, settings);
        reloaded.removed = left.keys().map(ToString::to_string).collect();
        gone.extend(left.into_values());

        // From here on nothing fails.
        for (service, settings) in adopting {
            service.adopt(settings);
        }
        let lasting = Arc::clone(&self.lasting);
        let shared = Shared::new(lasting, settings, Catalog::new(services), house, shelf);
        swap(shared).shelf().retire();
        if let Some(next) = next {
            *ground = next;
        }
        ground.settings = settings.clone();
        Ok((reloaded, gone))
    }
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Works").finish_non_exhaustive()
    }
}

impl Ground {
    fn new(settings: &GatewaySettings) -> Result<Self, InvalidClient> {
        Ok(Self {
            client: client(settings)?,
            hosting: Hosting::new(settings),
            settings: settings.clone(),
        })
    }

    /// What services are to stand on from now on, unless that is what they stand on already.
    fn renewed(&self, settings: &GatewaySettings) -> Result<Option<Self>, InvalidClient> {
        let (old, new) = (&self.settings, settings);
        let same = old.connect_timeout == new.connect_timeout
            && old.max_response_bytes == new.max_response_bytes
            && old.upstream_ca_file == new.upstream_ca_file
            && old.mcp.max_sessions_per_caller == new.mcp.max_sessions_per_caller
            && old.mcp.max_children == new.mcp.max_children
            && old.mcp.max_sessions == new.mcp.max_sessions
            && old.mcp.session_idle_timeout == new.mcp.session_idle_timeout;
        if same {
            return Ok(None);
        }
        Self::new(settings).map(Some)
    }

    fn service(
        &self,
        settings: &ServiceSettings,
        lasting: &Lasting,
    ) -> Result<Arc<Service>, BuildError> {
        let (metrics, clock) = (lasting.metrics(), lasting.clock());
        Service::new(settings, &self.client, &self.hosting, metrics, clock).map(Arc::new)
    }
}

fn client(settings: &GatewaySettings) -> Result<Client, InvalidClient> {
    Client::new(&ClientConfig {
        connect_timeout: *settings.connect_timeout,
        max_response_bytes: *settings.max_response_bytes,
        tls: settings
            .upstream_ca_file
            .as_ref()
            .map_or(TlsRoots::Native, |path| {
                TlsRoots::Pem(Pem::Path(path.value().clone()))
            }),
        ..ClientConfig::default()
    })
}

/// What has changed and counts only for a process that starts with it.
fn needs_restart(old: &GatewaySettings, new: &GatewaySettings) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let mut note = |is_other: bool, what| {
        if is_other {
            changed.push(what);
        }
    };
    note(old.address() != new.address(), "address");
    note(old.tls != new.tls, "TLS files");
    note(server(old) != server(new), "limits of connections");
    note(old.drain_delay != new.drain_delay, "drain delay");
    let logs = old.log_filter != new.log_filter
        || old.log_format != new.log_format
        || old.log_color != new.log_color;
    note(logs, "logs");
    let sessions = old.mcp.max_sessions != new.mcp.max_sessions
        || old.mcp.max_sessions_per_caller != new.mcp.max_sessions_per_caller
        || old.mcp.session_idle_timeout != new.mcp.session_idle_timeout;
    note(sessions, "limits of sessions");
    let checks = |of: &GatewaySettings| *of.instances.max_concurrent_checks;
    note(checks(old) != checks(new), "limit of probes");
    changed
}
