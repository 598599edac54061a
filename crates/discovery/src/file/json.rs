//! `registry.json`: templates, each with its instances and how they are balanced.

use bartizan_document::{Member, Node, parse_json};

use super::{
    InvalidRegistry,
    fields::{Fields, kept, read_field},
    read::{Services, read_balancing},
    reader::Reader,
};
use crate::{Entry, Registry, Remark};

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

#[cfg(test)]
mod tests;
