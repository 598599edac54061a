//! Edits of a `registry.json` that leave everything else byte for byte as it was.

use std::{collections::HashSet, ops::Range, sync::Arc};

use bartizan_document::{Member, Node, Value, parse_json, write_text};

use super::{InvalidRegistry, fields::KNOWN, json::ROOTS};
use crate::{Entry, Transport};

/// What a new registry begins as.
pub(crate) const EMPTY: &str = "{\n  \"templates\": {},\n  \"last_updated\": null\n}\n";

/// Replacements of ranges of a text, which do not overlap.
#[derive(Default)]
pub(crate) struct Edits {
    list: Vec<(Range<usize>, String)>,
}

impl Edits {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn replace(&mut self, range: Range<usize>, text: String) {
        self.list.push((range, text));
    }

    pub(crate) fn apply(mut self, text: &str) -> String {
        self.list.sort_by_key(|(range, _)| (range.start, range.end));
        let mut edited = String::with_capacity(text.len() + 1_024);
        let mut done = 0;
        for (range, new) in &self.list {
            edited.push_str(text.get(done..range.start).unwrap_or_default());
            edited.push_str(new);
            done = range.end;
        }
        edited.push_str(text.get(done..).unwrap_or_default());
        edited
    }
}

/// Puts an instance into its template; true when there was one of its id, which it replaces.
///
/// What the old one had of fields that nothing here knows stays, unless the new one has them.
pub(crate) fn register(
    edits: &mut Edits,
    text: &str,
    root: &Node<'_>,
    service: &str,
    entry: &Entry,
) -> Result<bool, InvalidRegistry> {
    let mut members = written(entry, service)?;
    for template in templates(root, service) {
        let id = entry.instance.id();
        if let Some(old) = instances(template).iter().find(|node| has_id(node, id)) {
            for member in old.members().unwrap_or_default() {
                let key = &*member.key;
                let new = members.iter().any(|(known, _)| known == key);
                if !new && !KNOWN.contains(&key) {
                    let value = text.get(member.value.range.clone()).unwrap_or_default();
                    members.push((key.into(), value.into()));
                }
            }
            let new = object(&members, spacing(text, old));
            if text.get(old.range.clone()) != Some(&new) {
                edits.replace(old.range.clone(), new);
            }
            return Ok(true);
        }
    }
    add(edits, text, root, service, &members);
    Ok(false)
}

fn add(edits: &mut Edits, text: &str, root: &Node<'_>, service: &str, members: &Fields) {
    let mut name = String::new();
    write_text(&mut name, service);
    let list = |spacing: &str| {
        let inner = format!("{spacing}  ");
        format!("[{inner}{}{spacing}]", object(members, None))
    };
    let Some(template) = templates(root, service).next() else {
        let Some(root) = ROOTS.iter().find_map(|key| root.member(key)) else {
            return;
        };
        let new = |spacing: &str| {
            let inner = deeper(spacing);
            format!(
                "{name}: {{{inner}\"instances\": {}{spacing}}}",
                list(&inner)
            )
        };
        let siblings = root.value.members().unwrap_or_default();
        let last = siblings.last().map(|member| member.range.clone());
        return insert(edits, text, &root.value, last, new);
    };
    match template.member("instances") {
        None => {
            let siblings = template.members().unwrap_or_default();
            let last = siblings.last().map(|member| member.range.clone());
            insert(edits, text, template, last, |spacing| {
                format!("\"instances\": {}", list(spacing))
            });
        }
        Some(member) if member.value.is_null() => {
            let line = line_of(text, member.range.start);
            edits.replace(member.value.range.clone(), list(&line));
        }
        Some(member) => {
            let siblings = member.value.list().unwrap_or_default();
            let last = siblings.last().map(|node| node.range.clone());
            let style = siblings.last().and_then(|node| spacing(text, node));
            insert(edits, text, &member.value, last, |_| object(members, style));
        }
    }
}

/// Takes instances out of their templates. A template of which nothing is left goes too;
/// `removed` says of service and id whether it is one of them.
pub(crate) fn remove(
    edits: &mut Edits,
    root: &Node<'_>,
    mut removed: impl FnMut(&str, &str) -> bool,
) {
    for root in ROOTS.iter().filter_map(|key| root.member(key)) {
        let templates = root.value.members().unwrap_or_default();
        let mut vanish = vec![false; templates.len()];
        for (template, vanish) in templates.iter().zip(&mut vanish) {
            let list = instances(&template.value);
            let out: Vec<bool> = list
                .iter()
                .map(|node| id(node).is_some_and(|id| removed(&template.key, id)))
                .collect();
            let only_instances = template.value.members().unwrap_or_default().len() == 1;
            if !out.is_empty() && out.iter().all(|out| *out) && only_instances {
                *vanish = true;
            } else {
                take_out(edits, &ranges(list, |node| node.range.clone()), &out);
            }
        }
        let ranges = ranges(templates, |member: &Member<'_>| member.range.clone());
        take_out(edits, &ranges, &vanish);
    }
}

/// Brings up to date what the file says of when it was written, if it says that.
pub(crate) fn date(edits: &mut Edits, root: &Node<'_>, now: &str) {
    let updated = root.member("last_updated");
    let modified = root
        .member("metadata")
        .and_then(|it| it.value.member("last_modified"));
    for member in [updated, modified].into_iter().flatten() {
        let mut text = String::new();
        write_text(&mut text, now);
        edits.replace(member.value.range.clone(), text);
    }
}

fn ranges<T>(list: &[T], range: impl Fn(&T) -> Range<usize>) -> Vec<Range<usize>> {
    list.iter().map(range).collect()
}

/// Removes elements of one list, each with the comma that is too many then.
fn take_out(edits: &mut Edits, elements: &[Range<usize>], out: &[bool]) {
    let mut kept_before = false;
    for (index, element) in elements.iter().enumerate() {
        if !out[index] {
            kept_before = true;
            continue;
        }
        let range = if kept_before {
            elements[index - 1].end..element.end
        } else if let Some(next) = elements.get(index + 1) {
            element.start..next.start
        } else {
            element.clone()
        };
        edits.replace(range, String::new());
    }
}

/// Inserts an element after the last one, or as the only one. `new` gets the space that begins
/// its line, if it has a line of its own.
fn insert(
    edits: &mut Edits,
    text: &str,
    container: &Node<'_>,
    last: Option<Range<usize>>,
    new: impl FnOnce(&str) -> String,
) {
    if let Some(last) = last {
        let before = space_before(text, last.start);
        let spacing = if before.contains('\n') { before } else { "" };
        let separator = if before.is_empty() { " " } else { before };
        let new = new(spacing);
        edits.replace(last.end..last.end, format!(",{separator}{new}"));
        return;
    }
    let inside = container.range.start + 1..container.range.end - 1;
    if text.contains('\n') {
        let outer = line_of(text, container.range.start);
        let inner = deeper(&outer);
        edits.replace(inside, format!("{inner}{}{outer}", new(&inner)));
    } else {
        edits.replace(inside, new(""));
    }
}

fn deeper(spacing: &str) -> String {
    if spacing.is_empty() {
        String::new()
    } else {
        format!("{spacing}  ")
    }
}

/// The line break and the space that the line of `byte` begins with.
fn line_of(text: &str, byte: usize) -> String {
    if !text.contains('\n') {
        return String::new();
    }
    let start = text[..byte].rfind('\n').map_or(0, |at| at + 1);
    let line = &text[start..];
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    format!("\n{}", &line[..indent])
}

fn space_before(text: &str, byte: usize) -> &str {
    let before = &text[..byte];
    let space = [' ', '\t', '\r', '\n'];
    &before[before.trim_end_matches(space).len()..]
}

/// How an object that is spread over several lines is: what is before its members and its end.
fn spacing<'t>(text: &'t str, node: &Node<'_>) -> Option<(&'t str, &'t str)> {
    let first = node.members()?.first()?;
    let before = space_before(text, first.range.start);
    let end = space_before(text, node.range.end - 1);
    before.contains('\n').then_some((before, end))
}

type Fields = [(String, String)];

fn object(members: &Fields, spacing: Option<(&str, &str)>) -> String {
    let (before, between, end) = match spacing {
        Some((before, end)) => (before, before, end),
        None => ("", " ", ""),
    };
    let mut text = String::from("{");
    for (index, (key, value)) in members.iter().enumerate() {
        text.push_str(if index == 0 { before } else { "," });
        if index > 0 {
            text.push_str(between);
        }
        write_text(&mut text, key);
        text.push_str(": ");
        text.push_str(value);
    }
    text.push_str(end);
    text.push('}');
    text
}

/// The members of an instance as JSON: what it was written as, or what it would be written as.
fn written(entry: &Entry, service: &str) -> Result<Vec<(String, String)>, InvalidRegistry> {
    let mut members = Vec::new();
    if let Some(raw) = &entry.raw {
        let node = parse_json(raw)?;
        for member in node.members().unwrap_or_default() {
            let value = raw.get(member.value.range.clone()).unwrap_or_default();
            members.push((member.key.clone().into_owned(), value.to_owned()));
        }
    } else {
        rendered(entry, &mut members);
    }
    for (key, value) in [("template_name", service), ("id", entry.instance.id())] {
        let value = quoted(value);
        match members.iter_mut().find(|(known, _)| known == key) {
            // Null, or of another template that it was copied from.
            Some((_, old)) if *old != value => *old = value,
            Some(_) => {}
            None => members.insert(0, (key.into(), value)),
        }
    }
    Ok(members)
}

fn rendered(entry: &Entry, members: &mut Vec<(String, String)>) {
    let mut add = |key: &str, value: String| members.push((key.into(), value));
    let instance = &entry.instance;
    add("transport", quoted(entry.transport.as_str()));
    if let Some(launch) = &entry.launch {
        let words: Vec<String> = launch.command.iter().map(|word| quoted(word)).collect();
        add("command", format!("[{}]", words.join(", ")));
        if let Some(directory) = &launch.working_dir {
            add("working_dir", quoted(&directory.to_string_lossy()));
        }
        if !launch.env.is_empty() {
            add(
                "env_vars",
                map(launch
                    .env
                    .iter()
                    .map(|(key, value)| (key.as_str(), quoted(value)))),
            );
        }
    } else if entry.transport != Transport::Stdio {
        add("endpoint", quoted(&instance.uri().to_string()));
    }
    if let Some(url) = &entry.health_url {
        add("health_url", quoted(&url.to_string()));
    }
    let weight = (instance.weight() != 1).then(|| ("weight", instance.weight().to_string()));
    let others = instance
        .metadata()
        .iter()
        .map(|(key, value)| (&**key, quoted(value)));
    let metadata: Vec<_> = weight.into_iter().chain(others).collect();
    if !metadata.is_empty() {
        add("metadata", map(metadata));
    }
}

fn map<K: Into<String>>(members: impl IntoIterator<Item = (K, String)>) -> String {
    let members = members.into_iter().map(|(key, value)| (key.into(), value));
    object(&members.collect::<Vec<_>>(), None)
}

fn quoted(text: &str) -> String {
    let mut json = String::new();
    write_text(&mut json, text);
    json
}

fn templates<'n, 'a>(root: &'n Node<'a>, service: &str) -> impl Iterator<Item = &'n Node<'a>> {
    let found: Vec<_> = ROOTS
        .iter()
        .filter_map(|key| root.member(key)?.value.member(service))
        .map(|member| &member.value)
        .collect();
    found.into_iter()
}

fn instances<'n, 'a>(template: &'n Node<'a>) -> &'n [Node<'a>] {
    let member = template.member("instances");
    member
        .and_then(|member| member.value.list())
        .unwrap_or_default()
}

fn id<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.member("id")?.value.value {
        Value::Text(id) => Some(id),
        _ => None,
    }
}

fn has_id(node: &Node<'_>, wanted: &Arc<str>) -> bool {
    id(node) == Some(wanted)
}

/// Pairs of service and id, for looking them up.
#[derive(Default)]
pub(crate) struct Ids(HashSet<(Arc<str>, Arc<str>)>);

impl Ids {
    pub(crate) fn insert(&mut self, service: &Arc<str>, id: &Arc<str>) {
        self.0.insert((Arc::clone(service), Arc::clone(id)));
    }

    pub(crate) fn contains(&self, service: &str, id: &str) -> bool {
        self.0.contains(&(service.into(), id.into()))
    }
}

#[cfg(test)]
mod tests;
