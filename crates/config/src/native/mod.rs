//! `bartizan.yaml`, which can say all that variables, registries and files of servers can.
//!
//! Its keys become variables below those of the environment: what reads a setting need not know
//! where it was written. What the keys are called follows from the table of variables. Services
//! with a list of instances become a registry besides.

mod file;
mod key;
mod registry;
mod service;
mod settings;
mod text;

use std::{collections::BTreeMap, path::Path};

use bartizan_auth::Secret;
use bartizan_document::{Member, Node, Value, parse_yaml, utf8};

pub use self::registry::NativeRegistry;
use self::{
    file::{File, Said},
    key::Keys,
    settings::Settings,
};
pub(crate) use self::{key::closest_key, text::units_of};
use crate::{
    Origin, Problem, Source, Warning,
    configuration::is_service_name,
    reader::{Scope, quoted},
    table,
};

/// A full example, which the reference shows.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

/// What was read of a file.
#[derive(Debug)]
pub(crate) struct Native {
    /// The services that are not a registry's, and where their names stand.
    pub(crate) services: Vec<(String, Origin)>,
    pub(crate) variables: Vec<Said>,
    /// The services with instances, and where the list of all begins.
    pub(crate) listed: Option<(NativeRegistry, Origin)>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) problems: Vec<Problem>,
}

/// The keys at the root.
const ROOT: [&str; 3] = ["gateway", "registries", "services"];

/// What the file at `path` that holds these bytes says, and everything that is wrong with it.
///
/// `source` is what the environment says: it is asked for the variables that the file names, and
/// what it sets already is not read.
pub(crate) fn read(bytes: &[u8], path: &Path, source: &Source) -> Native {
    let mut file = File::new(path, source);
    let (services, listed) = match utf8(bytes).and_then(parse_yaml) {
        Ok(root) => read_root(&mut file, &root),
        Err(error) => {
            file.wrong_at(error.place, &error.text);
            Default::default()
        }
    };
    let (variables, warnings, problems) = file.finish();
    Native {
        services,
        variables,
        listed,
        warnings,
        problems,
    }
}

/// The services that are not a registry's, and those that are.
type Services = (Vec<(String, Origin)>, Option<(NativeRegistry, Origin)>);

fn read_root(file: &mut File<'_>, root: &Node<'_>) -> Services {
    if root.members().is_none() {
        let what = "must be a mapping of gateway, registries and services";
        file.wrong_at(root.place, what);
        return Default::default();
    }
    let mut services = Vec::new();
    let mut listed = None;
    let whole = file.origin("the file", root.place);
    for member in file.members(root, &whole) {
        let origin = file.origin(member.key.clone(), member.place);
        match &*member.key {
            // What Compose files call fragments: there to be aliased.
            key if key.starts_with("x-") => {}
            "gateway" | "registries" | "services" if member.value.is_null() => {}
            "gateway" => read_gateway(file, member, &origin),
            "registries" => read_registries(file, member, &origin),
            "services" => {
                (services, listed) = read_services(file, &member.value, &origin);
            }
            key => {
                let meant = closest_key(key, ROOT.map(str::to_owned));
                let meant = meant.map(|it| format!(", did you mean {it}?"));
                let what = format!(
                    "{} is no key that is known{}",
                    quoted(key),
                    meant.unwrap_or_default()
                );
                file.wrong_at(member.place, &what);
            }
        }
    }
    (services, listed)
}

fn read_gateway(file: &mut File<'_>, member: &Member<'_>, origin: &Origin) {
    let keys = Keys::gateway();
    let settings = Settings {
        keys: &keys,
        scope: &Scope::gateway(),
        root: "gateway".to_owned(),
        more: &[],
        idle: (&[], ""),
    };
    for member in file.members(&member.value, origin) {
        settings.read(file, &[], member);
    }
}

/// The paths of registries, told apart by how they end; each sort once.
fn read_registries(file: &mut File<'_>, member: &Member<'_>, origin: &Origin) {
    let nodes = match &member.value.value {
        Value::List(list) => &list[..],
        _ => std::slice::from_ref(&member.value),
    };
    for node in nodes {
        read_registry(file, node, &text::element(origin, node));
    }
}

fn read_registry(file: &mut File<'_>, node: &Node<'_>, origin: &Origin) {
    let Some(text) = node.scalar() else {
        return file.wrong(origin, "must be a path or a list of paths");
    };
    let Some(path) = file.expand(&text, origin, None) else {
        return;
    };
    let path = file.beside(path.expose().trim());
    let variable = match path.extension().and_then(|it| it.to_str()) {
        Some("yaml" | "yml") => &table::REGISTRY_PATH,
        Some("json") => &table::REGISTRY_FILE,
        _ => return file.wrong(origin, "must end in .yaml, .yml or .json"),
    };
    let scope = Scope::gateway();
    if file.say(variable.name, origin, node.place) && !file.is_set(&scope, variable) {
        let path = Secret::new(path.display().to_string());
        file.set(variable.name.to_owned(), path, origin.clone());
    }
}

fn read_services(file: &mut File<'_>, node: &Node<'_>, origin: &Origin) -> Services {
    let keys = Keys::service();
    let mut services = Vec::new();
    let mut kinds = BTreeMap::new();
    let mut prefixes: BTreeMap<String, String> = BTreeMap::new();
    for member in file.members(node, origin) {
        let name = &*member.key;
        if !is_service_name(name) {
            let what = format!("{} cannot be the name of a service", quoted(name));
            file.wrong_at(member.place, &what);
            continue;
        }
        let prefix = Scope::service(name).prefix().to_owned();
        if let Some(other) = prefixes.insert(prefix, name.to_owned()) {
            let origin = file.origin(format!("services.{name}"), member.place);
            let what = format!("has the same variables as service {other}: rename one");
            file.wrong(&origin, &what);
            continue;
        }
        let service = service::read(file, &keys, member);
        match service.listed {
            Some(kind) => {
                kinds.insert(service.name, kind);
            }
            None => services.push((service.name, service.origin)),
        }
    }
    let listed = if kinds.is_empty() {
        None
    } else {
        registry::read(file, node, kinds)
    };
    (services, listed.map(|it| (it, origin.clone())))
}
