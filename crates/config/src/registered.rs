mod later;
mod said;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::{
    Configuration, Errors, Mode, NativeRegistry, Problem, ServiceSettings, Warning,
    configuration::is_service_name,
    reader::{Reader, Scope, quoted},
    unknown,
};

pub(crate) use later::Later;

use said::Said;

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

    /// The same for whoever knows what registries list: variables whose names mean nothing are told
    /// of those services as well, which a configuration alone does not know.
    #[must_use]
    pub fn knowing_listed(mut self, names: &[&str]) -> Self {
        let of_files = self.listed_services().map(|it| it.name);
        let configured = self.services.iter().map(|it| it.name.as_str());
        let services: Vec<_> = configured
            .chain(of_files)
            .chain(names.iter().copied())
            .collect();
        let said = unknown::check_names(&self.later.source, &self.later.used, &services);
        let is_of_a_service = |name: &str| name.starts_with("MCP_SERVICE_");
        self.warnings
            .retain(|it| !it.unknown().is_some_and(is_of_a_service));
        self.warnings.extend(said);
        self
    }

    /// The service that is configured and has the variables that one of this name would have. No
    /// registry can list that as well.
    #[must_use]
    pub fn configured_as(&self, name: &str) -> Option<&str> {
        let other = self.later.configured.get(Scope::service(name).prefix());
        other.map(String::as_str)
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
        if !is_service_name(name) {
            let name = quoted(name);
            let problem = Problem::new(format!("{name} cannot be the name of a service"));
            return Err(problem
                .detail(service.registry.display().to_string())
                .into());
        }
        let scope = Scope::service(name);
        if let Some(other) = self.configured_as(name) {
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
            Some(settings) if problems.is_empty() => {
                // The others among them are defaults that the gateway's variables make.
                let is_set = |variable: &String| self.later.source.find(variable).is_some();
                let is_named = kind.is_some() || own.iter().any(is_set);
                Ok((
                    ServiceSettings {
                        is_named,
                        ..settings
                    },
                    warnings,
                ))
            }
            _ => Err(Errors::new(problems).beside(warnings)),
        }
    }
}
