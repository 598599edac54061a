//! `registry.yaml`: a list of servers, each with its namespace, its host and its tools.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_document::{Node, Value, parse_yaml};
use http::Uri;

use super::{
    InvalidRegistry,
    read::{Services, health_url, instance},
    reader::Reader,
};
use crate::{Entry, Instance, MAX_WEIGHT, Registry, Tool, instance::is_spoken};

impl Registry {
    /// Reads a `registry.yaml`.
    ///
    /// The root has `servers`, a list; each server a `namespace`, which is the name of the
    /// service, a `name`, which is its host, and a `port`. It may have `scheme` or, in place of
    /// host and port, `url`; `id` and `weight`; `health_url`; `tools`. Several servers in one
    /// namespace are instances of one service. Fields that are not known are kept as metadata
    /// and warned about.
    ///
    /// # Errors
    ///
    /// [`InvalidRegistry`], which says everything that is wrong, with lines and columns.
    pub fn from_yaml(text: &str) -> Result<Self, InvalidRegistry> {
        let root = parse_yaml(text)?;
        let mut reader = Reader::default();
        let mut services = Services::default();
        read(&mut reader, &mut services, &root);
        let (services, warnings) = reader.finish(services)?;
        Ok(Self::new(services.finish(), warnings))
    }
}

fn read(reader: &mut Reader, services: &mut Services, root: &Node<'_>) {
    let Some(members) = reader.members(root, "a registry") else {
        return;
    };
    let mut servers = None;
    for member in members {
        match &*member.key {
            "servers" => servers = Some(&member.value),
            "version" => {}
            // What Compose files call fragments: there to be aliased.
            key if key.starts_with("x-") => {}
            _ => reader.unknown(member, "the registry"),
        }
    }
    let Some(servers) = servers else {
        return reader.problem(root.place, "the registry has no `servers`");
    };
    for server in reader.list(servers, "`servers`").unwrap_or_default() {
        read_server(reader, services, server);
    }
}

#[derive(Default)]
struct Server<'n, 'a> {
    namespace: Option<&'n str>,
    name: Option<&'n str>,
    port: Option<u32>,
    scheme: Option<&'n str>,
    url: Option<&'n Node<'a>>,
    id: Option<&'n str>,
    weight: Option<u32>,
}

fn read_server(reader: &mut Reader, services: &mut Services, node: &Node<'_>) {
    let Some(members) = reader.members(node, "a server") else {
        return;
    };
    let mut server = Server::default();
    let mut metadata: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    let mut health = None;
    let mut tools = None;
    let mut faulty = false;
    for member in members {
        let value = &member.value;
        if value.is_null() {
            continue;
        }
        let mut required = |reader: &mut Reader, what| {
            let text = reader.text(value, what);
            faulty |= text.is_none();
            text
        };
        match &*member.key {
            "namespace" => server.namespace = required(reader, "`namespace`"),
            "name" => {
                server.name = required(reader, "`name`");
                metadata.extend(server.name.map(|name| ("name".into(), name.into())));
            }
            "port" => {
                server.port = reader.number(value, "`port`", 1..=65_535);
                faulty |= server.port.is_none();
            }
            "scheme" => server.scheme = required(reader, "`scheme`"),
            "url" => server.url = Some(value),
            "id" => server.id = required(reader, "`id`"),
            "weight" => server.weight = reader.number(value, "`weight`", 1..=MAX_WEIGHT),
            "health_url" => health = health_url(reader, value),
            "tools" => tools = Some(read_tools(reader, value).into()),
            "docker_image" => {
                metadata.insert("docker_image".into(), value.render().into());
            }
            key => {
                reader.unknown(member, "a server");
                metadata.insert(key.into(), value.render().into());
            }
        }
    }
    if server.namespace.is_none() && !faulty {
        reader.problem(node.place, "the server has no `namespace`");
    }
    let Some(instance) = place_of(reader, &server, node, faulty) else {
        return;
    };
    let Some(namespace) = server.namespace else {
        return;
    };
    // Neither is refused: the reader saw that the id is not empty and the weight within bounds.
    let named = match server.id {
        Some(id) => instance.with_id(id),
        None => Ok(instance),
    };
    let weighed = named.and_then(|it| it.with_weight(server.weight.unwrap_or(1)));
    let Ok(instance) = weighed else {
        return;
    };
    let instance = instance.with_all_metadata(metadata);
    let entry = Entry {
        health_url: health,
        tools,
        ..Entry::from(instance)
    };
    services.add(reader, namespace, entry, node.place);
}

fn place_of(
    reader: &mut Reader,
    server: &Server<'_, '_>,
    node: &Node<'_>,
    faulty: bool,
) -> Option<Instance> {
    if let Some(url) = server.url {
        return instance(reader, url, "`url`");
    }
    let (Some(name), Some(port)) = (server.name, server.port) else {
        if !faulty {
            let missing = if server.name.is_none() {
                "name"
            } else {
                "port"
            };
            reader.problem(node.place, format!("the server has no `{missing}`"));
        }
        return None;
    };
    let scheme = server.scheme.unwrap_or("http");
    // A bare IPv6 address is a host as well.
    let host = match name.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => name.to_owned(),
    };
    let found = Instance::new(format!("{scheme}://{host}:{port}")).ok();
    let is_meant = |uri: &Uri| is_spoken(uri) && uri.host() == Some(&*host) && uri.path() == "/";
    let found = found.filter(|it| is_meant(it.uri()));
    if found.is_none() {
        let text = "`name` must be the name or address of a host, `scheme` http or https";
        reader.problem(node.place, text);
    }
    found
}

pub(crate) fn read_tools(reader: &mut Reader, node: &Node<'_>) -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    for tool in reader.list(node, "`tools`").unwrap_or_default() {
        if !matches!(tool.value, Value::Map(_)) {
            reader.warn(tool.place, "a tool that is not a mapping is passed over");
            continue;
        }
        let read = read_tool(reader, tool);
        if let Some(read) = read {
            if tools.iter().any(|known| known.name == read.name) {
                let text = format!("tool `{}` is listed twice", read.name);
                reader.warn(tool.place, text);
                continue;
            }
            tools.push(read);
        }
    }
    tools
}

fn read_tool(reader: &mut Reader, node: &Node<'_>) -> Option<Tool> {
    let mut name = None;
    let mut description = None;
    let mut metadata = BTreeMap::new();
    for member in reader.members(node, "a tool")? {
        match &*member.key {
            "name" => name = Some(reader.text(&member.value, "`name` of a tool")?),
            "description" if member.value.is_null() => {}
            "description" => description = Some(member.value.render().into()),
            key => {
                metadata.insert(key.into(), member.value.render().into());
            }
        }
    }
    let Some(name) = name else {
        reader.problem(node.place, "the tool has no `name`");
        return None;
    };
    Some(Tool {
        name: name.into(),
        description,
        metadata,
    })
}

#[cfg(test)]
mod tests;
