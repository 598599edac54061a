use std::time::Duration;

use bartizan_auth::Secret;
use http::{HeaderName, HeaderValue, uri::PathAndQuery};

use crate::{
    McpTransport, Origin, Problem, ProgramSettings, RegisteredKind, RestSettings, Setting,
    StdioSettings, Variable,
    placeholder::is_placeholder,
    reader::{Member, Reader, Scope},
    table,
    value::{Fault, Value},
};

/// What a service speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Plain HTTP: an operation is a path.
    Rest(RestSettings),
    /// The Model Context Protocol: an operation is a tool.
    Mcp(Box<McpSettings>),
}

/// What holds for a service that is an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpSettings {
    /// How the server is reached; of a registered service, how an instance is whose registry does
    /// not say, which is never [`McpTransport::Stdio`].
    pub transport: Setting<McpTransport>,
    /// The process that is the server; there is one if and only if the transport is
    /// [`McpTransport::Stdio`].
    pub stdio: Option<StdioSettings>,
    /// What holds for instances that are programs; only of a registered service.
    pub programs: Option<ProgramSettings>,
    /// The headers of every request besides those of the protocol and of authentication, each
    /// once and with a value that can be sent; none for [`McpTransport::Stdio`].
    pub headers: Vec<(HeaderName, Setting<Secret>)>,
    /// The query of every request, without the question mark, which a URI can have; none for
    /// [`McpTransport::Stdio`].
    pub query: Option<Setting<Secret>>,
    /// Whether the server is believed when it calls a tool read-only or idempotent.
    pub trust_annotations: Setting<bool>,
    /// How long a streamed answer may say nothing.
    pub stream_idle_timeout: Setting<Duration>,
}

impl ServiceKind {
    /// What holds for the MCP server, if it is one.
    #[must_use]
    pub fn mcp(&self) -> Option<&McpSettings> {
        match self {
            Self::Rest(_) => None,
            Self::Mcp(settings) => Some(settings),
        }
    }

    /// What holds for the plain service, if it is one.
    #[must_use]
    pub fn rest(&self) -> Option<&RestSettings> {
        match self {
            Self::Rest(settings) => Some(settings),
            Self::Mcp(_) => None,
        }
    }

    /// What holds for the process, if the service is one.
    #[must_use]
    pub fn stdio(&self) -> Option<&StdioSettings> {
        self.mcp()?.stdio.as_ref()
    }

    /// Reads the kind of a service; `None` if something is wrong that has no default.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        scope: &Scope,
        name: &str,
        transport: Option<Setting<McpTransport>>,
        is_registered: bool,
    ) -> Option<Self> {
        let Some(transport) = transport else {
            return Some(Self::Rest(RestSettings::read(reader, scope)));
        };
        check_name(reader, scope, name);
        if is_registered && *transport == McpTransport::Stdio {
            let words = "its registry says which of its instances are programs";
            reader
                .problem(Problem::new(scope.message(words)).detail(transport.origin().to_string()));
            return None;
        }
        let programs = is_registered.then(|| ProgramSettings::read(reader, scope));
        let (stdio, headers, query) = if *transport == McpTransport::Stdio {
            (Some(StdioSettings::read(reader, scope)), Vec::new(), None)
        } else {
            (None, headers(reader, scope), query(reader, scope))
        };
        let trust_annotations = reader.setting(scope, &table::TRUST_ANNOTATIONS);
        let stream_idle_timeout = reader.setting(scope, &table::STREAM_IDLE_TIMEOUT);
        Some(Self::Mcp(Box::new(McpSettings {
            transport,
            stdio: match stdio {
                Some(stdio) => Some(stdio?),
                None => None,
            },
            programs,
            headers,
            query,
            trust_annotations,
            stream_idle_timeout,
        })))
    }
}

/// The transport of an MCP server; `None` for a plain service.
pub(crate) fn transport(reader: &mut Reader<'_>, scope: &Scope) -> Option<Setting<McpTransport>> {
    let has_command = reader.is_set(scope, &table::COMMAND);
    let likely = if has_command {
        Transport(Some(McpTransport::Stdio))
    } else if reader.is_set(scope, &table::TRANSPORT) {
        // A word that is wrong is likelier one of these than a plain service's.
        Transport(Some(McpTransport::StreamableHttp))
    } else {
        Transport(None)
    };
    let likely = Setting::new(likely, Origin::Default("a command is what is started"));
    let transport = reader.inherit(scope, &table::TRANSPORT, &likely);
    if has_command && transport.0 != Some(McpTransport::Stdio) {
        let word = transport.0.map_or("rest", McpTransport::as_str);
        let words = format!("a command is for the transport stdio, not {word}");
        reader.wrong_value(scope, &table::COMMAND, &words);
    }
    let spoken = transport.0?;
    Some(transport.map(|_| spoken))
}

/// The text of `MCP_SERVICE_<NAME>_TRANSPORT`; none is a plain service.
#[derive(Clone)]
pub(crate) struct Transport(Option<McpTransport>);

impl Transport {
    pub(crate) const WORDS: &'static [&'static str] = &["rest", "streamable-http", "sse", "stdio"];

    pub(crate) fn kind(&self) -> RegisteredKind {
        match self.0 {
            None => RegisteredKind::Rest,
            Some(_) => RegisteredKind::Mcp,
        }
    }
}

impl Value for Transport {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        match text.to_ascii_lowercase().as_str() {
            "rest" => Ok(Self(None)),
            // What the files of Claude Code and Cursor call it.
            "http" | "streamablehttp" => Ok(Self(Some(McpTransport::StreamableHttp))),
            word => match McpTransport::parse(variable, word) {
                Ok(transport) => Ok(Self(Some(transport))),
                Err(_) => Err(Fault::of_choice(variable, Self::WORDS)),
            },
        }
    }
}

/// An MCP service is reached at `/mcp/{name}`, beside routes of the gateway's own.
fn check_name(reader: &mut Reader<'_>, scope: &Scope, name: &str) {
    const TAKEN: [&str; 9] = [
        "health", "invoke", "jobs", "message", "messages", "request", "services", "sse", "tools",
    ];

    if TAKEN.contains(&name) {
        reader.problem(Problem::new(scope.message(&format!(
            "an MCP service cannot have this name: /mcp/{name} is a route of the gateway"
        ))));
    } else if matches!(name, "." | "..") {
        reader.problem(Problem::new(
            scope.message("an MCP service cannot have this name: no URL can hold it"),
        ));
    }
}

fn query(reader: &mut Reader<'_>, scope: &Scope) -> Option<Setting<Secret>> {
    let query = reader.secret(scope, &table::SERVICE_QUERY)?;
    let text = query.expose().trim_start_matches('?');
    if text.is_empty() {
        return None;
    }
    let is_one = !text.contains('#') && PathAndQuery::try_from(format!("/?{text}")).is_ok();
    if !is_one {
        let words = scope.message("query holds characters that a URL cannot: encode them");
        reader.wrong_secret(scope, &table::SERVICE_QUERY, words);
        return None;
    }
    let text = Secret::new(text);
    Some(query.map(|_| text))
}

fn headers(reader: &mut Reader<'_>, scope: &Scope) -> Vec<(HeaderName, Setting<Secret>)> {
    let mut headers: Vec<(HeaderName, Setting<Secret>)> = Vec::new();
    let mut members = reader.family(scope, &table::SERVICE_HEADER);
    members.retain(|member| !member.text.expose().trim().is_empty());
    // What the environment says comes first, and wins over files, which spell names as they like.
    members.sort_by_key(|member| member.text.origin().rank());
    for member in members {
        match header(reader, scope, &member) {
            Ok((name, _)) if headers.iter().any(|(other, _)| *other == name) => {}
            Ok(header) => headers.push(header),
            Err(words) => {
                let problem = Problem::new(scope.message(&words));
                reader.problem(problem.detail(member.place()));
            }
        }
    }
    headers
}

/// The header of one variable, or why it cannot be sent.
fn header(
    reader: &Reader<'_>,
    scope: &Scope,
    member: &Member,
) -> Result<(HeaderName, Setting<Secret>), String> {
    // A structured file has names as they are sent.
    let name = if member.text.origin().is_structured() {
        member.suffix.clone()
    } else {
        member.suffix.replace('_', "-")
    };
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "no header can have this name".to_owned())?;
    if is_of_the_transport(&name) {
        return Err(format!("the gateway itself writes the header {name}"));
    }
    if name == http::header::AUTHORIZATION && reader.is_set(scope, &table::AUTH_TYPE) {
        let auth_type = scope.name(&table::AUTH_TYPE);
        return Err(format!("{auth_type} writes the header {name}"));
    }
    let value = member.text.expose().trim();
    if HeaderValue::from_str(value).is_err() {
        return Err(format!(
            "header {name} holds characters that cannot be sent"
        ));
    }
    // `Bearer your-token` is as good as `your-token`.
    let credential = value.rsplit(' ').next().unwrap_or(value);
    if reader.refuses_placeholder(credential) && !value.is_empty() {
        return Err(format!("header {name} is a placeholder"));
    }
    let value = Secret::new(value);
    Ok((name, member.text.clone().map(|_| value)))
}

/// Whether the client, the transport or the connection writes the header itself, so that another
/// value of it would break requests.
pub(crate) fn is_of_the_transport(name: &HeaderName) -> bool {
    const NAMES: [&str; 12] = [
        "accept",
        "connection",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];

    let name = name.as_str();
    NAMES.contains(&name) || name.starts_with("content-") || name.starts_with("mcp-")
}

/// Whether this text stands in place of a credential of this name. Fewer names are those of
/// credentials here than where they are hidden: what is right must not be refused.
pub(crate) fn is_missing_credential(name: &str, text: &str) -> bool {
    const MARKS: [&str; 7] = [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "CREDENTIAL",
        "API_KEY",
        "APIKEY",
    ];

    let name = name.to_ascii_uppercase().replace('-', "_");
    let is_credential = MARKS.iter().any(|mark| name.contains(mark)) || name.ends_with("_KEY");
    is_credential && !text.trim().is_empty() && is_placeholder(text)
}
