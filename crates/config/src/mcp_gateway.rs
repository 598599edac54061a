use std::{collections::HashSet, num::NonZeroU32, time::Duration};

use bartizan_auth::Secret;

use crate::{
    AllowedHosts, CorsOrigins, Origin, Problem, Setting, Variable,
    reader::{Reader, Scope},
    table,
    value::{Fault, Value, items},
};

/// What most servers need a fraction of.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What holds for the gateway as an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpGatewaySettings {
    /// What stands between a service and its tool; 1 to 4 letters, digits, `_`, `.` or `-`.
    pub separator: Setting<String>,
    /// The keys that sessions are sealed with, of at least 32 bytes each; the first seals, all
    /// open. `None` makes one up.
    pub session_keys: Option<Setting<Vec<Secret>>>,
    /// How long a session is kept that its client does not use.
    pub session_idle_timeout: Setting<Duration>,
    /// How many sessions are open at once.
    pub max_sessions: Setting<NonZeroU32>,
    /// How many of them belong to one caller.
    pub max_sessions_per_caller: Setting<NonZeroU32>,
    /// What the `Host` of a request may be; `None` leaves it to where the gateway listens.
    pub allowed_hosts: Option<Setting<AllowedHosts>>,
    /// The web origins whose pages may send requests; `None` allows those of this machine.
    pub allowed_origins: Option<Setting<CorsOrigins>>,
    /// How long a stream to a client is silent before a comment keeps it open; at most 25 s.
    pub keep_alive: Setting<Duration>,
    /// How long a slow service may delay the lists of all services.
    pub list_timeout: Setting<Duration>,
    /// How many processes of `stdio` services run at once.
    pub max_children: Setting<NonZeroU32>,
    /// How long such a process may take to end by itself once its input has, before it is told
    /// to. No variable sets it: only a program that is given less time itself gives them less.
    pub stop_grace: Setting<Duration>,
    /// The most bytes that one streamed answer may have.
    pub max_stream_bytes: Setting<usize>,
}

impl McpGatewaySettings {
    pub(crate) fn read(reader: &mut Reader<'_>, scope: &Scope) -> Self {
        let separator: Setting<Separator> = reader.setting(scope, &table::TOOL_SEPARATOR);
        let max_sessions = reader.setting(scope, &table::MAX_SESSIONS);
        let max_sessions_per_caller =
            reader.inherit(scope, &table::MAX_SESSIONS_PER_CALLER, &max_sessions);
        Self {
            separator: separator.map(|Separator(text)| text),
            session_keys: session_keys(reader, scope),
            session_idle_timeout: reader.setting(scope, &table::SESSION_IDLE_TIMEOUT),
            max_sessions,
            max_sessions_per_caller,
            allowed_hosts: reader.optional(scope, &table::ALLOWED_HOSTS),
            allowed_origins: reader.optional(scope, &table::ALLOWED_ORIGINS),
            keep_alive: reader.setting(scope, &table::KEEP_ALIVE),
            list_timeout: reader.setting(scope, &table::LIST_TIMEOUT),
            max_children: reader.setting(scope, &table::MAX_CHILDREN),
            stop_grace: Setting::new(STOP_GRACE, Origin::Default("as the Python SDK waits")),
            max_stream_bytes: reader.setting(scope, &table::MAX_STREAM_BYTES),
        }
    }
}

struct Separator(String);

impl Value for Separator {
    /// What the names of tools may hold, and short: clients cut names at 64 characters.
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if (1..=4).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::must("be 1 to 4 letters, digits, or any of _ . -"))
        }
    }
}

fn session_keys(reader: &mut Reader<'_>, scope: &Scope) -> Option<Setting<Vec<Secret>>> {
    /// 192 bits in base 64, 128 in hexadecimal digits.
    const LEAST_LENGTH: usize = 32;

    let text = reader.secret_text(scope, &table::SESSION_KEYS)?;
    let name = reader.place(&reader.secret_name(scope, &table::SESSION_KEYS));
    let mut seen = HashSet::new();
    let keys: Vec<_> = items(text.expose(), &[',', '\n'])
        .filter(|key| seen.insert(*key))
        .collect();
    if keys.is_empty() {
        reader.problem(Problem::new(format!("{name} must hold at least one key")));
    } else if keys.iter().any(|key| reader.refuses_placeholder(key)) {
        reader.problem(Problem::new(format!("{name} holds a placeholder")));
    } else if keys.iter().any(|key| key.len() < LEAST_LENGTH) {
        reader.problem(Problem::new(format!(
            "{name} must hold keys of at least {LEAST_LENGTH} characters"
        )));
    }
    let keys = keys.into_iter().map(Secret::new).collect();
    Some(text.map(|_| keys))
}
