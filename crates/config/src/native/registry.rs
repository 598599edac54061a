//! The services of a `bartizan.yaml` whose instances are listed there.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use bartizan_discovery::{InvalidRegistry, RegisteredService, Registry};
use bartizan_document::{Member, Node, Place, Value};

use super::{file::File, text::in_units};
use crate::{Origin, RegisteredKind, variable::Kind};

/// The keys of a service that are read with its instances.
pub(super) const LISTED: [&str; 4] = ["description", "load_balancer", "metadata", "tools"];

/// The services that a `bartizan.yaml` lists with their instances.
///
/// They are a part of the configuration, and change with it: whoever serves them takes them from
/// here and does not read the file.
///
/// Its `Debug` form says how many there are and nothing of them.
#[derive(Clone, PartialEq, Eq)]
pub struct NativeRegistry {
    registry: Arc<Registry>,
    kinds: BTreeMap<String, RegisteredKind>,
}

impl NativeRegistry {
    /// The services and their instances.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What the instances of a service speak; `None` if it is not listed.
    #[must_use]
    pub fn kind(&self, service: &str) -> Option<RegisteredKind> {
        self.kinds.get(service).copied()
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<RegisteredService>> {
        self.registry.services.iter()
    }
}

impl fmt::Debug for NativeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeRegistry")
            .field("services", &self.registry.services.len())
            .field("instances", &self.registry.instance_count())
            .finish()
    }
}

/// What instances speak of which nobody says it: a transport or a program is one of MCP.
pub(super) fn kind_of_instances(service: &Node<'_>) -> RegisteredKind {
    let says = |instance: &Node<'_>| {
        let is_there = |key| instance.member(key).is_some_and(|it| !it.value.is_null());
        is_there("transport") || is_there("command")
    };
    let instances = service.member("instances").and_then(|it| it.value.list());
    if instances.is_some_and(|all| all.iter().any(says)) {
        RegisteredKind::Mcp
    } else {
        RegisteredKind::Rest
    }
}

/// The services of these names with their instances; `None` if something is wrong with them.
pub(super) fn read(
    file: &mut File<'_>,
    services: &Node<'_>,
    kinds: BTreeMap<String, RegisteredKind>,
) -> Option<NativeRegistry> {
    let members = services.members().unwrap_or_default();
    let listed = members.iter().filter(|it| kinds.contains_key(&*it.key));
    let before = file.problems();
    let listed: Vec<_> = listed
        .map(|member| expanded_service(file, member))
        .collect();
    let node = Node {
        value: Value::Map(listed),
        ..services.clone()
    };
    match Registry::from_native(&node) {
        Ok(registry) if file.problems() == before => {
            for warning in &registry.warnings {
                file.doubt_at(place(warning.line, warning.column), &warning.text);
            }
            Some(NativeRegistry {
                registry: Arc::new(registry),
                kinds,
            })
        }
        Ok(_) => None,
        Err(error) => {
            tell(file, &error);
            None
        }
    }
}

fn tell(file: &mut File<'_>, error: &InvalidRegistry) {
    for problem in error.problems() {
        file.wrong_at(place(problem.line, problem.column), &problem.text);
    }
    file.more(error.more());
}

fn place(line: u32, column: u32) -> Place {
    Place { line, column }
}

/// A service with the texts of its instances expanded. Tools and what is said of the service are
/// for people and models to read, and stay as they are.
fn expanded_service<'n>(file: &mut File<'_>, service: &Member<'n>) -> Member<'n> {
    let mut service = service.clone();
    let key = format!("services.{}", service.key);
    if let Value::Map(members) = &mut service.value.value {
        for member in members {
            let key = format!("{key}.{}", member.key);
            match (&*member.key, &mut member.value.value) {
                ("instances", Value::List(instances)) => {
                    for instance in instances {
                        expand_instance(file, &key, instance);
                    }
                }
                ("load_balancer", _) => {
                    expand(file, &key, &mut member.value);
                    in_seconds(file, &key, &mut member.value);
                }
                _ => {}
            }
        }
    }
    service
}

/// Durations with a unit as the numbers that a `registry.json` has. What is none is left out, as
/// it is told in words that know of units.
fn in_seconds(file: &mut File<'_>, key: &str, balancing: &mut Node<'_>) {
    let Value::Map(members) = &mut balancing.value else {
        return;
    };
    members.retain_mut(|member| {
        if !matches!(&*member.key, "health_check_interval" | "timeout") {
            return true;
        }
        if member.value.is_null() {
            return true;
        }
        if let Value::Text(text) = &mut member.value.value {
            *text = Cow::Owned(in_units(Kind::Seconds, text).into_owned());
        }
        let text = member.value.scalar();
        let is_whole = text.is_some_and(|text| text.parse::<u32>().is_ok());
        if !is_whole {
            let what =
                "must be a whole number of seconds, or a duration of whole seconds, such as 2m";
            let origin = file.origin(format!("{key}.{}", member.key), member.place);
            file.wrong(&origin, what);
        }
        is_whole
    });
}

fn expand_instance(file: &mut File<'_>, key: &str, instance: &mut Node<'_>) {
    let Value::Map(members) = &mut instance.value else {
        return;
    };
    for member in members {
        if member.key == "tools" {
            continue;
        }
        expand(file, &format!("{key}.{}", member.key), &mut member.value);
        if member.key == "working_dir"
            && let Value::Text(path) = &mut member.value.value
            && !path.is_empty()
        {
            *path = Cow::Owned(file.beside(path).display().to_string());
        }
    }
}

fn expand(file: &mut File<'_>, key: &str, node: &mut Node<'_>) {
    match &mut node.value {
        Value::Text(text) => {
            let origin: Origin = file.origin(key, node.place);
            if text.contains("${")
                && let Some(expanded) = file.expand(text, &origin, None)
            {
                *text = Cow::Owned(expanded.expose().to_owned());
            }
        }
        Value::List(list) => list.iter_mut().for_each(|node| expand(file, key, node)),
        Value::Map(members) => {
            let nodes = members.iter_mut().map(|member| &mut member.value);
            nodes.for_each(|node| expand(file, key, node));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
