use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use bartizan_client::{Client, ClientConfig, InvalidClient, Pem, TlsRoots};
use bartizan_clock::Clock;
use bartizan_config::{Configuration, GatewaySettings};
use bartizan_server::{BindError, Bound, Drained, InvalidTls, Server, ServerConfig, Tls};
use bartizan_telemetry::Metrics;
use thiserror::Error;

use crate::{
    BuildError,
    catalog::Catalog,
    edge::Edge,
    front,
    mcp::{House, InvalidHouse},
    service::{Hosting, Service},
    shared::Shared,
};

/// A gateway: services, the doors in front of them, and what both share.
///
/// ```no_run
/// use bartizan_config::{Auth, GatewayConfig, ServiceConfig};
/// use bartizan_gateway::Gateway;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let configuration = GatewayConfig::builder()
///     .gateway_url("http://localhost:8080")
///     .service("users", ServiceConfig::new("http://localhost:8081").auth(Auth::none()))
///     .build()?;
/// let gateway = Gateway::new(&configuration)?;
/// let bound = gateway.bind()?;
/// gateway.serve(bound, std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
    clients: front::mcp::sse::Clients,
    server: ServerConfig,
    drain_delay: Duration,
    address: SocketAddr,
    tls: Option<Tls>,
}

/// A gateway that cannot be built or bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A service cannot be assembled.
    #[error(transparent)]
    Service(#[from] BuildError),
    /// The client for backends cannot be built, for want of readable roots for one.
    #[error("upstream TLS: {0}")]
    Client(#[from] InvalidClient),
    /// The certificate or key cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] InvalidTls),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What holds for all of MCP cannot be.
    #[error(transparent)]
    Mcp(#[from] InvalidHouse),
    /// There is no tokio runtime to run on.
    #[error("a gateway needs a tokio runtime around it")]
    NoRuntime,
}

impl Gateway {
    /// Builds every service of `configuration`.
    ///
    /// Starts the probes of services that have any; they end when the last clone of the gateway
    /// is dropped.
    ///
    /// # Errors
    ///
    /// When a service, or the client for all of them, cannot be built, when the certificate to
    /// serve with cannot be used, or outside a tokio runtime.
    pub fn new(configuration: &Configuration) -> Result<Self, StartError> {
        tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let settings = &configuration.gateway;
        let clock = Clock::counter();
        let metrics = Metrics::new();
        let client = client(settings)?;
        let tls = settings.tls.as_ref();
        let tls = tls
            .map(|tls| Tls::from_pem_files(tls.certificate.value(), tls.key.value()))
            .transpose()?;
        let hosting = Hosting::new(settings);
        let service = |service| Service::new(service, &client, &hosting, &metrics, clock);
        let services = configuration
            .services
            .iter()
            .map(|settings| Ok(Arc::new(service(settings)?)))
            .collect::<Result<_, BuildError>>()?;
        let house = House::new(settings, clock)?;
        let shelf = house.shelf(*settings.mcp.list_timeout)?;
        let catalog = Catalog::new(services);
        let shared = Shared::new(settings, catalog, metrics, clock, house, shelf);
        let clients = front::mcp::sse::Clients::new(&shared).map_err(InvalidHouse::from)?;
        Ok(Self {
            shared: Arc::new(shared),
            clients,
            server: server(settings),
            drain_delay: *settings.drain_delay,
            address: settings.address(),
            tls,
        })
    }

    /// The gateway as a tower service, to serve in a program that has a server of its own.
    ///
    /// Request bodies are read by the gateway up to its own limit; connections and their
    /// timeouts are that server's concern.
    #[must_use]
    pub fn service(&self) -> Edge<Router> {
        let core = front::mcp::routes().with_state(Arc::clone(&self.shared));
        let router = Router::new()
            .merge(front::probes::routes())
            .merge(front::request::routes())
            .merge(front::mcp::routes())
            .merge(front::mcp::sse::routes(&self.shared, &self.clients, core))
            .fallback(front::request::not_found)
            .method_not_allowed_fallback(front::request::not_allowed)
            .with_state(Arc::clone(&self.shared));
        Edge::new(router, Arc::clone(&self.shared))
    }

    /// Listens where the configuration says.
    ///
    /// # Errors
    ///
    /// When the address is taken or not ours.
    pub fn bind(&self) -> Result<Bound, StartError> {
        self.bind_to(self.address)
    }

    /// Listens at `address` instead of where the configuration says.
    ///
    /// # Errors
    ///
    /// When the address is taken or not ours.
    pub fn bind_to(&self, address: SocketAddr) -> Result<Bound, StartError> {
        Ok(Server::bind(&[address], &self.server, self.tls.as_ref())?)
    }

    /// Serves until `shutdown` completes, then drains: `/readyz` says no, after the configured
    /// delay no connection is accepted any more, and calls under way are finished within the
    /// configured time. In the end the processes of services are [stopped](Gateway::close).
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(self, bound: Bound, shutdown: impl Future<Output = ()>) -> Drained {
        self.shared.watch_connections(bound.stats());
        let (shared, drain_delay) = (Arc::clone(&self.shared), self.drain_delay);
        let clock = shared.clock();
        let shutdown = async move {
            shutdown.await;
            shared.drain();
            clock.sleep(drain_delay).await;
        };
        let serve = bound.serve(self.service(), shutdown);
        let drained = tokio::select! {
            drained = serve => drained,
            () = self.upkeep() => unreachable!("upkeep never ends"),
        };
        self.close().await;
        drained
    }

    /// Stops the processes of services, which cannot be called any more, and waits until they are
    /// gone: some seconds at most, as they are killed if they do not end by themselves.
    ///
    /// For programs with a server of their own. Dropping the last clone of the gateway and of its
    /// service stops the processes, too, but nobody knows when that is done.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the processes to end in the background.
    pub async fn close(&self) {
        let services = self.shared.catalog().iter();
        futures_util::future::join_all(services.map(|service| service.close())).await;
    }

    /// Keeps the recorded durations from piling up when nobody looks at the metrics.
    pub(crate) async fn upkeep(&self) {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.shared.upkeep();
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("shared", &self.shared)
            .field("address", &self.address)
            .finish_non_exhaustive()
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

fn server(settings: &GatewaySettings) -> ServerConfig {
    ServerConfig {
        max_connections: settings.max_connections.get() as usize,
        header_read_timeout: *settings.header_read_timeout,
        max_header_bytes: u32::try_from(*settings.max_header_bytes).unwrap_or(u32::MAX),
        drain_timeout: *settings.drain_timeout,
        ..ServerConfig::default()
    }
}
