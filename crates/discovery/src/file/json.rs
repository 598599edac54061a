//! `registry.json`: templates, each with its instances and how they are balanced.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bartizan_document::{Member, Node, Value, parse_json};

use super::{
    InvalidRegistry,
    read::{Services, health_url, instance},
    reader::Reader,
};
use crate::{
    Balancing, Entry, Instance, Launch, MAX_WEIGHT, Recorded, Registry, Remark, Transport,
};

/// The roots that a registry may have, in the order in which they count: what documents show,
/// and what programs have written.
pub(crate) const ROOTS: [&str; 2] = ["templates", "servers"];

impl Registry {
    /// Reads a `registry.json`.
    ///
    /// The root has `templates` or `servers`, or both, which then are read together: where one
    /// instance is in both, the one in `templates` counts. Each template has `instances`, a
    /// list, and may have `load_balancer`. Fields that are not known are kept as metadata and
    /// warned about.
    ///
    /// # Errors
    ///
    /// [`InvalidRegistry`], which says everything that is wrong, with lines and columns.
    pub fn from_json(text: &str) -> Result<Self, InvalidRegistry> {
        from_node(&parse_json(text)?, text)
    }
}

impl Entry {
    /// Reads one instance as a `registry.json` has it, such as a request to register one holds.
    ///
    /// `id` is the name it gets if it has none of its own. The text is kept byte for byte as
    /// [`raw`](Entry::raw).
    ///
    /// # Errors
    ///
    /// [`InvalidRegistry`], which says everything that is wrong, with lines and columns.
    pub fn from_json(text: &str, id: Option<&str>) -> Result<(Self, Vec<Remark>), InvalidRegistry> {
        let node = parse_json(text)?;
        let mut reader = Reader::default();
        let entry = read_instance(&mut reader, &node, text, id);
        let (entry, warnings) = reader.finish(entry)?;
        match entry {
            Some(entry) => Ok((entry, warnings)),
            None => Err(InvalidRegistry::new(vec![Remark {
                line: node.place.line,
                column: node.place.column,
                text: "not an instance".into(),
            }])),
        }
    }
}

/// Reads a registry whose text has been parsed.
pub(crate) fn from_node(root: &Node<'_>, text: &str) -> Result<Registry, InvalidRegistry> {
    let mut reader = Reader::default();
    let mut services = Services::default();
    read(&mut reader, &mut services, root, text);
    let (services, warnings) = reader.finish(services)?;
    Ok(Registry::new(services.finish(), warnings))
}

fn read(reader: &mut Reader, services: &mut Services, root: &Node<'_>, text: &str) {
    let Some(members) = reader.members(root, "a registry") else {
        return;
    };
    for member in members {
        match &*member.key {
            "templates" | "servers" | "last_updated" | "metadata" | "global_config" => {}
            _ => reader.unknown(member, "the registry"),
        }
    }
    let mut found = false;
    for key in ROOTS {
        let Some(member) = root.member(key) else {
            continue;
        };
        found = true;
        let what = format!("`{key}`");
        let second = root
            .member(ROOTS[0])
            .is_some_and(|first| first.place != member.place);
        for template in reader.members(&member.value, &what).unwrap_or_default() {
            read_template(reader, services, template, text, second);
        }
    }
    if !found {
        let text = "the registry has neither `templates` nor `servers`";
        reader.problem(root.place, text);
    }
}

fn read_template(
    reader: &mut Reader,
    services: &mut Services,
    template: &Member<'_>,
    text: &str,
    second: bool,
) {
    let name = &*template.key;
    if name.is_empty() {
        return reader.problem(template.place, "the name of a template must not be empty");
    }
    let Some(members) = reader.members(&template.value, "a template") else {
        return;
    };
    services.service(name);
    for member in members {
        let value = &member.value;
        match &*member.key {
            _ if value.is_null() => {}
            "instances" => {
                for node in reader.list(value, "`instances`").unwrap_or_default() {
                    let Some(entry) = read_instance(reader, node, text, None) else {
                        continue;
                    };
                    if second && services.has(name, entry.instance.id()) {
                        let id = entry.instance.id();
                        let text = format!(
                            "instance `{id}` of `{name}` is in `templates` too, which counts"
                        );
                        reader.warn(node.place, text);
                        continue;
                    }
                    services.add(reader, name, entry, node.place);
                }
            }
            "load_balancer" => {
                let balancing = read_balancing(reader, value);
                let service = services.service(name);
                service.balancing = service.balancing.take().or(balancing);
            }
            key => {
                if !matches!(key, "name" | "description" | "metadata") {
                    reader.unknown(member, "a template");
                }
                let metadata = &mut services.service(name).metadata;
                metadata
                    .entry(key.into())
                    .or_insert_with(|| kept(value, text));
            }
        }
    }
}

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

/// What is said of an instance.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) id: Option<String>,
    pub(crate) endpoint: Option<Instance>,
    pub(crate) command: Option<Vec<String>>,
    transport: Option<Transport>,
    working_dir: Option<String>,
    pub(crate) env: BTreeMap<String, String>,
    weight: Option<u32>,
    metadata: BTreeMap<Arc<str>, Arc<str>>,
    recorded: Recorded,
    health_url: Option<http::Uri>,
}

impl Fields {
    /// Whether it is a program that is to be started.
    pub(crate) fn is_started(&self) -> bool {
        matches!(self.transport, Some(Transport::Stdio)) || self.endpoint.is_none()
    }

    /// The instance that these fields describe; `None` if something is missing, which has been
    /// said then, unless fields were `faulty`. `address` is what the field of its address is
    /// called.
    pub(crate) fn entry(
        self,
        reader: &mut Reader,
        node: &Node<'_>,
        address: &str,
        faulty: bool,
    ) -> Option<Entry> {
        if self.id.is_none() && !faulty {
            reader.problem(node.place, "the instance has no `id`");
        }
        let started = self.is_started();
        let launch = self.command.filter(|_| started).and_then(Launch::new);
        let launch = launch.map(|launch| Launch {
            working_dir: self.working_dir.map(Into::into),
            env: self.env,
            ..launch
        });
        let instance = match (&launch, self.endpoint) {
            (Some(launch), _) => Instance::new(launch.uri()).ok(),
            (None, Some(endpoint)) if !started => Some(endpoint),
            (None, _) => {
                if !faulty {
                    let missing = match self.transport {
                        Some(Transport::Stdio) => "`command`".to_owned(),
                        _ => format!("`{address}` and no `command`"),
                    };
                    reader.problem(node.place, format!("the instance has no {missing}"));
                }
                None
            }
        };
        let mut instance = instance?.with_id(self.id?).ok()?;
        if let Some(weight) = self.weight {
            instance = instance.with_weight(weight).ok()?;
        }
        let instance = instance.with_all_metadata(self.metadata);
        Some(Entry {
            transport: match launch {
                Some(_) => Transport::Stdio,
                None => self.transport.unwrap_or_default(),
            },
            launch: launch.map(Arc::new),
            health_url: self.health_url,
            recorded: self.recorded,
            ..Entry::from(instance)
        })
    }
}

fn read_instance(
    reader: &mut Reader,
    node: &Node<'_>,
    text: &str,
    fallback: Option<&str>,
) -> Option<Entry> {
    let mut fields = Fields::default();
    let mut faulty = false;
    for member in reader.members(node, "an instance")? {
        if !member.value.is_null() {
            faulty |= read_field(reader, &mut fields, member, text).is_none();
        }
    }
    if fields.id.is_none() {
        fields.id = fallback.map(Into::into);
    }
    let mut entry = fields.entry(reader, node, "endpoint", faulty)?;
    entry.raw = text.get(node.range.clone()).map(Into::into);
    Some(entry)
}

/// The fields of an instance that its own members have values for, as opposed to what other
/// programs keep in the file beside them.
pub(crate) const KNOWN: [&str; 17] = [
    "id",
    "template_name",
    "endpoint",
    "command",
    "transport",
    "status",
    "backend",
    "container_id",
    "deployment_id",
    "namespace",
    "working_dir",
    "env_vars",
    "last_health_check",
    "consecutive_failures",
    "metadata",
    "health_url",
    "weight",
];

/// `None` when the field is wrong, which has been said then.
pub(crate) fn read_field(
    reader: &mut Reader,
    fields: &mut Fields,
    member: &Member<'_>,
    text: &str,
) -> Option<()> {
    let value = &member.value;
    let keep = |fields: &mut Fields| {
        let key = (&*member.key).into();
        fields
            .metadata
            .entry(key)
            .or_insert_with(|| kept(value, text));
    };
    match &*member.key {
        "id" => fields.id = Some(reader.text(value, "`id`")?.into()),
        "template_name" => {}
        "endpoint" => fields.endpoint = Some(instance(reader, value, "`endpoint`")?),
        "command" => fields.command = Some(read_command(reader, value)?),
        "transport" => fields.transport = Some(read_transport(reader, value)?),
        "working_dir" => fields.working_dir = Some(reader.text(value, "`working_dir`")?.into()),
        "env_vars" => fields.env = read_variables(reader, value, "`env_vars`")?,
        "status" => fields.recorded.status = Some(reader.text(value, "`status`")?.into()),
        "last_health_check" => fields.recorded.last_health_check = Some(kept(value, text)),
        "consecutive_failures" => {
            let number = reader.number(value, "`consecutive_failures`", 0..=u32::MAX)?;
            fields.recorded.consecutive_failures = number;
        }
        "health_url" => fields.health_url = Some(health_url(reader, value)?),
        "weight" => fields.weight = Some(reader.number(value, "`weight`", 1..=MAX_WEIGHT)?),
        "metadata" => {
            for member in reader.members(value, "`metadata`")? {
                if member.key == "weight" {
                    let weight = reader.number(&member.value, "`weight`", 1..=MAX_WEIGHT)?;
                    fields.weight.get_or_insert(weight);
                } else {
                    fields
                        .metadata
                        .insert((&*member.key).into(), kept(&member.value, text));
                }
            }
        }
        key => {
            if !KNOWN.contains(&key) {
                reader.unknown(member, "an instance");
            }
            keep(fields);
        }
    }
    Some(())
}

/// The variables of a program; `None` when one is no text, which has been said then.
pub(crate) fn read_variables(
    reader: &mut Reader,
    node: &Node<'_>,
    what: &str,
) -> Option<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for variable in reader.members(node, what)? {
        let Some(value) = variable.value.scalar() else {
            reader.problem(variable.place, "a variable must be a text");
            return None;
        };
        variables.insert(variable.key.clone().into_owned(), value.into_owned());
    }
    Some(variables)
}

fn read_transport(reader: &mut Reader, node: &Node<'_>) -> Option<Transport> {
    match reader.text(node, "`transport`")? {
        "http" | "https" | "streamable-http" | "streamable_http" => Some(Transport::Http),
        "sse" => Some(Transport::Sse),
        "stdio" => Some(Transport::Stdio),
        _ => {
            reader.problem(node.place, "`transport` must be one of http, sse, stdio");
            None
        }
    }
}

fn read_command(reader: &mut Reader, node: &Node<'_>) -> Option<Vec<String>> {
    let words: Option<Vec<String>> = match &node.value {
        // As people write it who type it; a program is not looked for in a shell.
        Value::Text(text) => Some(text.split_whitespace().map(Into::into).collect()),
        Value::List(list) => list
            .iter()
            .map(|word| match &word.value {
                Value::Text(text) => Some(text.clone().into_owned()),
                Value::Number(number) => Some(number.clone().into_owned()),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    let words = words.filter(|words| words.first().is_some_and(|word| !word.is_empty()));
    if words.is_none() {
        let text = "`command` must be a list of texts: a program and its arguments";
        reader.problem(node.place, text);
    }
    words
}

/// A value as metadata: a text as it is, anything else byte for byte, or as JSON where it is not.
pub(crate) fn kept(node: &Node<'_>, text: &str) -> Arc<str> {
    match &node.value {
        Value::Text(value) => (&**value).into(),
        _ if node.range.is_empty() => node.render().into(),
        _ => text.get(node.range.clone()).unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests;
