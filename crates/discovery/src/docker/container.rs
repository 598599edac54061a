use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::CONTAINER;
use crate::{HEALTH_URL, Instance, MAX_WEIGHT, instance::is_health_url};

/// A container as the engine lists it, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    id: String,
    names: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    state: Option<String>,
    /// For people, such as `Up 2 hours (healthy)`.
    status: Option<String>,
    ports: Option<Vec<Port>>,
    network_settings: Option<NetworkSettings>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    private_port: u16,
    #[serde(rename = "Type")]
    protocol: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Option<Network>>>,
}

#[derive(Debug, Deserialize)]
struct Network {
    #[serde(rename = "IPAddress")]
    ipv4: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6: Option<String>,
}

impl Container {
    /// What people call it.
    pub(super) fn name(&self) -> &str {
        let first = self.names.iter().flatten().next();
        match first.map(|name| name.trim_start_matches('/')) {
            Some(name) if !name.is_empty() => name,
            _ => self.id.get(..12).unwrap_or(&self.id),
        }
    }

    /// Whether it takes calls: it runs, and the engine's own check of it, if there is one, has
    /// found it well.
    pub(super) fn is_well(&self) -> bool {
        let runs = self.state.as_deref().is_none_or(|state| state == "running");
        let status = self.status.as_deref().unwrap_or_default();
        // Engines have said so in this text since they have had checks, and in a field of its own
        // only of late.
        let is_unwell = [
            "(unhealthy)",
            "(health: starting)",
            "(starting)",
            "(Paused)",
        ];
        runs && !is_unwell.iter().any(|word| status.contains(word))
    }

    /// The instance that its labels make of it.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(super) fn instance(&self, network: Option<&str>) -> Result<Instance, String> {
        let address = self.address(network)?;
        let port = self.port()?;
        let scheme = self.label("bartizan.scheme").unwrap_or("http");
        if !["http", "https"].contains(&scheme) {
            return Err("bartizan.scheme is neither http nor https".to_owned());
        }
        let path = self.label("bartizan.path").unwrap_or_default();
        if !path.is_empty() && !path.starts_with('/') {
            return Err("bartizan.path does not begin with a slash".to_owned());
        }
        let authority = std::net::SocketAddr::new(address, port);
        let instance = Instance::new(format!("{scheme}://{authority}{path}"));
        let instance = instance.map_err(|error| format!("bartizan.path: {error}"))?;
        let instance = instance.with_weight(self.weight()?);
        let mut instance = instance.map_err(|error| format!("bartizan.weight: {error}"))?;
        if let Some(url) = self.label("bartizan.health_url") {
            let url = match url.starts_with('/') {
                true => format!("{scheme}://{authority}{url}"),
                false => url.to_owned(),
            };
            if !url.parse().is_ok_and(|it| is_health_url(&it)) {
                let text = "bartizan.health_url is neither a path nor a URL of http or https without a password, its port from 1 to 65535";
                return Err(text.to_owned());
            }
            instance = instance.with_metadata(HEALTH_URL, url);
        }
        Ok(instance.with_metadata(CONTAINER, self.name()))
    }

    fn label(&self, name: &str) -> Option<&str> {
        let text = self.labels.as_ref()?.get(name)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn weight(&self) -> Result<u32, String> {
        let Some(text) = self.label("bartizan.weight") else {
            return Ok(1);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let weight = text.parse().ok().filter(|_| digits);
        weight.ok_or_else(|| format!("bartizan.weight is no number from 1 to {MAX_WEIGHT}"))
    }

    fn port(&self) -> Result<u16, String> {
        if let Some(text) = self.label("bartizan.port") {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let port = text.parse().ok().filter(|port| digits && *port != 0);
            return port.ok_or_else(|| "bartizan.port is no number from 1 to 65535".to_owned());
        }
        let is_tcp = |port: &&Port| port.protocol.as_deref().is_none_or(|it| it == "tcp");
        let exposed = self.ports.iter().flatten().filter(is_tcp);
        // One is listed for every address of the host that it is published at.
        let mut exposed: Vec<_> = exposed.map(|port| port.private_port).collect();
        exposed.sort_unstable();
        exposed.dedup();
        match exposed[..] {
            [port] => Ok(port),
            [] => Err("it exposes no port, and no label bartizan.port names one".to_owned()),
            _ => Err(format!(
                "it exposes the ports {exposed:?}, and no label bartizan.port names one"
            )),
        }
    }

    fn address(&self, network: Option<&str>) -> Result<IpAddr, String> {
        let networks = self.network_settings.as_ref();
        let networks = networks.and_then(|it| it.networks.as_ref());
        let mut networks = networks.into_iter().flatten();
        let address = |network: &Network| {
            let texts = [network.ipv4.as_deref(), network.ipv6.as_deref()];
            texts.into_iter().flatten().find_map(|it| it.parse().ok())
        };
        let found = match network {
            Some(wanted) => networks.find(|(name, _)| *name == wanted).map(|(_, it)| it),
            None => {
                let any = networks.find_map(|(_, it)| address(it.as_ref()?));
                return any.ok_or_else(|| "it has an address in no network".to_owned());
            }
        };
        let wanted = network.unwrap_or_default();
        let found = found.ok_or_else(|| format!("it is not in the network {wanted}"))?;
        let found = found.as_ref().and_then(address);
        found.ok_or_else(|| format!("it has no address in the network {wanted}"))
    }
}

#[cfg(test)]
mod tests;
