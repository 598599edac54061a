//! Instances that are endpoints of a Service in a cluster of Kubernetes.

mod account;
mod follow;
mod merge;
mod slice;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use thiserror::Error;
use tower_service::Service;

pub use self::{account::ServiceAccount, merge::EndpointPort};
use self::{
    follow::{Following, Known},
    merge::Common,
};
use crate::{
    Discover, Instance, InvalidInstance, Watch,
    api::{self, Api},
    limit::{Limit, MAX_PER_SERVICE},
    looking::Looking,
};

/// The metadata that says in which zone an instance is.
pub const ZONE: &str = "zone";

/// The metadata that says on which node of a cluster an instance is.
pub const NODE: &str = "node";

/// The metadata that says which pod an instance is.
pub const POD: &str = "pod";

/// The ready endpoints of a Service, as its EndpointSlices (`discovery.k8s.io/v1`) have them.
///
/// They are listed once and then watched. A watch that ends is taken up where it ended; when the
/// server does not remember so far back (410), everything is listed again. A server that fails,
/// refuses or takes too long is asked again after a growing delay; until it answers, the last good
/// set stays and is flagged stale, as it is when no endpoint is ready.
///
/// | of an endpoint | |
/// |---|---|
/// | `ready` | is an instance; not said counts as ready |
/// | `serving` and `terminating` | is an instance while no endpoint is ready |
/// | in several slices | is one instance |
/// | IPv4 and IPv6 of one pod | is one instance, at its IPv4 address |
/// | zone, node, name of the pod | metadata: [`ZONE`], [`NODE`], [`POD`] |
///
/// The service account needs the verbs `list` and `watch` on `endpointslices` in the API group
/// `discovery.k8s.io`. Its token is sent over `https` only: over `http` the API server is asked
/// without one, as `kubectl proxy` wants it.
///
/// The client makes the connections, so it is who must trust the cluster's
/// [authorities](ServiceAccount::authorities), as they are when it connects. A task does the asking, which dropping the source
/// stops.
///
/// ```no_run
/// use bartizan_client::{Client, ClientConfig, TlsRoots};
/// use bartizan_discovery::{Discover, Kubernetes, ServiceAccount};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsRoots::File(ServiceAccount::default().authorities());
/// let client = Client::new(&ClientConfig { tls, ..ClientConfig::default() })?;
/// let source = Kubernetes::builder("users", client)?.spawn()?;
/// let mut watch = source.watch();
/// while let Some(snapshot) = watch.changed().await {
///     println!("{} instances", snapshot.instances.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Kubernetes {
    looking: Looking,
}

impl Kubernetes {
    /// A builder of a source for the endpoints of `service`, of which `client` asks the API
    /// server.
    ///
    /// # Errors
    ///
    /// When the name is none that a Service could have.
    pub fn builder<S, B>(service: &str, client: S) -> Result<KubernetesBuilder, InvalidKubernetes>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if !is_label(service) {
            return Err(InvalidKubernetes::Service);
        }
        Ok(KubernetesBuilder {
            service: service.into(),
            namespace: None,
            // The name that it has within every cluster.
            server: Uri::from_static("https://kubernetes.default.svc"),
            account: ServiceAccount::default(),
            common: Common::new()?,
            // A list of a few hundred kilobytes from a busy server takes a second or two.
            api: Api::new(client, Duration::from_secs(15)),
            // As soon, and as late, as the clients of Kubernetes ask again.
            first_retry: Duration::from_millis(800),
            last_retry: Duration::from_secs(30),
            clock: Clock::default(),
        })
    }

    /// Looks now, beside the schedule, and waits until it has.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the look to be taken.
    pub async fn look(&self) {
        self.looking.looks.look().await;
    }
}

impl Discover for Kubernetes {
    fn watch(&self) -> Watch {
        self.looking.watch.clone()
    }
}

/// Builds a [`Kubernetes`].
#[derive(Clone)]
#[must_use]
pub struct KubernetesBuilder {
    service: Arc<str>,
    namespace: Option<Arc<str>>,
    server: Uri,
    account: ServiceAccount,
    common: Common,
    api: Api,
    first_retry: Duration,
    last_retry: Duration,
    clock: Clock,
}

impl KubernetesBuilder {
    /// The namespace of the Service. Default: that of the service account.
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The port of the endpoints. Default: the only TCP port there is.
    pub fn port(mut self, port: EndpointPort) -> Self {
        self.common.port = Some(port);
        self
    }

    /// Where the API server is, possibly with a path. Default: `https://kubernetes.default.svc`.
    pub fn api_server(mut self, server: Uri) -> Self {
        self.server = server;
        self
    }

    /// Who asks. Default: the service account of the pod.
    pub fn account(mut self, account: ServiceAccount) -> Self {
        self.account = account;
        self
    }

    /// An address with the scheme and the path of all instances, and the host that they are
    /// called by, which becomes their metadata [`HOST`](crate::HOST). Its port says nothing.
    /// Default: `http`, no path, no host.
    ///
    /// # Errors
    ///
    /// When `uri` is not that of an instance.
    pub fn template<U>(mut self, uri: U) -> Result<Self, InvalidKubernetes>
    where
        Uri: TryFrom<U>,
        <Uri as TryFrom<U>>::Error: Into<http::Error>,
    {
        self.common.template = Instance::new(uri)?;
        self.common.host = self.common.template.uri().host().map(Into::into);
        Ok(self)
    }

    /// How long the API server may take to answer. Default: 15 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.api.timeout = timeout;
        self
    }

    /// How long to wait before a server is asked again that failed: the first time, and at most.
    /// Default: 0.8 s and 30 s.
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        (self.first_retry, self.last_retry) = (first, most);
        self
    }

    /// The clock that measures delays. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts asking at once.
    ///
    /// # Errors
    ///
    /// When the namespace is none, the API server's address not complete, the timeout zero, or
    /// the delays are zero or the wrong way round.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(self) -> Result<Kubernetes, InvalidKubernetes> {
        if self.namespace.as_deref().is_some_and(|it| !is_label(it)) {
            return Err(InvalidKubernetes::Namespace);
        }
        let scheme = self.server.scheme_str();
        if !matches!(scheme, Some("http" | "https")) || self.server.query().is_some() {
            return Err(InvalidKubernetes::Server);
        }
        if self.api.timeout.is_zero() {
            return Err(InvalidKubernetes::ZeroTimeout);
        }
        let retry = api::retry(self.first_retry, self.last_retry);
        let retry = retry.ok_or(InvalidKubernetes::Retry)?;
        let looking = Looking::spawn(|publisher, looks| {
            let following = Following {
                api: self.api,
                server: self.server,
                namespace: self.namespace,
                service: self.service,
                account: self.account,
                common: self.common,
                retry,
                clock: self.clock,
                publisher,
                looks,
                known: Known::default(),
                limit: Limit::new(MAX_PER_SERVICE, "endpoints"),
            };
            following.run()
        });
        Ok(Kubernetes { looking })
    }
}

impl fmt::Debug for KubernetesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesBuilder")
            .field("service", &self.service)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A name as RFC 1123 has it, which is what becomes part of an address here.
fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A [`Kubernetes`] that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidKubernetes {
    /// The template is not the address of an instance.
    #[error(transparent)]
    Instance(#[from] InvalidInstance),
    /// No Service can be called so.
    #[error("the name of a Service is 1 to 63 small letters, digits and hyphens within")]
    Service,
    /// No namespace can be called so.
    #[error("the name of a namespace is 1 to 63 small letters, digits and hyphens within")]
    Namespace,
    /// The address of the API server is not one of `http` or `https`, or has a query.
    #[error("the address of the API server must be one of http or https without a query")]
    Server,
    /// The timeout is zero.
    #[error("the timeout must be positive")]
    ZeroTimeout,
    /// The delays are zero, or the first is the longer.
    #[error("the delays must be positive, the first no longer than the last")]
    Retry,
}
