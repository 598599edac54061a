//! What the formats of registries have in common.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::Duration,
};

use bartizan_document::{Node, Place};
use http::Uri;

use super::reader::Reader;
use crate::{
    Balancing, Entry, Instance, RegisteredService,
    instance::{is_health_url, is_spoken},
};

/// An instance at the address in `node`.
pub(crate) fn instance(reader: &mut Reader, node: &Node<'_>, what: &str) -> Option<Instance> {
    let text = reader.text(node, what)?;
    let problem = match Instance::new(text) {
        Ok(instance) if is_spoken(instance.uri()) => return Some(instance),
        Ok(_) => format!("{what} must begin with http:// or https://"),
        Err(error) => format!("{what}: {error}"),
    };
    reader.problem(node.place, problem);
    None
}

/// The address in `node` at which health is asked for; it may have a query.
pub(crate) fn health_url(reader: &mut Reader, node: &Node<'_>) -> Option<Uri> {
    let text = reader.text(node, "health_url")?;
    let uri = text.parse().ok().filter(is_health_url);
    if uri.is_none() {
        let text = "health_url must be an http or https address without a password, its port from 1 to 65535";
        reader.problem(node.place, text);
    }
    uri
}

/// How a service is balanced.
pub(crate) fn read_balancing(reader: &mut Reader, node: &Node<'_>) -> Option<Balancing> {
    let mut balancing = Balancing::default();
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    for member in reader.members(node, "`load_balancer`")? {
        let value = &member.value;
        match &*member.key {
            _ if value.is_null() => {}
            "strategy" => {
                let Some(name) = reader.text(value, "`strategy`") else {
                    continue;
                };
                let known = Balancing::STRATEGIES.iter().find(|known| **known == name);
                if known.is_none() {
                    let list = Balancing::STRATEGIES.join(", ");
                    reader.problem(value.place, format!("`strategy` must be one of {list}"));
                }
                balancing.strategy = known.map(|known| Arc::from(*known));
            }
            "health_check_interval" => {
                let number = reader.clamped(value, "`health_check_interval`", 5..=300);
                balancing.health_check_interval = number.map(seconds);
            }
            "max_retries" => balancing.max_retries = reader.clamped(value, "`max_retries`", 1..=10),
            "pool_size" => balancing.pool_size = reader.clamped(value, "`pool_size`", 1..=20),
            "timeout" => {
                balancing.timeout = reader.clamped(value, "`timeout`", 5..=300).map(seconds);
            }
            _ => reader.unknown(member, "`load_balancer`"),
        }
    }
    Some(balancing)
}

/// Services in the order of the file, each with its instances in that order.
#[derive(Default)]
pub(crate) struct Services {
    services: Vec<(RegisteredService, Vec<Entry>)>,
    by_name: HashMap<Arc<str>, usize>,
    seen: HashMap<(usize, Arc<str>), Place>,
}

impl Services {
    /// The service of that name, which is new if it was not there yet.
    pub(crate) fn service(&mut self, name: &str) -> &mut RegisteredService {
        let index = self.index(name);
        &mut self.services[index].0
    }

    /// Adds an instance to a service. One id cannot be there twice.
    pub(crate) fn add(&mut self, reader: &mut Reader, name: &str, entry: Entry, place: Place) {
        let index = self.index(name);
        let id = Arc::clone(entry.instance.id());
        match self.seen.entry((index, id)) {
            hash_map::Entry::Occupied(seen) => {
                let ((_, id), line) = (seen.key(), seen.get().line);
                let text = format!("instance `{id}` of `{name}` is there already, in line {line}");
                reader.problem(place, text);
            }
            hash_map::Entry::Vacant(unseen) => {
                unseen.insert(place);
                self.services[index].1.push(entry);
            }
        }
    }

    /// Whether a service has an instance of that id.
    pub(crate) fn has(&self, name: &str, id: &Arc<str>) -> bool {
        let index = self.by_name.get(name);
        index.is_some_and(|index| self.seen.contains_key(&(*index, Arc::clone(id))))
    }

    pub(crate) fn finish(self) -> Vec<Arc<RegisteredService>> {
        let build = |(service, entries): (RegisteredService, Vec<Entry>)| {
            let RegisteredService {
                name,
                balancing,
                metadata,
                ..
            } = service;
            Arc::new(RegisteredService {
                balancing,
                metadata,
                ..RegisteredService::new(name, entries)
            })
        };
        self.services.into_iter().map(build).collect()
    }

    fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let name: Arc<str> = name.into();
        let index = self.services.len();
        self.by_name.insert(Arc::clone(&name), index);
        self.services
            .push((RegisteredService::new(name, Vec::new()), Vec::new()));
        index
    }
}
