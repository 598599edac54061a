use std::sync::Arc;

use bartizan_client::{Client, ClientConfig, InvalidClient, Pem, TlsRoots};
use bartizan_clock::Clock;
use bartizan_config::{Configuration, Errors, GatewaySettings};
use tokio::task::AbortHandle;

use crate::{
    BuildError, StartError, permit,
    plan::{Plan, Settled},
    registries::{Listing, Registries},
    service::{Hosting, Service},
    shared::Lasting,
};

/// What services stand on.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) configuration: Arc<Configuration>,
    pub(super) client: Client,
    pub(super) authorities: Authorities,
    pub(super) hosting: Hosting,
    pub(super) registries: Arc<Registries>,
    pub(super) settled: Settled,
    /// Hears of changes of the registries.
    pub(super) following: Option<AbortHandle>,
}

impl Ground {
    /// That of a gateway that starts.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn new(configuration: &Configuration, clock: Clock) -> Result<Self, StartError> {
        let settings = &configuration.gateway;
        let registries = Registries::open(&configuration.registries, clock);
        let (registries, client) = match (registries, client(settings)) {
            (Ok(registries), Ok(client)) => (registries, client),
            (registries, client) => {
                let registries = registries.err().map(StartError::from);
                let client = client.err().map(StartError::from);
                return Err(StartError::all(registries.into_iter().chain(client)));
            }
        };
        Ok(Self {
            configuration: Arc::new(configuration.clone()),
            authorities: Authorities::of(settings),
            client,
            hosting: Hosting::new(settings),
            registries: Arc::new(registries),
            settled: Settled::default(),
            following: None,
        })
    }

    /// What services there are to be; one that `must_stay` is no reason to go on if it is wrong.
    pub(super) fn plans(
        &mut self,
        must_stay: impl Fn(&Listing) -> bool,
    ) -> Result<Vec<Plan>, Errors> {
        self.settled
            .plans(&self.configuration, &self.registries, must_stay)
    }

    /// The service of a plan, in the place of another if there was one; `None` of one that a
    /// registry lists and that cannot be built, which is no reason to leave others out.
    pub(super) fn service(
        &self,
        plan: &Plan,
        before: Option<&Service>,
        lasting: &Lasting,
    ) -> Result<Option<Arc<Service>>, BuildError> {
        match self.build(plan, before, lasting) {
            Ok(service) => {
                permit::warn_of_name(&plan.settings.name);
                Ok(Some(Arc::new(service)))
            }
            Err(error) if plan.listing.is_some() => {
                tracing::error!(%error, "a service of a registry is left out");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The same, whatever lists it.
    pub(super) fn build(
        &self,
        plan: &Plan,
        before: Option<&Service>,
        lasting: &Lasting,
    ) -> Result<Service, BuildError> {
        Service::new(plan, before, &self.client, &self.hosting, lasting)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(following) = &self.following {
            following.abort();
        }
    }
}

/// Who vouches for instances, as the file of them was when it was read; `None` if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorities(Option<Vec<u8>>);

impl Authorities {
    /// As they are now. What cannot be read is what the client will complain of.
    pub(super) fn of(settings: &GatewaySettings) -> Self {
        let path = settings.upstream_ca_file.as_ref();
        Self(path.and_then(|path| std::fs::read(path.value()).ok()))
    }
}

/// Whether all services may be reached as before under other settings.
pub(super) fn same_client(old: &GatewaySettings, new: &GatewaySettings) -> bool {
    old.connect_timeout == new.connect_timeout
        && old.max_response_bytes == new.max_response_bytes
        && old.upstream_ca_file == new.upstream_ca_file
}

/// Whether programs may go on as before under other settings.
pub(super) fn same_children(old: &GatewaySettings, new: &GatewaySettings) -> bool {
    old.mcp.max_children == new.mcp.max_children && old.mcp.stop_grace == new.mcp.stop_grace
}

/// What reaches the instances of all services.
pub(super) fn client(settings: &GatewaySettings) -> Result<Client, InvalidClient> {
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
