//! Instances that nobody lists: what finds them, and how a service keeps up with it.

use std::{
    collections::HashSet,
    fmt, io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bartizan_balance::{Balancer, Follow};
#[cfg(feature = "kubernetes")]
use bartizan_client::ClientConfig;
use bartizan_client::{Client, InvalidClient};
use bartizan_clock::Clock;
use bartizan_config::{InstanceSource, ServiceSettings};
use bartizan_discovery::{
    Discover, Dns, Instance, InvalidDns, Resolve, ResolveSrv, Snapshot, Srv, SystemResolver, Watch,
};
use bartizan_health::Checker;
use http::Uri;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

use super::endpoint::Endpoint;

/// How many instances a line of the log names.
const NAMED: usize = 5;

/// What finds the instances of a service, from now on.
#[derive(Debug)]
pub(super) struct Found {
    source: Arc<dyn Source>,
    kind: &'static str,
    called: Called,
}

/// How the instances of a source are called.
#[derive(Debug)]
enum Called {
    /// By the hosts of their addresses.
    Own,
    /// So too, and these are fully qualified.
    FullyQualified,
    /// All by this address.
    Common(Uri),
}

impl Called {
    /// Those of instances that go by `address`, if there is one.
    fn of(address: &str) -> Self {
        address.parse().map_or(Self::Own, Self::Common)
    }
}

trait Source: Discover + fmt::Debug + Send + Sync {
    /// Looks now, and waits until it has. Boxed, as a service does not name its source.
    fn look(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

macro_rules! source {
    ($source:ty) => {
        impl Source for $source {
            fn look(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
                Box::pin(<$source>::look(self))
            }
        }
    };
}

source!(Dns);
source!(Srv);
#[cfg(feature = "docker")]
source!(bartizan_discovery::Docker);
#[cfg(feature = "kubernetes")]
source!(bartizan_discovery::Kubernetes);

/// Begins to find the instances of a service; `None` if they are listed.
///
/// # Panics
///
/// Outside a tokio runtime.
#[cfg_attr(not(feature = "kubernetes"), expect(unused_variables))]
pub(super) fn find(
    settings: &ServiceSettings,
    client: &Client,
    clock: Clock,
) -> Result<Option<Found>, InvalidSource> {
    let endpoint = settings.endpoints.first().map_or("", |it| it.as_str());
    let found = match &settings.instances {
        InstanceSource::Listed | InstanceSource::Registered => return Ok(None),
        InstanceSource::Dns { interval } => dns(endpoint, **interval, SystemResolver, clock)?,
        #[cfg(feature = "srv")]
        InstanceSource::Srv { interval } => {
            let servers = bartizan_discovery::NameServers::system();
            let servers = servers.map_err(InvalidSource::NameServers)?;
            srv(endpoint, **interval, servers, clock)?
        }
        #[cfg(feature = "kubernetes")]
        InstanceSource::Kubernetes(settings) => kubernetes(settings, endpoint, client, clock)?,
        #[cfg(feature = "docker")]
        InstanceSource::Docker(settings) => docker(settings, clock)?,
        #[allow(unreachable_patterns, reason = "what is left depends on features")]
        other => return Err(InvalidSource::NotBuilt(kind(other))),
    };
    Ok(Some(found))
}

fn kind(source: &InstanceSource) -> &'static str {
    match source {
        InstanceSource::Listed => "static",
        InstanceSource::Registered => "registry",
        InstanceSource::Dns { .. } => "dns",
        InstanceSource::Srv { .. } => "srv",
        InstanceSource::Kubernetes(_) => "kubernetes",
        InstanceSource::Docker(_) => "docker",
    }
}

/// Whether the instances of a service are found, not listed.
pub(super) fn is_found(settings: &ServiceSettings) -> bool {
    !matches!(
        settings.instances,
        InstanceSource::Listed | InstanceSource::Registered
    )
}

/// Where the instances of a service come from, for people; `None` if that is its endpoints.
pub(super) fn text(settings: &ServiceSettings) -> Option<String> {
    match &settings.instances {
        InstanceSource::Kubernetes(kubernetes) => {
            let service = kubernetes.service.value();
            Some(match &kubernetes.namespace {
                Some(namespace) => format!("kubernetes://{}/{service}", namespace.value()),
                None => format!("kubernetes://{service}"),
            })
        }
        InstanceSource::Docker(docker) => Some(format!("docker://{}", docker.service.value())),
        _ => None,
    }
}

fn dns(
    endpoint: &str,
    interval: Duration,
    resolver: impl Resolve,
    clock: Clock,
) -> Result<Found, InvalidSource> {
    let builder = Dns::builder(endpoint)?.interval(interval).clock(clock);
    let source = builder.resolver(resolver).spawn()?;
    Ok(Found {
        source: Arc::new(source),
        kind: "dns",
        called: Called::of(endpoint),
    })
}

/// Each record has a host of its own, which the instances go by.
#[cfg_attr(not(any(feature = "srv", test)), expect(dead_code))]
fn srv(
    endpoint: &str,
    interval: Duration,
    resolver: impl ResolveSrv,
    clock: Clock,
) -> Result<Found, InvalidSource> {
    let builder = Srv::builder(endpoint, resolver)?.interval(interval);
    Ok(Found {
        source: Arc::new(builder.clock(clock).spawn()?),
        kind: "srv",
        called: Called::FullyQualified,
    })
}

#[cfg(feature = "kubernetes")]
fn kubernetes(
    settings: &bartizan_config::KubernetesSettings,
    endpoint: &str,
    client: &Client,
    clock: Clock,
) -> Result<Found, InvalidSource> {
    use bartizan_client::TlsRoots;
    use bartizan_config::KubernetesPort;
    use bartizan_discovery::{EndpointPort, Kubernetes, ServiceAccount};

    let authorities = ServiceAccount::default().authorities();
    let server = settings.api_server.as_str();
    let client = if server.starts_with("https:") && authorities.exists() {
        Client::new(&ClientConfig {
            tls: TlsRoots::File(authorities),
            ..ClientConfig::default()
        })?
    } else {
        client.clone()
    };
    let server = server.parse().map_err(|_| InvalidSource::Server)?;
    let builder = Kubernetes::builder(settings.service.value(), client)?;
    let mut builder = builder.api_server(server).clock(clock);
    if let Some(namespace) = &settings.namespace {
        builder = builder.namespace(namespace.value().as_str());
    }
    if let Some(port) = &settings.port {
        builder = builder.port(match port.value() {
            KubernetesPort::Name(name) => EndpointPort::Name(name.as_str().into()),
            KubernetesPort::Number(number) => EndpointPort::Number(*number),
        });
    }
    if !endpoint.is_empty() {
        builder = builder.template(endpoint)?;
    }
    Ok(Found {
        source: Arc::new(builder.spawn()?),
        kind: "kubernetes",
        called: Called::of(endpoint),
    })
}

#[cfg(feature = "docker")]
fn docker(
    settings: &bartizan_config::DockerSettings,
    clock: Clock,
) -> Result<Found, InvalidSource> {
    use bartizan_discovery::{Docker, EngineSocket};

    let socket = EngineSocket::new(settings.socket.value().as_path());
    let builder = Docker::builder(settings.service.value(), socket)?;
    let mut builder = builder.interval(*settings.interval).clock(clock);
    if let Some(network) = &settings.network {
        builder = builder.network(network.value().as_str());
    }
    Ok(Found {
        source: Arc::new(builder.spawn()?),
        kind: "docker",
        called: Called::Own,
    })
}

/// A source that cannot be.
#[derive(Debug, Error)]
pub(super) enum InvalidSource {
    #[error(transparent)]
    Dns(#[from] InvalidDns),
    #[cfg_attr(not(feature = "srv"), expect(dead_code))]
    #[error("the name servers of the system are not known: {0}")]
    NameServers(#[source] io::Error),
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Kubernetes(#[from] bartizan_discovery::InvalidKubernetes),
    #[cfg(feature = "docker")]
    #[error(transparent)]
    Docker(#[from] bartizan_discovery::InvalidDocker),
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code))]
    #[error("the address of the API server cannot be used")]
    Server,
    #[error("TLS of the API server: {0}")]
    Client(#[from] InvalidClient),
    #[error("this build cannot find instances by {0}")]
    NotBuilt(&'static str),
}

impl Found {
    /// What reaches the instances: `client`, by the names that they go by.
    pub(super) fn client(&self, client: &Client) -> Client {
        match &self.called {
            Called::Own => client.clone(),
            Called::FullyQualified => client.fully_qualified(),
            Called::Common(address) => client.named(address),
        }
    }

    /// Keeps the set of `balancer`, and of what probes it, as the source has it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn follow(
        self,
        service: &Arc<str>,
        balancer: &Balancer<Endpoint>,
        checker: Option<Arc<Checker>>,
    ) -> Following {
        let heard = Arc::new(Heard {
            service: Arc::clone(service),
            kind: self.kind,
            last: Mutex::new(None),
            has_answered: AtomicBool::new(false),
            answer: Notify::new(),
        });
        let hear = Arc::clone(&heard);
        let watch = self.source.watch();
        let follow = balancer.follow_with(watch.clone(), move |balancer, snapshot| {
            if let Some(checker) = &checker {
                checker.update(balancer.targets());
            }
            hear.note(snapshot);
        });
        Following {
            watch,
            heard,
            under_way: Mutex::new(Some((self.source, follow))),
        }
    }
}

/// Follows a source until it is dropped, and keeps it going.
#[derive(Debug)]
pub(super) struct Following {
    watch: Watch,
    heard: Arc<Heard>,
    /// Locked by who looks or stops.
    under_way: Mutex<Option<(Arc<dyn Source>, Follow)>>,
}

impl Following {
    /// Asks the source no more. What it said last counts.
    pub(super) fn stop(&self) {
        let under_way = self.under_way.lock().take();
        drop(under_way);
    }

    /// Looks now, and waits until the source has said what it found.
    ///
    /// # Errors
    ///
    /// Why there is nothing new to be had of it.
    pub(super) async fn look(&self) -> Result<(), Arc<str>> {
        let source = {
            let under_way = self.under_way.lock();
            under_way.as_ref().map(|(source, _)| Arc::clone(source))
        };
        if let Some(source) = source {
            source.look().await;
        }
        match self.watch.current().error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether the source fails, so that the instances are the last that were good.
    pub(super) fn is_stale(&self) -> bool {
        self.watch.current().stale
    }

    /// Whether the source has ever said anything, were it that it fails.
    pub(super) fn has_answered(&self) -> bool {
        self.heard.has_answered.load(Ordering::Acquire)
    }

    /// Waits until it has.
    pub(super) async fn answer(&self) {
        let mut answer = pin!(self.heard.answer.notified());
        // From here on it is not missed.
        answer.as_mut().enable();
        if !self.has_answered() {
            answer.await;
        }
    }
}

/// What a source has said so far.
#[derive(Debug)]
struct Heard {
    service: Arc<str>,
    kind: &'static str,
    /// Locked by who notes what the source says, one at a time anyway.
    last: Mutex<Option<Snapshot>>,
    has_answered: AtomicBool,
    answer: Notify,
}

impl Heard {
    /// The balancer has what a snapshot says; logs what is new of it.
    fn note(&self, snapshot: &Snapshot) {
        if snapshot.instances.is_empty() && snapshot.error.is_none() {
            // It has not looked yet.
            return;
        }
        let before = self.last.lock().replace(snapshot.clone());
        self.log(before.as_ref(), snapshot);
        self.has_answered.store(true, Ordering::Release);
        self.answer.notify_waiters();
    }

    fn log(&self, before: Option<&Snapshot>, now: &Snapshot) {
        let (service, source) = (&*self.service, self.kind);
        let instances = now.instances.len();
        let known = before.map_or(&[][..], |before| &before.instances);
        if *known != *now.instances {
            let (came, left) = (
                difference(&now.instances, known),
                difference(known, &now.instances),
            );
            tracing::info!(service, source, instances, %came, %left, "instances changed");
        }
        let was_stale = before.is_some_and(|before| before.stale);
        if now.stale && !was_stale {
            let error = now.error.as_deref().unwrap_or_default();
            tracing::warn!(service, source, instances, error, "instances are stale");
        } else if was_stale && !now.stale {
            tracing::info!(service, source, instances, "instances are fresh again");
        }
    }
}

/// The names of some of the instances that are only in the first set, and how many more.
fn difference(these: &[Instance], those: &[Instance]) -> String {
    let known: HashSet<_> = those.iter().map(Instance::id).collect();
    let only: Vec<_> = these.iter().filter(|it| !known.contains(it.id())).collect();
    let named: Vec<_> = only.iter().take(NAMED).map(|it| &**it.id()).collect();
    match only.len() - named.len() {
        0 => named.join(" "),
        more => format!("{} and {more} more", named.join(" ")),
    }
}

#[cfg(test)]
mod tests;
