use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use http::Uri;

use super::{NODE, POD, ZONE, slice::Slice};
use crate::{HOST, Instance, InvalidInstance, limit::Limit};

/// Which port of the endpoints of a Service is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointPort {
    /// The one that the Service calls so.
    Name(Arc<str>),
    /// The one with this number at the pods, which need not be that of the Service.
    Number(NonZeroU16),
}

impl fmt::Display for EndpointPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// What all instances of a Service have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) port: Option<EndpointPort>,
    /// With their scheme and path.
    pub(super) template: Instance,
    /// What they are called, if they are.
    pub(super) host: Option<Arc<str>>,
}

impl Common {
    pub(super) fn new() -> Result<Self, InvalidInstance> {
        Ok(Self {
            port: None,
            template: Instance::new("http://service")?,
            host: None,
        })
    }

    /// The instances that all slices of a Service together say there are.
    pub(super) fn instances(
        &self,
        slices: &BTreeMap<String, Slice>,
        service: &str,
        limit: &mut Limit,
    ) -> Result<Vec<Instance>, String> {
        let mut places = Places::default();
        // A pod with an address of either family is one instance: that of the first.
        for family in ["IPv4", "IPv6"] {
            for slice in slices.values().filter(|it| it.address_type == family) {
                if slice.endpoints.is_empty() {
                    continue;
                }
                if let Some(port) = self.port_of(slice, &mut places.other_ports)? {
                    places.add(slice, port);
                }
            }
        }
        if places.all.is_empty() && !places.other_ports.is_empty() {
            let wanted = self.port.as_ref().map(ToString::to_string);
            let (wanted, others) = (wanted.unwrap_or_default(), list(&places.other_ports));
            return Err(format!("no endpoint has the port {wanted}, only {others}"));
        }
        let mut chosen = places.chosen();
        limit.cut(service, &mut chosen);
        Ok(chosen.iter().filter_map(|it| self.instance(it)).collect())
    }

    /// The port meant, of the endpoints of one slice; those that are not go to `others`.
    fn port_of(&self, slice: &Slice, others: &mut BTreeSet<String>) -> Result<Option<u16>, String> {
        let all = || slice.ports.iter().filter_map(|it| Some((it, it.tcp()?)));
        let shown = |(port, number): (&super::slice::Port, u16)| match &*port.name {
            "" => number.to_string(),
            name => format!("{name} ({number})"),
        };
        let found = match &self.port {
            Some(EndpointPort::Name(name)) => all().find(|(port, _)| *port.name == **name),
            Some(EndpointPort::Number(number)) => all().find(|(_, it)| *it == number.get()),
            None => {
                let numbers: BTreeSet<_> = all().map(|(_, number)| number).collect();
                if numbers.len() > 1 {
                    let several = list(&all().map(shown).collect());
                    return Err(format!("there are several TCP ports: {several}"));
                }
                all().next()
            }
        };
        if found.is_none() {
            others.extend(all().map(shown));
            if all().next().is_none() {
                others.insert("none for TCP".to_owned());
            }
        }
        Ok(found.map(|(_, number)| number))
    }

    fn instance(&self, place: &Place<'_>) -> Option<Instance> {
        let mut parts = self.template.uri().clone().into_parts();
        parts.authority = Some(place.address.to_string().parse().ok()?);
        let mut instance = Instance::new(Uri::from_parts(parts).ok()?).ok()?;
        if let Some(host) = &self.host {
            instance = instance.with_metadata(HOST, Arc::clone(host));
        }
        let known = [
            (ZONE, place.endpoint.zone.as_deref()),
            (NODE, place.endpoint.node_name.as_deref()),
            (POD, place.pod()),
        ];
        for (key, value) in known {
            if let Some(value) = value {
                instance = instance.with_metadata(key, value);
            }
        }
        Some(instance)
    }
}

/// Where endpoints are, by what they are and their port.
#[derive(Default)]
struct Places<'a> {
    all: BTreeMap<(&'a str, u16), Place<'a>>,
    /// The ports that endpoints have instead of the one that is meant.
    other_ports: BTreeSet<String>,
}

struct Place<'a> {
    address: SocketAddr,
    is_ready: bool,
    is_leaving: bool,
    endpoint: &'a super::slice::Endpoint,
}

impl<'a> Places<'a> {
    fn add(&mut self, slice: &'a Slice, port: u16) {
        for endpoint in &slice.endpoints {
            // All its addresses lead to the same place, the API says, and the first is for use.
            let Some(text) = endpoint.addresses.first() else {
                continue;
            };
            let Ok(address) = text.parse::<IpAddr>() else {
                tracing::debug!(address = %text, "an endpoint with no address is left out");
                continue;
            };
            let uid = endpoint.target_ref.as_ref().map(|it| &*it.uid);
            let uid = uid.filter(|uid| !uid.is_empty());
            let conditions = endpoint.conditions;
            let (is_ready, is_leaving) = (conditions.is_ready(), conditions.is_leaving());
            // While it moves from one slice to another, an endpoint may be in both.
            self.all
                .entry((uid.unwrap_or(text), port))
                .and_modify(|known| {
                    known.is_ready |= is_ready;
                    known.is_leaving |= is_leaving;
                })
                .or_insert(Place {
                    address: SocketAddr::new(address, port),
                    is_ready,
                    is_leaving,
                    endpoint,
                });
        }
    }

    /// Those that are ready. If none is, those that answer while they end, as kube-proxy has it:
    /// the next ones are not there yet.
    fn chosen(self) -> Vec<Place<'a>> {
        let some_ready = self.all.values().any(|it| it.is_ready);
        let all = self.all.into_values();
        let mut chosen: Vec<_> = all
            .filter(|it| {
                if some_ready {
                    it.is_ready
                } else {
                    it.is_leaving
                }
            })
            .collect();
        chosen.sort_unstable_by_key(|it| it.address);
        chosen
    }
}

impl<'a> Place<'a> {
    fn pod(&self) -> Option<&'a str> {
        let target = self.endpoint.target_ref.as_ref()?;
        (target.kind == "Pod" && !target.name.is_empty()).then_some(&*target.name)
    }
}

fn list(texts: &BTreeSet<String>) -> String {
    let texts: Vec<_> = texts.iter().take(10).map(|it| &**it).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests;
