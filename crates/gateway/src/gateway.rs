use std::{
    fmt, future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use bartizan_client::InvalidClient;
use bartizan_clock::Clock;
use bartizan_config::{Configuration, Errors, GatewaySettings};
use bartizan_discovery::InvalidRegistryFile;
use bartizan_server::{BindError, Bound, Drained, InvalidTls, Server, ServerConfig};
use thiserror::Error;

use crate::{BuildError, current::Current, edge::Edge, front, mcp::InvalidHouse, works::Works};

/// Longer than any process takes that can be killed, and any token that is waited for.
const CLOSING: Duration = Duration::from_secs(10);

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
    pub(crate) current: Current,
    pub(crate) works: Arc<Works>,
    clients: front::mcp::sse::Clients,
    server: ServerConfig,
    drain_delay: Duration,
    address: SocketAddr,
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
    Client(InvalidClient),
    /// The certificate or key cannot be used.
    #[error("TLS: {0}")]
    Tls(InvalidTls),
    /// A registry cannot be used as it is.
    #[error("registry: {0}")]
    Registry(InvalidRegistryFile),
    /// The settings of a service that a registry lists are wrong.
    #[error(transparent)]
    Listed(#[from] Errors),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What holds for all of MCP cannot be.
    #[error(transparent)]
    Mcp(#[from] InvalidHouse),
    /// The gateway listens on an address of the network since it was started, and would ask
    /// nobody for a key any more.
    #[error(
        "listening on {0} as long as this process runs: MCP_GATEWAY_API_KEYS cannot go without \
         MCP_GATEWAY_INSECURE_BIND=true, or a restart on a loopback address"
    )]
    Exposed(IpAddr),
    /// A configuration to go on with has none of the keys that callers, or operators, are asked for.
    #[error(
        "a reload does not take all keys away: {0} cannot go without \
         MCP_GATEWAY_INSECURE_BIND=true, or a restart"
    )]
    KeysGone(&'static str),
    /// There is no tokio runtime to run on.
    #[error("a gateway needs a tokio runtime around it")]
    NoRuntime,
    /// More than one of these.
    #[error(fmt = listed)]
    Several(Vec<StartError>),
}

impl StartError {
    /// All of these, of which there is at least one.
    pub(crate) fn all(errors: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for error in errors {
            match error {
                Self::Several(several) => all.extend(several),
                one => all.push(one),
            }
        }
        match all.len() {
            1 => all.swap_remove(0),
            _ => Self::Several(all),
        }
    }
}

impl From<InvalidClient> for StartError {
    fn from(error: InvalidClient) -> Self {
        Self::Client(error)
    }
}

impl From<InvalidTls> for StartError {
    fn from(error: InvalidTls) -> Self {
        Self::Tls(error)
    }
}

impl From<Vec<InvalidRegistryFile>> for StartError {
    fn from(errors: Vec<InvalidRegistryFile>) -> Self {
        Self::all(errors.into_iter().map(Self::Registry))
    }
}

/// One line each, or with `{:#}` one for all.
fn listed(errors: &[StartError], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the gateway cannot be built:")?;
    for (index, error) in errors.iter().enumerate() {
        match (f.alternate(), index) {
            (false, _) => write!(f, "\n  - {error:#}")?,
            (true, 0) => write!(f, " {error:#}")?,
            (true, _) => write!(f, "; {error:#}")?,
        }
    }
    Ok(())
}

impl Gateway {
    /// Builds every service of `configuration`.
    ///
    /// Starts the probes of services that have any; they end when the last clone of the gateway
    /// is dropped.
    ///
    /// # Errors
    ///
    /// When services, or the client for all of them, cannot be built, when the certificate to
    /// serve with cannot be used, with all that is wrong; or outside a tokio runtime.
    pub fn new(configuration: &Configuration) -> Result<Self, StartError> {
        Self::with_clock(configuration, Clock::counter())
    }

    /// As [`new`](Gateway::new), by another clock: for tests, in which hours may pass at once by
    /// [that of tokio](Clock::tokio).
    ///
    /// # Errors
    ///
    /// As [`new`](Gateway::new).
    pub fn with_clock(configuration: &Configuration, clock: Clock) -> Result<Self, StartError> {
        tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let settings = &configuration.gateway;
        let works = Works::start(configuration, clock)?;
        let current = works.current().clone();
        let clients = front::mcp::sse::Clients::new(&current.load()).map_err(InvalidHouse::from)?;
        Ok(Self {
            current,
            works,
            clients,
            server: server(settings),
            drain_delay: *settings.drain_delay,
            address: settings.address(),
        })
    }

    /// The gateway as a tower service, to serve in a program that has a server of its own.
    ///
    /// Request bodies are read by the gateway up to its own limit; connections and their
    /// timeouts are that server's concern.
    #[must_use]
    pub fn service(&self) -> Edge<Router> {
        Edge::new(self.router(), self.current.clone())
    }

    /// Every route there is.
    pub(crate) fn router(&self) -> Router {
        let core = front::mcp::routes().with_state(self.current.clone());
        Router::new()
            .merge(front::routes(&self.works))
            .merge(front::docs::routes())
            .merge(front::mcp::routes())
            .merge(front::mcp::sse::routes(&self.current, &self.clients, core))
            .fallback(front::not_found)
            .method_not_allowed_fallback(front::request::not_allowed)
            .with_state(self.current.clone())
    }

    /// The names of all services there are now, those of registries included.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let shared = self.current.load();
        let names = shared
            .catalog()
            .services()
            .iter()
            .map(|service| service.name());
        names.map(ToString::to_string).collect()
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
        Ok(Server::bind(&[address], &self.server, self.works.tls())?)
    }

    /// Serves until `shutdown` completes, then drains: `/readyz` says no, after the configured
    /// delay no connection is accepted any more, and calls under way are finished within the
    /// configured time. In the end the processes of services are [stopped](Gateway::close).
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(self, bound: Bound, shutdown: impl Future<Output = ()>) -> Drained {
        self.serve_until(bound, shutdown, future::pending()).await
    }

    /// As [`serve`](Gateway::serve), and cuts what is left when `cut` completes: for who says a
    /// second time that this is to end.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve_until(
        self,
        bound: Bound,
        shutdown: impl Future<Output = ()>,
        cut: impl Future<Output = ()>,
    ) -> Drained {
        let lasting = Arc::clone(self.works.lasting());
        lasting.watch_connections(bound.stats());
        let drain_delay = self.drain_delay;
        let shutdown = async move {
            shutdown.await;
            let drain_delay_ms = u64::try_from(drain_delay.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(drain_delay_ms, "told to stop");
            lasting.leave();
            lasting.clock().sleep(drain_delay).await;
            lasting.drain();
        };
        let drained = bound.serve_until(self.service(), shutdown, cut).await;
        self.close().await;
        drained
    }

    /// Stops the processes of services, which cannot be called any more, and waits until they are
    /// gone: some seconds at most, as they are killed if they do not end by themselves. As long it
    /// waits for refresh tokens that are being replaced, which are lost if nobody saves them.
    ///
    /// For programs with a server of their own. Dropping the last clone of the gateway and of its
    /// service stops the processes, too, but nobody knows when that is done.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the processes to end in the background.
    pub async fn close(&self) {
        let shared = self.current.load();
        let retiring = self.works.lasting().retiring().services();
        let services = shared.catalog().services().iter().chain(&retiring);
        let closed = futures_util::future::join_all(services.map(|service| service.close()));
        // Nothing can be done about a process that the kernel waits for itself.
        let _ = tokio::time::timeout(CLOSING, closed).await;
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("current", &self.current)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

pub(crate) fn server(settings: &GatewaySettings) -> ServerConfig {
    ServerConfig {
        max_connections: settings.max_connections.get() as usize,
        header_read_timeout: *settings.header_read_timeout,
        max_header_bytes: u32::try_from(*settings.max_header_bytes).unwrap_or(u32::MAX),
        drain_timeout: *settings.drain_timeout,
        ..ServerConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bartizan_config::Source;
    use http::Request;
    use tower_service::Service as _;

    use super::*;

    /// What follows services for clients does not keep alive what it is part of.
    #[tokio::test]
    async fn nothing_is_left_of_a_gateway_that_is_dropped() {
        let source = Source::from_iter([
            ("MCP_SERVICES", "dead"),
            ("MCP_SERVICE_DEAD_ENDPOINT", "http://127.0.0.1:1/mcp"),
            ("MCP_SERVICE_DEAD_TRANSPORT", "streamable-http"),
            ("MCP_SERVICE_DEAD_AUTH_TYPE", "none"),
        ]);
        let configuration = Configuration::parse(&source).unwrap();
        let gateway = Gateway::new(&configuration).unwrap();
        let snapshot = Arc::downgrade(&gateway.current.load());
        let mut service = gateway.service();
        let mut session = None;
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{
            "protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
        let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
        for message in [initialize, list] {
            let mut request = Request::post("/mcp")
                .header("host", "127.0.0.1")
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream");
            if let Some(session) = session.take() {
                request = request.header("mcp-session-id", session);
            }
            let answer = service.call(request.body(Body::from(message)).unwrap());
            let answer = answer.await.unwrap();
            assert!(answer.status().is_success(), "{answer:?}");
            session = answer.headers().get("mcp-session-id").cloned();
        }
        drop((service, gateway));
        let gone = async {
            while snapshot.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(5), gone).await;
        assert!(
            gone.is_ok(),
            "{} references are left",
            snapshot.strong_count()
        );
    }

    /// A configuration with one service and these variables.
    fn configuration<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Configuration {
        let service = [
            ("MCP_SERVICES", "a"),
            ("MCP_SERVICE_A_ENDPOINT", "http://127.0.0.1:1"),
            ("MCP_SERVICE_A_AUTH_TYPE", "none"),
        ];
        let source = Source::from_iter(service.into_iter().chain(variables));
        Configuration::parse(&source).unwrap_or_else(|it| panic!("{it}"))
    }

    #[tokio::test]
    async fn everything_that_keeps_a_gateway_from_being_built_is_listed_and_said_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let nonsense = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let (empty, broken) = (file("empty.pem", ""), file("broken.pem", nonsense));
        let (yaml, json) = (
            file("registry.yaml", "servers: ["),
            file("registry.json", "{"),
        );
        let tls = [
            ("MCP_GATEWAY_TLS_CERT_FILE", &*empty),
            ("MCP_GATEWAY_TLS_KEY_FILE", &*empty),
        ];
        let upstream = ("MCP_GATEWAY_UPSTREAM_CA_FILE", &*broken);
        let registries = [
            ("REGISTRY_PATH", &*yaml),
            ("MCP_GATEWAY_REGISTRY_FILE", &*json),
        ];
        let variables = tls.into_iter().chain(registries).chain([upstream]);
        let all = Gateway::new(&configuration(variables)).unwrap_err();
        let text = all.to_string();
        let lines: Vec<_> = text.lines().collect();
        let [heading, own, yaml, json, upstream] = &lines[..] else {
            panic!("{text}");
        };
        assert_eq!(*heading, "the gateway cannot be built:");
        assert!(own.starts_with("  - TLS: ") && own.ends_with("empty.pem contains no certificate"));
        assert!(
            yaml.starts_with("  - registry: ") && yaml.contains("registry.yaml"),
            "{yaml}"
        );
        assert!(
            json.starts_with("  - registry: ") && json.contains("registry.json"),
            "{json}"
        );
        assert!(upstream.starts_with("  - upstream TLS: "), "{upstream}");
        assert_eq!(format!("{all:#}").lines().count(), 1);
        let StartError::Several(several) = all else {
            unreachable!("it has four lines");
        };
        assert!(several.iter().all(is_whole));
    }

    /// Whether nothing is said twice by who prints an error and then its sources.
    fn is_whole(error: &StartError) -> bool {
        std::error::Error::source(error).is_none()
    }

    #[tokio::test]
    async fn one_reason_is_no_list_and_a_port_in_use_is_said_once() {
        let broken = tempfile::NamedTempFile::new().unwrap();
        let path = broken.path().to_str().unwrap();
        let variables = [("MCP_GATEWAY_UPSTREAM_CA_FILE", path)];
        let error = Gateway::new(&configuration(variables)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("upstream TLS: {path} contains no certificate")
        );
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = Gateway::new(&configuration([])).unwrap();
        let error = gateway.bind_to(taken.local_addr().unwrap()).unwrap_err();
        assert!(error.to_string().contains("address in use"), "{error}");
        assert!(is_whole(&error));
    }
}
