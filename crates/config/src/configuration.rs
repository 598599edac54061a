use std::collections::HashMap;

use crate::{
    Errors, GatewaySettings, Problem, RegistrySettings, RetrySettings, ServiceSettings, Setting,
    Source, Warning, development,
    reader::{Reader, Scope, quoted},
    registered::Later,
    source::Leniency,
    table, unknown,
    value::items,
};

/// Everything that was configured, parsed and found to be sound.
///
/// Every value carries where it came from; what cannot be is not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Whether this is for development.
    pub mode: Mode,
    /// What holds for the gateway as a whole.
    pub gateway: GatewaySettings,
    /// How failed calls are repeated, for services that do not say otherwise.
    pub retry: RetrySettings,
    /// The services, in the order in which they were named.
    pub services: Vec<ServiceSettings>,
    /// The registries that list more services, for [`Configuration::registered`].
    pub registries: Vec<RegistrySettings>,
    /// What its author may want to know.
    pub warnings: Vec<Warning>,
    pub(crate) later: Later,
}

/// Whether a configuration is for development.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `NODE_ENV=development`: placeholder secrets are allowed.
    Development,
    /// Anything else, and what it calls itself.
    Production(String),
}

impl Configuration {
    /// The configuration of this process: its environment, then the files `.env` and
    /// `bartizan.yaml` in the working directory if they are there.
    ///
    /// # Errors
    ///
    /// When anything is wrong with it; then with everything that is.
    pub fn from_environment() -> Result<Self, Errors> {
        let source = Source::environment().with_file_if_present(".env");
        Self::parse(&source.with_config_file_if_present("bartizan.yaml"))
    }

    /// The configuration that `source` describes.
    ///
    /// Reads the files that it names for secrets, and nothing else.
    ///
    /// # Errors
    ///
    /// When anything is wrong with it; then with everything that is. Where a file cannot be read or
    /// not all of it is understood, what else is certain: that something is missing is not.
    pub fn parse(source: &Source) -> Result<Self, Errors> {
        let mode = mode(source);
        if mode == Mode::Development && source.leniency() == Leniency::Defaults {
            let (source, replaced) = development::replace(source.clone());
            Self::read(&source, mode, &replaced)
        } else {
            Self::read(source, mode, &[])
        }
    }

    /// The configuration of `NODE_ENV=development`: three services on this machine's ports 8081
    /// to 8083, with secrets that are none.
    #[must_use]
    pub fn development() -> Self {
        let source = Source::from_iter([("NODE_ENV", "development")]);
        Self::parse(&source).expect("the development configuration depends on nothing outside")
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSettings> {
        self.services.iter().find(|service| service.name == name)
    }

    fn read(source: &Source, mode: Mode, replaced: &[String]) -> Result<Self, Errors> {
        let mut reader = Reader::new(source, mode == Mode::Development);
        // Asked for once more, so that it counts as used.
        let _ = reader.text(&Scope::gateway(), &table::NODE_ENV);
        if !replaced.is_empty() {
            reader.warn(format!(
                "NODE_ENV=development replaces {}",
                replaced.join(", ")
            ));
        }
        let gateway = GatewaySettings::read(&mut reader);
        let retry = RetrySettings::read(&mut reader);
        let registries = RegistrySettings::read(&mut reader);
        let names = names(&mut reader, !registries.is_empty());
        let read = |reader: &mut Reader<'_>, name: &String| {
            ServiceSettings::read(reader, name, &gateway, &retry, None)
        };
        let services: Vec<_> = names
            .iter()
            .filter_map(|name| read(&mut reader, name))
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        unknown::check(&mut reader, &names, !registries.is_empty());
        let later = Later::new(source, reader.take_used(), &services);
        let (mut problems, warnings) = reader.finish();
        let mut configuration = Self {
            mode,
            gateway,
            retry,
            services,
            registries,
            warnings,
            later,
        };
        let (of_listed, warnings) = configuration.check_listed();
        // Whatever holds for all services was found already, and with them again.
        let is_new = |problem: &Problem| {
            !problems.contains(problem) && (problem.is_certain() || !source.is_incomplete())
        };
        let of_listed: Vec<_> = of_listed.into_iter().filter(is_new).collect();
        problems.extend(of_listed);
        if !source.is_incomplete() {
            configuration.warnings.extend(warnings);
        }
        if problems.is_empty() {
            Ok(configuration)
        } else {
            Err(Errors::new(problems).beside(configuration.warnings))
        }
    }
}

pub(crate) fn mode(source: &Source) -> Mode {
    match source.find(table::NODE_ENV.name) {
        Some(entry) => match entry.text.expose().trim() {
            "development" => Mode::Development,
            other => Mode::Production(other.to_owned()),
        },
        None => Mode::Production("production".to_owned()),
    }
}

/// The services' names, each sound, once, and with variables of its own.
///
/// With a registry there need be none.
fn names(reader: &mut Reader<'_>, has_registry: bool) -> Vec<String> {
    let listed: Vec<String> = match reader.source().names() {
        Some(names) => names.to_vec(),
        None => {
            let text = reader.text(&Scope::gateway(), &table::SERVICES);
            let text = text.map_or("", Setting::into_value);
            items(text, &[',']).map(str::to_owned).collect()
        }
    };
    let servers = reader.source().servers();
    if listed.is_empty() && servers.is_empty() && !has_registry {
        let problem = Problem::new(table::SERVICES.rule);
        reader.problem(if reader.is_explicit() {
            problem
        } else {
            problem.detail("MCP_SERVICES names none")
        });
    }
    let mut prefixes: HashMap<String, String> = HashMap::new();
    let mut names = Vec::new();
    // One that is listed as well is one service, which both describe.
    let servers = servers.iter().filter(|(name, _)| !listed.contains(name));
    let of_files = servers.map(|(name, origin)| (name.clone(), Some(origin)));
    let of_variables = listed.iter().map(|name| (name.clone(), None));
    for (name, origin) in of_variables.chain(of_files) {
        let place = |problem: Problem| match origin {
            Some(origin) => problem.detail(origin.to_string()),
            None => problem,
        };
        if !is_service_name(&name) {
            let name = quoted(&name);
            let problem = place(Problem::new(format!(
                "{name} cannot be the name of a service: it must hold 1 to 128 characters, no \
                 comma, slash or control character, and no blank at either end"
            )));
            reader.problem(problem.certain());
            continue;
        }
        let prefix = Scope::service(&name).prefix().to_owned();
        match prefixes.get(&prefix) {
            Some(other) if *other == name => {
                reader.warn(format!("Service {name}: is named more than once"));
            }
            Some(other) => reader.problem(place(Problem::new(format!(
                "Service {name}: has the same variables as service {other}, \
                 MCP_SERVICE_{prefix}_*: rename one"
            )))),
            None => {
                prefixes.insert(prefix, name.clone());
                names.push(name);
            }
        }
    }
    names
}

/// Whether a service can be called so.
///
/// ```
/// use bartizan_config::is_service_name;
///
/// assert!(is_service_name("user-service"));
/// assert!(!is_service_name("user/service"));
/// ```
#[must_use]
pub fn is_service_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.contains(|c: char| c.is_control() || c == ',' || c == '/')
        && name.trim() == name
}
