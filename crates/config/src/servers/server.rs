use std::{borrow::Cow, collections::HashMap, path::Path};

use bartizan_auth::Secret;
use jsonc_parser::ast::{Object, ObjectProp, Value};

use super::file::{File, Server, variable};
use crate::{McpTransport, Origin, dotenv, native::closest_key, reader::Scope, source};

/// The members of a server that are understood.
#[derive(Default)]
struct Members<'a> {
    command: Option<&'a ObjectProp<'a>>,
    args: Option<&'a ObjectProp<'a>>,
    env: Option<&'a ObjectProp<'a>>,
    env_file: Option<&'a ObjectProp<'a>>,
    cwd: Option<&'a ObjectProp<'a>>,
    url: Option<&'a ObjectProp<'a>>,
    headers: Option<&'a ObjectProp<'a>>,
    kind: Option<&'a ObjectProp<'a>>,
    disabled: Option<&'a ObjectProp<'a>>,
}

/// Reads one server into `file`.
pub(super) fn read_server(file: &mut File<'_>, member: &ObjectProp<'_>) {
    let name = member.name.as_str();
    let origin = file.origin(name.to_owned(), member.range.start);
    let Value::Object(server) = &member.value else {
        return file.wrong(&origin, "must be an object");
    };
    let Some(members) = members(file, name, server) else {
        return;
    };
    if let Some(disabled) = members.disabled {
        match &disabled.value {
            Value::BooleanLit(it) if it.value => return file.note(&origin, "is disabled"),
            Value::BooleanLit(_) | Value::NullKeyword(_) => {}
            _ => {
                let origin = file.origin(format!("{name}.disabled"), disabled.range.start);
                return file.wrong(&origin, "must be true or false");
            }
        }
    }
    let mut reading = Reading {
        scope: Scope::service(name),
        name,
        variables: Vec::new(),
        file,
    };
    reading.read(&members, &origin);
    let (name, variables) = (name.to_owned(), reading.variables);
    file.push(Server {
        name,
        origin,
        variables,
    });
}

/// The members of a server by their names; `None` if one is there twice.
fn members<'a>(file: &mut File<'_>, name: &str, server: &'a Object<'a>) -> Option<Members<'a>> {
    let mut members = Members::default();
    let mut sound = true;
    for member in &server.properties {
        let key = member.name.as_str();
        let origin = file.origin(format!("{name}.{key}"), member.range.start);
        let slot = match key {
            "command" => &mut members.command,
            "args" => &mut members.args,
            "env" => &mut members.env,
            "envFile" => &mut members.env_file,
            "cwd" => &mut members.cwd,
            "url" => &mut members.url,
            "headers" => &mut members.headers,
            "type" | "transport" => &mut members.kind,
            "disabled" => &mut members.disabled,
            // What VS Code notes down for itself.
            "gallery" | "version" => {
                file.note(&origin, "means nothing to the gateway");
                continue;
            }
            _ => {
                file.unknown(&origin, meant(key).as_deref());
                continue;
            }
        };
        if matches!(member.value, Value::NullKeyword(_)) {
            continue;
        }
        if slot.replace(member).is_some() {
            file.wrong(&origin, "is there twice");
            sound = false;
        }
    }
    sound.then_some(members)
}

/// The member that was probably meant by one of this name.
fn meant(key: &str) -> Option<String> {
    const KNOWN: [&str; 10] = [
        "args",
        "command",
        "cwd",
        "disabled",
        "env",
        "envFile",
        "headers",
        "transport",
        "type",
        "url",
    ];

    match key {
        // What Windsurf and Gemini CLI call it.
        "serverUrl" | "httpUrl" => Some("url".to_owned()),
        _ => closest_key(key, KNOWN.map(str::to_owned)),
    }
}

/// A server that is being read.
pub(super) struct Reading<'f, 'a, 'n> {
    pub(super) file: &'f mut File<'a>,
    pub(super) scope: Scope,
    name: &'n str,
    variables: Vec<(String, Secret, Origin)>,
}

impl Reading<'_, '_, '_> {
    fn read(&mut self, members: &Members<'_>, origin: &Origin) {
        let Some(transport) = self.transport(members, origin) else {
            return;
        };
        if transport == McpTransport::Stdio {
            self.text(members.command, "COMMAND");
            self.arguments(members.args);
            // The members win over the file.
            self.environment(members.env);
            self.environment_file(members.env_file);
            self.directory(members.cwd);
        } else {
            self.url(members.url, transport, members.kind.is_some());
            self.headers(members.headers);
        }
        let idle = if transport == McpTransport::Stdio {
            [members.headers, None, None, None]
        } else {
            [members.args, members.env, members.env_file, members.cwd]
        };
        for member in idle.into_iter().flatten() {
            let beside = if transport == McpTransport::Stdio {
                "has no effect beside a command"
            } else {
                "has no effect beside a url"
            };
            let origin = self.origin(member);
            self.file.doubt(&origin, beside);
        }
    }

    pub(super) fn origin(&self, member: &ObjectProp<'_>) -> Origin {
        let path = format!("{}.{}", self.name, member.name.as_str());
        self.file.origin(path, member.range.start)
    }

    /// The members of a member, of which, as clients read it, the last of a name counts.
    pub(super) fn last<'v>(
        &mut self,
        outer: &ObjectProp<'_>,
        all: &'v Object<'v>,
        name: fn(&str) -> String,
    ) -> Vec<&'v ObjectProp<'v>> {
        let members = all.properties.iter().enumerate();
        let names = members.map(|(index, each)| (name(each.name.as_str()), index));
        let last: HashMap<_, _> = names.collect();
        let mut once = Vec::with_capacity(last.len());
        for (index, each) in all.properties.iter().enumerate() {
            if last[&name(each.name.as_str())] == index {
                once.push(each);
            } else {
                let origin = self.inner(outer, each);
                self.file
                    .doubt(&origin, "is there again further on, which counts");
            }
        }
        once
    }

    /// Where a member of a member stands.
    pub(super) fn inner(&self, outer: &ObjectProp<'_>, member: &ObjectProp<'_>) -> Origin {
        let (outer, inner) = (outer.name.as_str(), member.name.as_str());
        let path = format!("{}.{outer}.{inner}", self.name);
        self.file.origin(path, member.range.start)
    }

    pub(super) fn set(&mut self, suffix: &str, text: Secret, origin: Origin) {
        let name = variable(&self.scope, suffix);
        self.variables.push((name, text, origin));
    }

    fn transport(&mut self, members: &Members<'_>, origin: &Origin) -> Option<McpTransport> {
        let (leader, likely) = match (members.command, members.url) {
            (Some(_), Some(url)) => {
                let origin = self.origin(url);
                self.file
                    .wrong(&origin, "stands beside a command: take one out");
                return None;
            }
            (None, None) => {
                self.file.wrong(origin, "has neither a command nor a url");
                return None;
            }
            (Some(command), None) => (command, McpTransport::Stdio),
            (None, Some(url)) => (url, McpTransport::StreamableHttp),
        };
        let (transport, origin) = match members.kind {
            None => (likely, self.origin(leader)),
            Some(kind) => (self.kind(kind)?, self.origin(kind)),
        };
        if (transport == McpTransport::Stdio) != (likely == McpTransport::Stdio) {
            let (says, needs) = match transport {
                McpTransport::Stdio => ("stdio", "command"),
                _ => (transport.as_str(), "url"),
            };
            let what = format!("says {says}, which needs a {needs}");
            self.file.wrong(&origin, &what);
            return None;
        }
        self.set("TRANSPORT", Secret::new(transport.as_str()), origin);
        Some(transport)
    }

    /// What the member `type` says.
    fn kind(&mut self, member: &ObjectProp<'_>) -> Option<McpTransport> {
        let word = match &member.value {
            Value::StringLit(word) => word.value.to_ascii_lowercase().replace('_', "-"),
            _ => String::new(),
        };
        match word.as_str() {
            "stdio" => Some(McpTransport::Stdio),
            "http" | "streamable-http" | "streamablehttp" => Some(McpTransport::StreamableHttp),
            "sse" => Some(McpTransport::Sse),
            _ => {
                let origin = self.origin(member);
                let what = "must be one of stdio, http, streamable-http, sse";
                self.file.wrong(&origin, what);
                None
            }
        }
    }

    /// Sets a variable to the text of a member, unless the environment does.
    fn text(&mut self, member: Option<&ObjectProp<'_>>, suffix: &str) -> Option<()> {
        let member = member?;
        let origin = self.origin(member);
        let text = self.value(&member.value, &origin, suffix)?;
        self.set(suffix, text, origin);
        Some(())
    }

    /// The expanded text of a value, unless the environment sets the variable; `None`, and a
    /// problem, if it is no text or cannot be expanded.
    pub(super) fn value(
        &mut self,
        value: &Value<'_>,
        origin: &Origin,
        suffix: &str,
    ) -> Option<Secret> {
        if self.file.is_set(&self.scope, suffix) {
            return None;
        }
        let Some(text) = scalar(value) else {
            self.file.wrong(origin, "must be a text");
            return None;
        };
        let instead = variable(&self.scope, suffix);
        self.file.expand(&text, origin, Some(&instead))
    }

    fn arguments(&mut self, member: Option<&ObjectProp<'_>>) -> Option<()> {
        let member = member?;
        let origin = self.origin(member);
        if self.file.is_set(&self.scope, "ARGS") {
            return None;
        }
        let Value::Array(all) = &member.value else {
            self.file.wrong(&origin, "must be an array of texts");
            return None;
        };
        let mut arguments = Vec::with_capacity(all.elements.len());
        for (index, element) in all.elements.iter().enumerate() {
            let path = format!("{}.args[{index}]", self.name);
            let origin = self.file.origin(path, start(element));
            if let Some(text) = self.value(element, &origin, "ARGS") {
                arguments.push(text.expose().to_owned());
            }
        }
        let json = serde_json::Value::from(arguments).to_string();
        self.set("ARGS", Secret::new(json), origin);
        Some(())
    }

    fn environment(&mut self, member: Option<&ObjectProp<'_>>) {
        let Some(member) = member else {
            return;
        };
        let Value::Object(variables) = &member.value else {
            let origin = self.origin(member);
            return self.file.wrong(&origin, "must be an object of texts");
        };
        for each in self.last(member, variables, str::to_owned) {
            // What is null is not set.
            if matches!(each.value, Value::NullKeyword(_)) {
                continue;
            }
            let origin = self.inner(member, each);
            let suffix = format!("ENV_{}", each.name.as_str());
            if let Some(text) = self.value(&each.value, &origin, &suffix) {
                self.set(&suffix, text, origin);
            }
        }
    }

    fn environment_file(&mut self, member: Option<&ObjectProp<'_>>) -> Option<()> {
        let member = member?;
        let origin = self.origin(member);
        let Some(text) = scalar(&member.value) else {
            self.file.wrong(&origin, "must be a text");
            return None;
        };
        let path = self.file.expand(&text, &origin, None)?;
        let path = self.file.workspace().join(path.expose());
        let text = match source::read(&path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("names {}, which cannot be read: {error}", path.display());
                self.file.wrong(&origin, &what);
                return None;
            }
        };
        let shown = path.display().to_string();
        let (assignments, problems) = dotenv::parse(&text, &shown);
        if !problems.is_empty() {
            for problem in problems {
                self.file.problem(problem.to_string());
            }
            return None;
        }
        let (assignments, warnings) = dotenv::once(assignments, &shown);
        for warning in warnings {
            self.file.warn(warning);
        }
        for (name, assignment) in assignments {
            let suffix = format!("ENV_{name}");
            let origin = Origin::DotEnv {
                variable: name,
                path: path.clone(),
                line: assignment.line,
            };
            self.set(&suffix, Secret::new(assignment.value), origin);
        }
        Some(())
    }

    /// A relative directory is one of the workspace, wherever the gateway was started.
    fn directory(&mut self, member: Option<&ObjectProp<'_>>) -> Option<()> {
        let member = member?;
        let origin = self.origin(member);
        let text = self.value(&member.value, &origin, "WORKING_DIR")?;
        let directory = self.file.workspace().join(Path::new(text.expose()));
        let directory = directory.display().to_string();
        self.set("WORKING_DIR", Secret::new(directory), origin);
        Some(())
    }

    fn url(
        &mut self,
        member: Option<&ObjectProp<'_>>,
        transport: McpTransport,
        is_said: bool,
    ) -> Option<()> {
        let member = member?;
        let origin = self.origin(member);
        let text = self.value(&member.value, &origin, "ENDPOINT")?;
        let (endpoint, query) = match text.expose().split_once('?') {
            Some((endpoint, query)) => (Secret::new(endpoint), Some(Secret::new(query))),
            None => (text, None),
        };
        if endpoint.expose().contains([',', ';']) {
            // Both mean something in the variable that holds several endpoints.
            self.file
                .wrong(&origin, "must not hold a comma or a semicolon");
            return None;
        }
        let path = endpoint.expose().trim_end_matches('/');
        if transport == McpTransport::StreamableHttp && !is_said && path.ends_with("/sse") {
            let what = "ends in /sse: if the server speaks HTTP+SSE, add \"type\": \"sse\"";
            self.file.doubt(&origin, what);
        }
        if let Some(query) = query {
            self.set("QUERY", query, origin.clone());
        }
        self.set("ENDPOINT", endpoint, origin);
        Some(())
    }
}

/// The text of a value that is one, or as good as one.
fn scalar<'a>(value: &'a Value<'_>) -> Option<Cow<'a, str>> {
    match value {
        Value::StringLit(text) => Some(Cow::Borrowed(&text.value)),
        Value::NumberLit(number) => Some(Cow::Borrowed(number.value)),
        Value::BooleanLit(it) => Some(Cow::Borrowed(if it.value { "true" } else { "false" })),
        Value::Object(_) | Value::Array(_) | Value::NullKeyword(_) => None,
    }
}

fn start(value: &Value<'_>) -> usize {
    use jsonc_parser::common::Ranged;

    value.range().start
}
