use std::{fmt, net::IpAddr, num::NonZeroU16, path::PathBuf, time::Duration};

use url::Url;

use crate::{
    Discovery, Endpoint, InstanceSource, Origin, Problem, Setting, Variable, number,
    reader::{Reader, Scope},
    table,
    value::{Fault, Value},
};

/// How the instances of a service are found in a cluster of Kubernetes.
///
/// The endpoint of such a service, if it has one, says no more than the scheme and the path of
/// its instances, and the host that requests name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// The name of the Service: 1 to 63 small letters, digits and hyphens.
    pub service: Setting<String>,
    /// Its namespace; that of the gateway's own service account without.
    pub namespace: Option<Setting<String>>,
    /// The port of its endpoints; the only TCP port there is without.
    pub port: Option<Setting<KubernetesPort>>,
    /// Where the API server is.
    pub api_server: Setting<Url>,
}

/// A port of the endpoints of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubernetesPort {
    /// The one that the Service calls so.
    Name(String),
    /// The one with this number at the pods.
    Number(NonZeroU16),
}

/// How the instances of a service are found among the containers of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerSettings {
    /// What the label `bartizan.service` of its containers says.
    pub service: Setting<String>,
    /// The network in which they are reached; the first by name without.
    pub network: Option<Setting<String>>,
    /// The socket of the engine.
    pub socket: Setting<PathBuf>,
    /// From one list of containers to the next, while the engine tells of no change.
    pub interval: Setting<Duration>,
}

/// Where the instances of a service are found, and its endpoints; `None` if something is wrong
/// that has no default.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    scope: &Scope,
    name: &str,
) -> Option<(InstanceSource, Setting<Vec<Endpoint>>)> {
    let discovery: Setting<Discovery> = reader.setting(scope, &table::DISCOVERY);
    match *discovery {
        Discovery::Static => Some((InstanceSource::Listed, endpoints(reader, scope)?)),
        Discovery::Dns => {
            let interval = reader.setting(scope, &table::DISCOVERY_INTERVAL);
            let endpoints = endpoints(reader, scope)?;
            is_named(reader, scope, &endpoints);
            Some((InstanceSource::Dns { interval }, endpoints))
        }
        Discovery::Srv => {
            let interval = reader.setting(scope, &table::DISCOVERY_INTERVAL);
            let endpoints = endpoints(reader, scope)?;
            // `url` takes the usual port of a scheme for none.
            let port = |uri: http::Uri| uri.port().is_some();
            if is_named(reader, scope, &endpoints) && endpoints[0].as_str().parse().is_ok_and(port)
            {
                let words = "an endpoint whose SRV records are asked for has no port of its own";
                reader.wrong_value(scope, &table::ENDPOINT, words);
            }
            Some((InstanceSource::Srv { interval }, endpoints))
        }
        Discovery::Kubernetes => {
            let endpoints = if reader.is_set(scope, &table::ENDPOINT) {
                let endpoints = endpoints(reader, scope);
                if let Some(endpoints) = &endpoints {
                    is_only(reader, scope, endpoints);
                }
                endpoints
            } else {
                Some(none(&discovery))
            };
            // Read whatever the endpoint is, so that all that is wrong is said at once.
            let settings = KubernetesSettings::read(reader, scope, name);
            Some((InstanceSource::Kubernetes(Box::new(settings?)), endpoints?))
        }
        Discovery::Docker => {
            let settings = DockerSettings::read(reader, scope, name);
            Some((InstanceSource::Docker(Box::new(settings)), none(&discovery)))
        }
    }
}

fn endpoints(reader: &mut Reader<'_>, scope: &Scope) -> Option<Setting<Vec<Endpoint>>> {
    reader.required(scope, &table::ENDPOINT, "endpoint is required")
}

fn none(discovery: &Setting<Discovery>) -> Setting<Vec<Endpoint>> {
    Setting::new(Vec::new(), discovery.origin().clone())
}

/// Whether there is one endpoint, which stands for all instances; if not, that is a problem.
fn is_only(reader: &mut Reader<'_>, scope: &Scope, endpoints: &[Endpoint]) -> bool {
    let is_only = endpoints.len() == 1 && endpoints[0].weight().get() == 1;
    if !is_only {
        let words = "an endpoint whose instances are discovered must be the only one and have no \
                     weight";
        reader.wrong_value(scope, &table::ENDPOINT, words);
    }
    is_only
}

/// Whether there is one endpoint, and its host is a name that can be looked up; if not, that is
/// a problem.
fn is_named(reader: &mut Reader<'_>, scope: &Scope, endpoints: &[Endpoint]) -> bool {
    let is_address = |endpoint: &Endpoint| match endpoint.url().host() {
        Some(url::Host::Domain(name)) => name.parse::<IpAddr>().is_ok(),
        _ => true,
    };
    if !is_only(reader, scope, endpoints) {
        return false;
    }
    let is_named = !is_address(&endpoints[0]);
    if !is_named {
        let words = "an endpoint whose instances are discovered must have a name for its host";
        reader.wrong_value(scope, &table::ENDPOINT, words);
    }
    is_named
}

impl KubernetesSettings {
    fn read(reader: &mut Reader<'_>, scope: &Scope, name: &str) -> Option<Self> {
        let variable = &table::KUBERNETES_SERVICE;
        let service: Option<Setting<Label>> = match Label::parse(variable, name) {
            Ok(label) => {
                let own = Setting::new(label, Origin::Default("the name of the service"));
                Some(reader.inherit(scope, variable, &own))
            }
            Err(_) => reader.required(
                scope,
                variable,
                "the name of its Kubernetes Service is required",
            ),
        };
        let namespace: Option<Setting<Label>> =
            reader.optional(scope, &table::KUBERNETES_NAMESPACE);
        let port = reader.optional(scope, &table::KUBERNETES_PORT);
        let api_server = api_server(reader);
        Some(Self {
            service: service?.map(|Label(text)| text),
            namespace: namespace.map(|it| it.map(|Label(text)| text)),
            port,
            api_server,
        })
    }
}

/// Where the API server is: as configured, else where every pod is told that it is, else the name
/// that it has within every cluster.
fn api_server(reader: &mut Reader<'_>) -> Setting<Url> {
    let scope = Scope::gateway();
    let pod = |name: &str| {
        let entry = reader.source().find(name)?;
        Some((entry.text.expose().trim(), entry.origin.clone()))
    };
    let of_pod = pod("KUBERNETES_SERVICE_HOST").zip(pod("KUBERNETES_SERVICE_PORT"));
    let of_pod = of_pod.and_then(|((host, origin), (port, _))| {
        let host = match host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => host.to_owned(),
        };
        let url = Url::parse(&format!("https://{host}:{port}")).ok()?;
        Some(Setting::new(url, origin))
    });
    match of_pod {
        Some(url) => reader.inherit(&scope, &table::KUBERNETES_API, &url),
        None => reader.setting(&scope, &table::KUBERNETES_API),
    }
}

impl DockerSettings {
    fn read(reader: &mut Reader<'_>, scope: &Scope, name: &str) -> Self {
        let own = Setting::new(name.to_owned(), Origin::Default("the name of the service"));
        Self {
            service: reader.inherit(scope, &table::DOCKER_SERVICE, &own),
            network: reader.optional(scope, &table::DOCKER_NETWORK),
            socket: socket(reader, scope),
            interval: reader.setting(scope, &table::DISCOVERY_INTERVAL),
        }
    }
}

fn socket(reader: &mut Reader<'_>, scope: &Scope) -> Setting<PathBuf> {
    let socket: Setting<PathBuf> = reader.setting(scope, &table::DOCKER_SOCKET);
    if !socket.is_absolute() || socket.to_string_lossy().contains(char::is_control) {
        let words = "the socket of the engine must be an absolute path";
        reader.problem(Problem::new(scope.message(words)).detail(socket.origin().to_string()));
    }
    socket
}

/// What Kubernetes calls a Service or a namespace (RFC 1123).
#[derive(Clone)]
struct Label(String);

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl Value for Label {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let fault = || Fault::must("be 1 to 63 small letters, digits and hyphens within");
        is_label(text)
            .then(|| Self(text.to_owned()))
            .ok_or_else(fault)
    }
}

impl Value for KubernetesPort {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        if let Ok(number) = number::whole(text) {
            let number = u16::try_from(number).ok().and_then(NonZeroU16::new);
            let fault = || Fault::must("be a port from 1 to 65535");
            return number.map(Self::Number).ok_or_else(fault);
        }
        let fault = || Fault::must("be the name of a port, or its number");
        is_label(text)
            .then(|| Self::Name(text.to_owned()))
            .ok_or_else(fault)
    }
}

impl fmt::Display for KubernetesPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => number.fmt(f),
        }
    }
}
