use std::{collections::HashMap, fmt, path::Path};

use crate::{
    Configuration, Mode, Severity,
    explain::{duration, endpoints},
};

/// A sound configuration at a glance, and what its author may want to know.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    configuration: &'a Configuration,
    /// How many services and instances each registry lists, as far as somebody looked.
    listed: HashMap<&'a Path, (usize, usize)>,
}

impl Configuration {
    /// This configuration at a glance, as a value that prints itself.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        let native = self.registries.iter().filter_map(|registry| {
            let listed = registry.listed.as_ref()?.registry();
            let numbers = (listed.services.len(), listed.instance_count());
            Some((registry.path.value().as_path(), numbers))
        });
        Summary {
            configuration: self,
            listed: native.collect(),
        }
    }
}

impl<'a> Summary<'a> {
    /// Says how much the registry at `path` lists, which a configuration does not know.
    #[must_use]
    pub fn listing(mut self, path: &'a Path, services: usize, instances: usize) -> Self {
        self.listed.insert(path, (services, instances));
        self
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Configuration {
            mode,
            gateway,
            services,
            registries,
            warnings,
            ..
        } = self.configuration;
        let environment = match mode {
            Mode::Development => "development",
            Mode::Production(environment) => environment,
        };
        let scheme = if gateway.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let callers = match &gateway.api_keys {
            Some(keys) => format!("callers show one of {} keys", keys.len()),
            None => "callers are not asked who they are".to_owned(),
        };
        writeln!(f, "configuration is sound ({environment})")?;
        writeln!(f, "listens on {scheme}://{}, {callers}", gateway.address())?;
        write!(f, "services: {}", services.len())?;
        for service in services {
            let place = match service.kind.stdio() {
                Some(process) => process.line(),
                None => endpoints(service),
            };
            let spoken = match service.kind.mcp() {
                Some(mcp) => format!(" ({})", *mcp.transport),
                None => String::new(),
            };
            let limit = &service.rate_limit;
            let rate = if limit.is_unlimited() {
                "no rate limit".to_owned()
            } else {
                let (rate, burst) = (*limit.requests_per_minute, *limit.burst);
                format!("{rate} a minute in bursts of {burst}")
            };
            write!(
                f,
                "\n  {}: {place}{spoken}, auth {}, {rate}, timeout {}, {} retries",
                service.name,
                service.auth.auth_type(),
                duration(*service.timeout),
                *service.retry.max_attempts,
            )?;
        }
        for registry in registries {
            let (kind, path) = (registry.format.as_str(), registry.path.display());
            write!(f, "\nregistry: {path} ({kind})")?;
            // What the configuration itself lists is read with it.
            if registry.listed.is_none() {
                let every = duration(*registry.poll_interval);
                write!(f, ", looked at every {every}")?;
            }
            if let Some((services, instances)) = self.listed.get(registry.path.value().as_path()) {
                write!(f, ", services: {services}, instances: {instances}")?;
            }
        }
        let worth_a_look = |warning: &&crate::Warning| warning.severity() == Severity::Warning;
        for warning in warnings.iter().filter(worth_a_look) {
            write!(f, "\nwarning: {warning}")?;
        }
        Ok(())
    }
}
