use std::{num::NonZeroU32, path::Path, time::Duration};

use crate::{
    DockerSettings, KubernetesSettings, Origin, Setting, Strategy, Variable,
    reader::{Reader, Scope},
    table,
    value::{Fault, Value, items},
};

/// What holds for services that a registry lists, where neither it nor a variable of the service
/// says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSettings {
    /// From one probe to the next of the servers of `registry.yaml`.
    pub rest_health_interval: Setting<Duration>,
    /// From one probe to the next of the instances of `registry.json`.
    pub health_interval: Setting<Duration>,
    /// How long a probe may take.
    pub health_timeout: Setting<Duration>,
    /// How many probes are under way at once, of all services together.
    pub max_concurrent_checks: Setting<NonZeroU32>,
    /// How an instance is chosen.
    pub strategy: Setting<Strategy>,
    /// How many more instances a failed call is sent to.
    pub max_retries: Setting<u32>,
    /// How long a call may take in all.
    pub request_timeout: Setting<Duration>,
    /// The programs that may be registered over HTTP: names without a slash, or absolute paths.
    pub allowed_commands: Setting<Vec<String>>,
}

/// Where the instances of a service come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceSource {
    /// From the configuration: its endpoints, or the process that it is.
    Listed,
    /// From a registry, which lists them by the name of the service.
    Registered,
    /// From the name system: the addresses of the host of the only endpoint.
    Dns {
        /// From one look at it to the next.
        interval: Setting<Duration>,
    },
    /// From the name system: the SRV records of the host of the only endpoint, which has no port.
    Srv {
        /// From one look at it to the next.
        interval: Setting<Duration>,
    },
    /// From the API server of a cluster. There is one endpoint or none, which only says what the
    /// instances have in common.
    Kubernetes(Box<KubernetesSettings>),
    /// From an engine of containers.
    Docker(Box<DockerSettings>),
}

impl InstanceSettings {
    pub(crate) fn read(reader: &mut Reader<'_>, scope: &Scope) -> Self {
        let commands: Option<Setting<Commands>> = reader.optional(scope, &table::ALLOWED_COMMANDS);
        Self {
            rest_health_interval: reader.setting(scope, &table::REST_HEALTH_INTERVAL),
            health_interval: reader.setting(scope, &table::INSTANCE_HEALTH_INTERVAL),
            health_timeout: reader.setting(scope, &table::INSTANCE_HEALTH_TIMEOUT),
            max_concurrent_checks: reader.setting(scope, &table::MAX_CONCURRENT_CHECKS),
            strategy: reader.setting(scope, &table::DEFAULT_STRATEGY),
            max_retries: reader.setting(scope, &table::INSTANCE_MAX_RETRIES),
            request_timeout: reader.setting(scope, &table::REQUEST_TIMEOUT),
            allowed_commands: commands.map_or_else(
                || Setting::new(Vec::new(), Origin::Default("no program may be registered")),
                |it| it.map(|Commands(all)| all),
            ),
        }
    }
}

struct Commands(Vec<String>);

impl Value for Commands {
    /// A relative path would be another program in another directory.
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let commands: Vec<_> = items(text, &[',']).map(str::to_owned).collect();
        let fits = |command: &String| {
            let is_name = !command.contains(['/', '\\']);
            !command.contains(char::is_control) && (is_name || Path::new(command).is_absolute())
        };
        if commands.iter().all(fits) {
            Ok(Self(commands))
        } else {
            Err(Fault::must(
                "hold names of programs, which PATH leads to, or absolute paths",
            ))
        }
    }
}
