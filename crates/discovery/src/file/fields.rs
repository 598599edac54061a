//! The fields of an instance, as `registry.json` and `bartizan.yaml` have them.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_document::{Member, Node, Value};

use super::{
    read::{health_url, instance},
    reader::Reader,
};
use crate::{Entry, Instance, Launch, MAX_WEIGHT, Recorded, Transport};

/// The fields of an instance that its own members have values for, as opposed to what other
/// programs keep in the file beside them.
pub(super) const KNOWN: [&str; 17] = [
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

/// What is said of an instance.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) id: Option<String>,
    pub(super) endpoint: Option<Instance>,
    pub(super) command: Option<Vec<String>>,
    transport: Option<Transport>,
    working_dir: Option<String>,
    pub(super) env: BTreeMap<String, String>,
    weight: Option<u32>,
    metadata: BTreeMap<Arc<str>, Arc<str>>,
    recorded: Recorded,
    health_url: Option<http::Uri>,
}

impl Fields {
    /// Whether it is a program that is to be started.
    pub(super) fn is_started(&self) -> bool {
        matches!(self.transport, Some(Transport::Stdio)) || self.endpoint.is_none()
    }

    /// The instance that these fields describe; `None` if something is missing, which has been
    /// said then, unless fields were `faulty`. `address` is what the field of its address is
    /// called.
    pub(super) fn entry(
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

/// `None` when the field is wrong, which has been said then.
pub(super) fn read_field(
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
pub(super) fn read_variables(
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
pub(super) fn kept(node: &Node<'_>, text: &str) -> Arc<str> {
    match &node.value {
        Value::Text(value) => (&**value).into(),
        _ if node.range.is_empty() => node.render().into(),
        _ => text.get(node.range.clone()).unwrap_or_default().into(),
    }
}
