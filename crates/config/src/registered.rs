use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::{
    Configuration, Errors, Mode, NativeRegistry, Origin, Problem, ServiceSettings, Source,
    Strategy, Variable, Warning,
    configuration::is_sound,
    rate::UNLIMITED_PER_MINUTE,
    reader::{Reader, Scope, quoted},
    table, unknown,
    value::Value,
};

/// The limits of what a registry may say, which the documented gateway has as well.
const INTERVAL_SECONDS: RangeInclusive<u64> = 5..=300;
const TIMEOUT_SECONDS: RangeInclusive<u64> = 5..=300;
const RETRIES: RangeInclusive<u64> = 1..=10;

/// A service that a registry lists, and what the registry says of it.
///
/// ```
/// use std::path::Path;
/// use bartizan_config::{Configuration, Registered, RegisteredKind, Source, Strategy};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("registry.json");
/// let source = Source::from_iter([
///     ("MCP_GATEWAY_REGISTRY_FILE", path.to_str().unwrap()),
///     ("MCP_SERVICE_FILESYSTEM_TIMEOUT", "5000"),
/// ]);
/// let configuration = Configuration::parse(&source)?;
/// let (filesystem, warnings) = configuration.registered(&Registered {
///     strategy: Some("least_connections"),
///     ..Registered::new("filesystem", RegisteredKind::Mcp, &path)
/// })?;
/// assert_eq!(*filesystem.strategy, Strategy::LeastConnections);
/// assert_eq!(filesystem.timeout.as_secs(), 5);
/// assert_eq!(*filesystem.retry.max_attempts, 3);
/// assert!(warnings.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered<'a> {
    /// Its name: a namespace or a template.
    pub name: &'a str,
    /// What its instances speak; of a service of `bartizan.yaml`, what that says.
    pub kind: RegisteredKind,
    /// The file of the registry.
    pub registry: &'a Path,
    /// The name of a strategy, such as `least_connections`.
    pub strategy: Option<&'a str>,
    /// From one probe to the next; brought to between 5 s and 300 s.
    pub health_check_interval: Option<Duration>,
    /// How many more instances a failed call is sent to; brought to between 1 and 10.
    pub max_retries: Option<u32>,
    /// How long a call may take in all; brought to between 5 s and 300 s.
    pub timeout: Option<Duration>,
    /// Whether its instances are probed, if no variable says how.
    pub probed: bool,
}

/// What the instances of a registered service speak, unless a variable says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisteredKind {
    /// Plain HTTP, with its operations under `/tools/`: what `registry.yaml` lists.
    Rest,
    /// The Model Context Protocol: what `registry.json` lists. How one instance is reached, the
    /// registry says of each.
    Mcp,
}

impl<'a> Registered<'a> {
    /// A service of `registry`, which says no more of it, and whose instances are probed.
    #[must_use]
    pub fn new(name: &'a str, kind: RegisteredKind, registry: &'a Path) -> Self {
        Self {
            name,
            kind,
            registry,
            strategy: None,
            health_check_interval: None,
            max_retries: None,
            timeout: None,
            probed: true,
        }
    }
}

/// What the names of a service's variables begin with, such as `MCP_SERVICE_USER_SERVICE_`.
///
/// Two services with the same have the same credentials: no two of a registry may.
#[must_use]
pub fn variable_prefix(service: &str) -> String {
    format!("MCP_SERVICE_{}_", Scope::service(service).prefix())
}

impl Configuration {
    /// The settings of a service that a registry lists, and what is odd about them.
    ///
    /// The variables of the service count first, then what the registry says, then defaults made
    /// for registries: no authentication, no rate limit to speak of, and those of
    /// [`InstanceSettings`](crate::InstanceSettings).
    ///
    /// # Errors
    ///
    /// When its name cannot be one, when a variable of it is wrong, or when one belongs to another
    /// service as well, whose credentials it would get; then with everything that is.
    pub fn registered(
        &self,
        service: &Registered<'_>,
    ) -> Result<(ServiceSettings, Vec<Warning>), Errors> {
        let listed = self.listed(service.registry);
        let (settings, warnings) = self.settings(service, &mut BTreeSet::new())?;
        // Of a service of the configuration's own file they are among its warnings.
        let warnings = if listed.is_some() {
            Vec::new()
        } else {
            warnings
        };
        Ok((settings, warnings))
    }

    /// The settings of a service that a native file lists with its instances.
    pub(crate) fn listed_service(&self, name: &str) -> Option<ServiceSettings> {
        self.listed_services()
            .find(|service| service.name == name)
            .and_then(|service| self.settings(&service, &mut BTreeSet::new()).ok())
            .map(|(settings, _)| settings)
    }

    /// The services that native files list with their instances.
    pub(crate) fn listed_services(&self) -> impl Iterator<Item = Registered<'_>> {
        let listed = self.registries.iter().filter_map(|registry| {
            let listed = registry.listed.as_ref()?;
            Some((listed, registry.path.value().as_path()))
        });
        listed.flat_map(|(listed, path)| {
            listed.services().map(move |service| {
                let balancing = service.balancing.as_ref();
                let kind = listed.kind(&service.name);
                Registered {
                    strategy: balancing.and_then(|it| it.strategy.as_deref()),
                    health_check_interval: balancing.and_then(|it| it.health_check_interval),
                    max_retries: balancing.and_then(|it| it.max_retries),
                    timeout: balancing.and_then(|it| it.timeout),
                    ..Registered::new(&service.name, kind.unwrap_or(RegisteredKind::Rest), path)
                }
            })
        })
    }

    /// What is wrong with the services that native files list, and what is odd about them. Whose
    /// their variables are is known from then on.
    pub(crate) fn check_listed(&mut self) -> (Vec<Problem>, Vec<Warning>) {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for service in self.listed_services() {
            let mut own = BTreeSet::new();
            match self.settings(&service, &mut own) {
                Ok((_, more)) => warnings.extend(more),
                Err(errors) => problems.extend_from_slice(errors.problems()),
            }
            for variable in own {
                if let Some(other) = owners.get(&variable) {
                    problems.push(unknown::shared(&variable, other, service.name));
                } else {
                    owners.insert(variable, service.name.to_owned());
                }
            }
        }
        self.later.listed = Arc::new(owners);
        (problems, warnings)
    }

    /// What the native file at this path lists.
    fn listed(&self, path: &Path) -> Option<&NativeRegistry> {
        let mut registries = self.registries.iter();
        registries
            .find(|registry| registry.path.value() == path)
            .and_then(|registry| registry.listed.as_ref())
    }

    /// The same; `own` gets the variables that are set and this service's.
    fn settings(
        &self,
        service: &Registered<'_>,
        own: &mut BTreeSet<String>,
    ) -> Result<(ServiceSettings, Vec<Warning>), Errors> {
        let listed = self.listed(service.registry);
        let kind = listed.and_then(|it| it.kind(service.name));
        let service = &Registered {
            kind: kind.unwrap_or(service.kind),
            ..*service
        };
        let name = service.name;
        if !is_sound(name) {
            let name = quoted(name);
            let problem = Problem::new(format!("{name} cannot be the name of a service"));
            return Err(problem
                .detail(service.registry.display().to_string())
                .into());
        }
        let scope = Scope::service(name);
        if let Some(other) = self.later.configured.get(scope.prefix()) {
            let problem = Problem::new(scope.message(&format!(
                "has the variables of service {other}, which is configured: a registry cannot list \
                 it as well"
            )));
            return Err(problem
                .detail(service.registry.display().to_string())
                .into());
        }
        let mut said = Said::new(self, service);
        said.what_the_registry_says();
        said.defaults();
        let Said {
            source, warnings, ..
        } = said;
        let mut reader = Reader::new(&source, self.mode == Mode::Development);
        for warning in warnings {
            reader.warn(scope.message(&warning));
        }
        let (gateway, retry, registry) = (&self.gateway, &self.retry, Some(service.registry));
        let settings = ServiceSettings::read(&mut reader, name, gateway, retry, registry);
        *own = unknown::check_registered(&mut reader, name, &self.later);
        if kind.is_none() {
            unknown::check_members(&mut reader, name);
        }
        let (problems, warnings) = reader.finish();
        match settings {
            Some(settings) if problems.is_empty() => Ok((settings, warnings)),
            _ => Err(Errors::new(problems)),
        }
    }
}

/// What a service that is described later is read from, besides the gateway's settings.
#[derive(Clone)]
pub(crate) struct Later {
    /// The variables of services.
    source: Arc<Source>,
    /// The variables that are those of services which are known already.
    used: Arc<BTreeSet<String>>,
    /// The names of those services, by what their variables have for a name.
    configured: Arc<HashMap<String, String>>,
    /// The variables of the services that native files list, and whose each is.
    listed: Arc<BTreeMap<String, String>>,
}

impl Later {
    pub(crate) fn new(
        source: &Source,
        used: BTreeSet<String>,
        services: &[ServiceSettings],
    ) -> Self {
        let names = services.iter().map(|service| service.name.clone());
        let configured = names.map(|name| (Scope::service(&name).prefix().to_owned(), name));
        Self {
            configured: Arc::new(configured.collect()),
            source: Arc::new(source.part("MCP_SERVICE_")),
            used: Arc::new(used),
            listed: Arc::default(),
        }
    }

    /// Whether the variable of this name is one of a service that is configured.
    pub(crate) fn is_of_a_configured(&self, name: &str) -> bool {
        let of_this = |prefix: &str| {
            let service = self.configured.get(prefix);
            service.is_some_and(|it| unknown::is_variable_of(&Scope::service(it), name))
        };
        let rest = name.strip_prefix("MCP_SERVICE_").unwrap_or_default();
        let mut ends = rest.match_indices('_');
        self.used.contains(name) || ends.any(|(end, _)| of_this(&rest[..end]))
    }

    /// The service of a native file that this variable is of.
    pub(crate) fn listed_owner(&self, name: &str) -> Option<&str> {
        self.listed.get(name).map(String::as_str)
    }
}

impl PartialEq for Later {
    /// Whether both say the same of services that are not known yet.
    fn eq(&self, other: &Self) -> bool {
        let unused = |it: &Self| it.source.without(&it.used);
        unused(self).says_the_same(&unused(other))
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

/// The variables of one service, with what the registry and the defaults say below them.
struct Said<'a> {
    configuration: &'a Configuration,
    service: &'a Registered<'a>,
    prefix: String,
    source: Source,
    warnings: Vec<String>,
}

impl<'a> Said<'a> {
    fn new(configuration: &'a Configuration, service: &'a Registered<'a>) -> Self {
        let prefix = variable_prefix(service.name);
        Self {
            configuration,
            service,
            source: configuration.later.source.part(&prefix),
            prefix,
            warnings: Vec::new(),
        }
    }

    fn say(&mut self, suffix: &str, text: impl Into<String>, origin: Origin) {
        let name = format!("{}{suffix}", self.prefix);
        self.source.insert_below(name, text, origin);
    }

    fn what_the_registry_says(&mut self) {
        let registry = Origin::Registry(self.service.registry.to_owned());
        let service = *self.service;
        if service.kind == RegisteredKind::Mcp {
            self.say("TRANSPORT", "streamable-http", registry.clone());
        }
        if let Some(strategy) = service.strategy {
            let variable: &Variable = &table::STRATEGY;
            if Strategy::parse(variable, strategy).is_ok() {
                self.say("STRATEGY", strategy, registry.clone());
            } else {
                let default = *self.configuration.gateway.instances.strategy;
                let strategy = quoted(strategy);
                self.warnings.push(format!(
                    "the registry names the strategy {strategy}, which is none; using {default}"
                ));
            }
        }
        if let Some(interval) = service.health_check_interval.filter(|_| service.probed) {
            let what = "health_check_interval";
            let seconds = self.clamped(what, interval.as_secs(), &INTERVAL_SECONDS);
            self.say("HEALTH_INTERVAL", millis(seconds), registry.clone());
        }
        if let Some(retries) = service.max_retries {
            let retries = self.clamped("max_retries", retries.into(), &RETRIES);
            self.say("RETRY_MAX_ATTEMPTS", retries.to_string(), registry.clone());
        }
        if let Some(timeout) = service.timeout {
            let seconds = self.clamped("timeout", timeout.as_secs(), &TIMEOUT_SECONDS);
            self.say("TIMEOUT", millis(seconds), registry);
        }
    }

    fn clamped(&mut self, what: &str, number: u64, range: &RangeInclusive<u64>) -> u64 {
        let (least, most) = (*range.start(), *range.end());
        let clamped = number.clamp(least, most);
        if clamped != number {
            self.warnings.push(format!(
                "{what} of the registry is {number}, not from {least} to {most}; using {clamped}"
            ));
        }
        clamped
    }

    fn defaults(&mut self) {
        const NO_LIMIT: Origin = Origin::Default("a registry has none");
        const DOCUMENTED: Origin = Origin::Default("the documented default of its registry");
        const AT_ONCE: Origin =
            Origin::Default("the documented gateway tries the next instance at once");

        let configuration = self.configuration;
        let instances = &configuration.gateway.instances;
        let is_rest = self.service.kind == RegisteredKind::Rest;
        let or_five_seconds = |setting: &crate::Setting<Duration>| match setting.origin() {
            Origin::Default(_) if is_rest => ("5000".to_owned(), DOCUMENTED),
            origin => (setting.as_millis().to_string(), origin.clone()),
        };
        self.say(
            "AUTH_TYPE",
            "none",
            Origin::Default("a registry has no credentials"),
        );
        // A native file means what variables mean, which have the other default.
        if is_rest && configuration.listed(self.service.registry).is_none() {
            self.say("PATH_PREFIX", "/tools/", DOCUMENTED);
        }
        let unlimited = UNLIMITED_PER_MINUTE.to_string();
        self.say("RATE_LIMIT_RPM", &unlimited, NO_LIMIT);
        // What comes in a second; below the limiter's resolution, nobody waits for a token.
        let burst = (UNLIMITED_PER_MINUTE.get() / 60).to_string();
        self.say("RATE_LIMIT_BURST", burst, NO_LIMIT);
        let strategy = &instances.strategy;
        self.say("STRATEGY", strategy.as_str(), strategy.origin().clone());
        let retries = &instances.max_retries;
        self.say(
            "RETRY_MAX_ATTEMPTS",
            retries.to_string(),
            retries.origin().clone(),
        );
        let retry = &configuration.retry;
        if matches!(retry.initial_delay.origin(), Origin::Default(_)) {
            let delay = retry.max_delay.as_millis().min(25).to_string();
            self.say("RETRY_INITIAL_DELAY", delay, AT_ONCE);
        }
        if matches!(retry.jitter.origin(), Origin::Default(_)) {
            self.say("RETRY_JITTER", "true", AT_ONCE);
        }
        let (timeout, origin) = or_five_seconds(&instances.request_timeout);
        self.say("TIMEOUT", timeout, origin);
        if self.service.probed {
            let interval = if is_rest {
                &instances.rest_health_interval
            } else {
                &instances.health_interval
            };
            let text = interval.as_millis().to_string();
            self.say("HEALTH_INTERVAL", text, interval.origin().clone());
            let (timeout, origin) = or_five_seconds(&instances.health_timeout);
            self.say("HEALTH_TIMEOUT", timeout, origin);
        }
    }
}

fn millis(seconds: u64) -> String {
    (seconds * 1000).to_string()
}
