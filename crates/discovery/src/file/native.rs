//! `bartizan.yaml`: services that are described where the gateway is, with their instances.

use std::{borrow::Cow, sync::Arc};

use bartizan_document::{Node, Value};

use super::{
    InvalidRegistry,
    fields::{Fields, KNOWN, kept, read_field, read_variables},
    read::{Services, instance, read_balancing},
    reader::Reader,
    yaml::read_tools,
};
use crate::{Entry, Registry, Tool};

/// The fields of an instance, for whoever wrote one that is none of them. What programs keep in
/// a `registry.json` besides is understood as well.
const FIELDS: &str = "args, command, env, health_url, id, metadata, tools, transport, url, weight \
                      or working_dir";

impl Registry {
    /// Reads the services of a `bartizan.yaml`: `services` is a mapping of their names to what is
    /// said of them.
    ///
    /// Only those with `instances` are taken, and of them `instances`, `tools`, `load_balancer`,
    /// `description` and `metadata`; the rest is for whoever reads the settings. An instance has
    /// the fields of a `registry.json`, and `url`, `env`, `args` and `tools` besides. Its `id` may
    /// be missing unless it is a program. A field that is not known is wrong.
    ///
    /// ```
    /// use bartizan_discovery::Registry;
    ///
    /// let text = "files: {instances: [{url: 'http://a:1', weight: 3}, {url: 'http://b:1'}]}";
    /// let services = bartizan_document::parse_yaml(text)?;
    /// let registry = Registry::from_native(&services)?;
    /// assert_eq!(registry.service("files").unwrap().instances[0].weight(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidRegistry`], which says everything that is wrong, with lines and columns.
    pub fn from_native(services: &Node<'_>) -> Result<Self, InvalidRegistry> {
        let mut reader = Reader::default();
        let mut found = Services::default();
        for service in reader.members(services, "`services`").unwrap_or_default() {
            let is_listed = |it: &Node<'_>| {
                let instances = it.member("instances");
                instances.is_some_and(|instances| !instances.value.is_null())
            };
            if is_listed(&service.value) {
                read_service(&mut reader, &mut found, &service.key, &service.value);
            }
        }
        let (found, warnings) = reader.finish(found)?;
        Ok(Self::new(found.finish(), warnings))
    }
}

fn read_service(reader: &mut Reader, services: &mut Services, name: &str, node: &Node<'_>) {
    let Some(members) = reader.members(node, "a service") else {
        return;
    };
    services.service(name);
    let listed = node.member("tools").filter(|it| !it.value.is_null());
    let tools: Option<Arc<[Tool]>> = listed.map(|it| read_tools(reader, &it.value).into());
    for member in members {
        let value = &member.value;
        match &*member.key {
            _ if value.is_null() => {}
            "instances" => {
                for node in reader.list(value, "`instances`").unwrap_or_default() {
                    if let Some(mut entry) = read_instance(reader, node) {
                        if entry.tools.is_none() {
                            entry.tools.clone_from(&tools);
                        }
                        services.add(reader, name, entry, node.place);
                    }
                }
            }
            "load_balancer" => services.service(name).balancing = read_balancing(reader, value),
            key @ ("description" | "metadata") => {
                let metadata = &mut services.service(name).metadata;
                metadata.insert(key.into(), kept(value, ""));
            }
            _ => {}
        }
    }
}

fn read_instance(reader: &mut Reader, node: &Node<'_>) -> Option<Entry> {
    let mut fields = Fields::default();
    let mut tools = None;
    let mut arguments = None;
    let mut faulty = false;
    for member in reader.members(node, "an instance")? {
        let value = &member.value;
        if value.is_null() {
            continue;
        }
        let read = match &*member.key {
            "url" if node.member("endpoint").is_some() => {
                reader.problem(member.place, "`url` and `endpoint` are the same field");
                None
            }
            "url" => instance(reader, value, "`url`").map(|it| fields.endpoint = Some(it)),
            "env" => read_variables(reader, value, "`env`").map(|it| fields.env.extend(it)),
            "args" => read_arguments(reader, value).map(|it| arguments = Some(it)),
            "tools" => {
                tools = Some(read_tools(reader, value).into());
                Some(())
            }
            key if KNOWN.contains(&key) => read_field(reader, &mut fields, member, ""),
            key => {
                let text = format!("`{key}` of an instance is none of {FIELDS}");
                reader.problem(member.place, text);
                None
            }
        };
        faulty |= read.is_none();
    }
    if let Some(arguments) = arguments {
        let command = node.member("command").map(|it| &it.value.value);
        match (command, &mut fields.command) {
            // Beside arguments of its own, a text is a program as it is.
            (Some(Value::Text(program)), Some(command)) => *command = vec![program.to_string()],
            (Some(_), Some(_)) => {}
            _ if faulty => {}
            _ => reader.problem(node.place, "the instance has `args` and no `command`"),
        }
        if let Some(command) = &mut fields.command {
            command.extend(arguments);
        }
    }
    if fields.endpoint.is_some() && fields.command.is_some() {
        reader.problem(node.place, "the instance has an address and a `command`");
        faulty = true;
    }
    if fields.id.is_none() && !fields.is_started() {
        fields.id = fields.endpoint.as_ref().map(|it| it.id().to_string());
    }
    let mut entry = fields.entry(reader, node, "url", faulty)?;
    entry.tools = tools;
    Some(entry)
}

fn read_arguments(reader: &mut Reader, node: &Node<'_>) -> Option<Vec<String>> {
    let list = reader.list(node, "`args`")?;
    let texts: Option<Vec<_>> = list
        .iter()
        .map(|it| it.scalar().map(Cow::into_owned))
        .collect();
    if texts.is_none() {
        reader.problem(node.place, "`args` must be a list of texts");
    }
    texts
}

#[cfg(test)]
mod tests;
