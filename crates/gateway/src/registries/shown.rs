//! Entries of registries as people may see them.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_config::redact::{self, HIDDEN, is_secret};
use bartizan_discovery::Entry;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

/// The members of an entry.
pub(crate) type Shown = BTreeMap<String, Box<RawValue>>;

/// Whose members all are secrets: only their names are shown.
const HOLDERS: [&str; 4] = ["env_vars", "env", "environment", "headers"];

/// What may make something of a member hidden, besides the names of secrets.
const NAMED: [&str; 9] = [
    "env_vars",
    "env",
    "environment",
    "headers",
    "command",
    "args",
    "health_url",
    "_key",
    "-key",
];

/// What a registry says of an instance, each member byte for byte unless it holds a secret.
pub(crate) fn shown(entry: &Entry) -> Shown {
    let read = |raw: &Arc<str>| serde_json::from_str::<Shown>(raw).ok();
    let mut shown = match entry.raw.as_ref().and_then(read) {
        Some(written) => written
            .into_iter()
            .map(|(name, value)| (name.clone(), member(&name, value)))
            .collect(),
        None => described(entry),
    };
    shown.insert("id".to_owned(), raw(&json!(&**entry.instance.id())));
    shown
}

/// What a registry says of a service besides its instances.
pub(crate) fn metadata(metadata: &BTreeMap<Arc<str>, Arc<str>>) -> Shown {
    let members = metadata.iter().map(|(name, text)| {
        let value = match serde_json::from_str::<Box<RawValue>>(text) {
            Ok(value) => value,
            Err(_) => raw(&json!(&**text)),
        };
        (name.to_string(), member(name, value))
    });
    members.collect()
}

/// An entry that was not written as JSON.
fn described(entry: &Entry) -> Shown {
    let instance = &entry.instance;
    let mut members = vec![
        ("transport", json!(entry.transport.as_str())),
        ("weight", json!(instance.weight())),
    ];
    match &entry.launch {
        Some(launch) => {
            members.push(("command", arguments(&json!(launch.command))));
            let names = launch.env.keys().map(|name| (name.clone(), json!(HIDDEN)));
            members.push(("env_vars", Value::Object(names.collect())));
            members.push(("working_dir", json!(launch.working_dir)));
        }
        None => members.push(("endpoint", json!(instance.uri().to_string()))),
    }
    if let Some(url) = &entry.health_url {
        members.push(("health_url", json!(without_query(&url.to_string()))));
    }
    if let Some(tools) = &entry.tools {
        let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
        members.push(("tools", json!(names)));
    }
    if !instance.metadata().is_empty() {
        let shown = metadata(instance.metadata());
        members.push(("metadata", json!(shown)));
    }
    let members = members.into_iter();
    members
        .map(|(name, value)| (name.to_owned(), raw(&value)))
        .collect()
}

fn member(name: &str, value: Box<RawValue>) -> Box<RawValue> {
    let text = value.get().to_ascii_lowercase();
    let is_scalar = !text.starts_with(['{', '[']);
    let names_some = || is_secret(&text) || NAMED.iter().any(|word| text.contains(word));
    // Told from the text, for most members hold nothing of the kind. An escape could hide a name.
    let may_hide = is_secret(name)
        || NAMED.iter().any(|word| name.eq_ignore_ascii_case(word))
        || text.contains(['@', '?', '#', '\\'])
        || !is_scalar && names_some();
    if !may_hide {
        return value;
    }
    match serde_json::from_str::<Value>(value.get()) {
        Ok(parsed) => match visible(name, parsed.clone()) {
            same if is_scalar && same == parsed => value,
            shown => raw(&shown),
        },
        Err(_) => raw(&json!(HIDDEN)),
    }
}

/// `value`, which is called `name`, without secrets.
fn visible(name: &str, value: Value) -> Value {
    if value.is_null() {
        return value;
    }
    if is_secret(name) {
        return json!(HIDDEN);
    }
    match value {
        Value::Object(members) if is_holder(name) => {
            let names = members.into_iter().map(|(name, _)| (name, json!(HIDDEN)));
            Value::Object(names.collect())
        }
        _ if is_holder(name) => json!(HIDDEN),
        Value::Array(_) | Value::String(_) if matches!(name, "command" | "args") => {
            arguments(&value)
        }
        Value::String(url) if name == "health_url" => {
            json!(without_query(&redact::text(&url)))
        }
        Value::String(text) => json!(redact::text(&text)),
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (name.clone(), visible(&name, value)));
            Value::Object(members.collect())
        }
        Value::Array(items) => items.into_iter().map(|it| visible("", it)).collect(),
        other => other,
    }
}

/// A command without the values of arguments that are called like secrets.
fn arguments(command: &Value) -> Value {
    match command {
        Value::Array(words) => {
            let text = |word: &Value| {
                word.as_str()
                    .map_or_else(|| word.to_string(), str::to_owned)
            };
            let words: Vec<String> = words.iter().map(text).collect();
            json!(redact::words(words.iter().map(String::as_str)))
        }
        Value::String(text) => json!(redact::words(text.split_whitespace()).join(" ")),
        _ => json!(HIDDEN),
    }
}

fn is_holder(name: &str) -> bool {
    HOLDERS.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// A query is where keys are often given.
fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((place, _)) => format!("{place}?{HIDDEN}"),
        None => url.to_owned(),
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    // A value always has a form in JSON.
    to_raw_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(instance: &Value) -> Value {
        let (entry, _) = Entry::from_json(&instance.to_string(), None).unwrap();
        serde_json::to_value(shown(&entry)).unwrap()
    }

    #[test]
    fn names_of_secrets_are_shown_and_their_values_are_not() {
        let shown = seen(&json!({
            "id": "a",
            "command": [
                "server", "--api-key", "hunter1", "--token=hunter2", "--port=1",
                "--header", "Authorization: Bearer hunter9", "--header=X-Api-Key:hunter10",
                "postgres://user:hunter11@db/users", "--password", "hunter", "12", "-v",
            ],
            "database": "postgres://user:hunter12@db:5432/users?x=1",
            "env_vars": {"TOKEN": "hunter3", "LEVEL": "hunter4"},
            "headers": {"X-Custom": "hunter5"},
            "api_key": "hunter6",
            "metadata": {
                "nested": {"password": "hunter7", "zone": "b"},
                "more": {"Headers": {"X": "hunter14"}, "ENV": {"B": "hunter15"}},
                "signing_key": "hunter17",
                "deep": [{"args": ["--key", "hunter18"]}],
            },
            "health_url": "http://a/health?key=hunter8",
            "docs": "https://a/docs?v=1&sig=hunter16",
        }));
        let text = shown.to_string();
        assert!(!text.contains("hunter"), "{text}");
        for kept in [
            "TOKEN",
            "LEVEL",
            "X-Custom",
            "--port=1",
            "zone",
            "http://a/health",
            "postgres://[redacted]@db:5432/users?x=1",
            "\"-v\"",
        ] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn secrets_go_by_many_names() {
        for name in [
            "privateKey",
            "ssh-private-key",
            "Set-Cookie",
            "proxyAuth",
            "credentials",
        ] {
            let option = format!("--{name}=hunter2");
            let shown = seen(&json!({
                "id": "a",
                "endpoint": "http://a:1",
                name: "hunter1",
                "args": [option],
                "metadata": { name: ["hunter3"] },
            }));
            assert_eq!(shown.to_string().find("hunter"), None, "{shown}");
        }
        let instance = json!({
            "id": "a",
            "endpoint": "http://a:1",
            "author": "somebody",
            "authority": "b:2",
            "metadata": { "author": "else" },
        });
        assert_eq!(seen(&instance), instance);
    }

    #[test]
    fn a_command_that_is_a_text_hides_as_much() {
        let command = "server --header Authorization: Bearer hunter1 -v --key=1 token: hunter2";
        let shown = seen(&json!({"id": "a", "command": command}));
        let hidden = "server --header Authorization: [redacted] [redacted] -v --key=[redacted] token: [redacted]";
        assert_eq!(shown["command"], hidden);
        assert_eq!(shown.to_string().find("hunter"), None);
    }

    #[test]
    fn what_is_written_otherwise_is_hidden_as_well() {
        let text = r#"{"id":"a","endpoint":"http://a:1","metadata":{"\u0074oken":"hunter1","\u0065nv":{"A":"hunter2"}}}"#;
        let (entry, _) = Entry::from_json(text, None).unwrap();
        let shown = serde_json::to_string(&shown(&entry)).unwrap();
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn everything_else_is_as_it_was_written() {
        let text = r#"{"id":"a","endpoint":"http://a:1","n":1.10,"big":123456789012345678901234567890,"is_healthy":true}"#;
        let (entry, _) = Entry::from_json(text, None).unwrap();
        let shown = shown(&entry);
        assert_eq!(shown["n"].get(), "1.10");
        assert_eq!(shown["big"].get(), "123456789012345678901234567890");
        assert_eq!(shown["is_healthy"].get(), "true");
    }
}
