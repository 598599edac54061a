use std::{
    collections::HashSet,
    fs::File,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use bartizan_auth::Secret;
use bartizan_telemetry::logs;
use url::Url;

use crate::{
    CorsOrigins, Dialect, InstanceSettings, LogFormat, McpGatewaySettings, Origin, Problem,
    Setting, Variable,
    reader::{Reader, Scope, quoted},
    table,
    value::{Fault, Value, items},
};

/// What holds for the gateway as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewaySettings {
    /// The base URL under which callers reach the gateway; informational.
    pub url: Setting<Url>,
    /// The address to listen on.
    pub host: Setting<IpAddr>,
    /// The port to listen on; 0 lets the operating system choose.
    pub port: Setting<u16>,
    /// The certificate to serve TLS with; plain HTTP without.
    pub tls: Option<TlsSettings>,
    /// Whether an address that is not loopback is allowed without inbound authentication.
    pub insecure_bind: Setting<bool>,
    /// The keys that callers must show one of; `None` asks nobody.
    pub api_keys: Option<Setting<Vec<Secret>>>,
    /// The keys that those must show one of who do what an operator does; `None` lets nobody.
    pub admin_keys: Option<Setting<Vec<Secret>>>,
    /// Whether the API is described at `/openapi.json`, `/docs` and `/redoc`.
    pub docs: Setting<bool>,
    /// What `GET /health` answers.
    pub dialect: Setting<Dialect>,
    /// The web origins whose pages may read answers.
    pub cors_origins: Setting<CorsOrigins>,
    /// Whether `POST /mcp/request` answers with the status that fits.
    pub strict_status: Setting<bool>,
    /// The largest body of a request, in bytes.
    pub max_body_bytes: Setting<usize>,
    /// The largest head of a request, in bytes.
    pub max_header_bytes: Setting<usize>,
    /// How many connections are open at once.
    pub max_connections: Setting<NonZeroU32>,
    /// How long the head of a request may take to arrive.
    pub header_read_timeout: Setting<Duration>,
    /// How long the body of a request may take to arrive.
    pub body_read_timeout: Setting<Duration>,
    /// The timeout of a call to a service without a timeout of its own.
    pub default_timeout: Setting<Duration>,
    /// How long a connection to a service may take to be established.
    pub connect_timeout: Setting<Duration>,
    /// The largest answer of a service that is put into an envelope, in bytes.
    pub max_response_bytes: Setting<usize>,
    /// How many calls of one service may wait for its rate limit.
    pub max_waiting: Setting<u32>,
    /// The certificate authorities that services are trusted by; the system's without.
    pub upstream_ca_file: Option<Setting<PathBuf>>,
    /// What holds for it as an MCP server.
    pub mcp: McpGatewaySettings,
    /// What holds for services that a registry lists.
    pub instances: InstanceSettings,
    /// How many threads serve connections; one for each processor where it is not set.
    pub workers: Option<Setting<NonZeroU32>>,
    /// Whether the configuration is read anew when a file that it came from changes.
    pub watch_files: Setting<bool>,
    /// How long the gateway goes on accepting after it was told to stop.
    pub drain_delay: Setting<Duration>,
    /// How long calls in flight may take after a signal to end.
    pub drain_timeout: Setting<Duration>,
    /// Which log lines are written: a level or a filter of `tracing`.
    pub log_filter: Setting<String>,
    /// The form of log lines.
    pub log_format: Setting<LogFormat>,
    /// Whether text logs may have colour, where they go to a terminal.
    pub log_color: Setting<bool>,
}

/// The certificate to serve TLS with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The file of the certificate chain, in PEM.
    pub certificate: Setting<PathBuf>,
    /// The file of its private key, in PEM.
    pub key: Setting<PathBuf>,
}

impl GatewaySettings {
    /// The address and port to listen on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(*self.host, *self.port)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let scope = &Scope::gateway();
        if reader.is_explicit() && !reader.is_set(scope, &table::GATEWAY_URL) {
            reader.problem(Problem::new("Gateway URL is required"));
        }
        let color = reader.text(scope, &table::NO_COLOR);
        let filter: Setting<LogFilter> = reader.setting(scope, &table::LOG_LEVEL);
        let settings = Self {
            url: reader.setting(scope, &table::GATEWAY_URL),
            default_timeout: reader.setting(scope, &table::DEFAULT_TIMEOUT),
            host: host(reader, scope),
            port: port(reader, scope),
            tls: tls(reader, scope),
            insecure_bind: reader.setting(scope, &table::INSECURE_BIND),
            api_keys: keys(reader, scope, &table::API_KEYS),
            admin_keys: keys(reader, scope, &table::ADMIN_KEYS),
            docs: reader.setting(scope, &table::DOCS),
            dialect: reader.setting(scope, &table::DIALECT),
            cors_origins: reader.setting(scope, &table::CORS_ORIGINS),
            strict_status: reader.setting(scope, &table::STRICT_STATUS),
            max_body_bytes: reader.setting(scope, &table::MAX_BODY_BYTES),
            max_header_bytes: reader.setting(scope, &table::MAX_HEADER_BYTES),
            max_connections: reader.setting(scope, &table::MAX_CONNECTIONS),
            header_read_timeout: reader.setting(scope, &table::HEADER_READ_TIMEOUT),
            body_read_timeout: reader.setting(scope, &table::BODY_READ_TIMEOUT),
            connect_timeout: reader.setting(scope, &table::CONNECT_TIMEOUT),
            max_response_bytes: reader.setting(scope, &table::MAX_RESPONSE_BYTES),
            max_waiting: reader.setting(scope, &table::MAX_WAITING),
            upstream_ca_file: file(reader, scope, &table::UPSTREAM_CA_FILE),
            mcp: McpGatewaySettings::read(reader, scope),
            instances: InstanceSettings::read(reader, scope),
            workers: reader.optional(scope, &table::WORKERS),
            watch_files: reader.setting(scope, &table::WATCH_FILES),
            drain_delay: reader.setting(scope, &table::DRAIN_DELAY),
            drain_timeout: reader.setting(scope, &table::DRAIN_TIMEOUT),
            log_filter: filter.map(|LogFilter(text)| text),
            log_format: reader.setting(scope, &table::LOG_FORMAT),
            log_color: color.map_or_else(
                || Setting::new(true, Origin::Default("colour on a terminal")),
                |no| no.map(|_| false),
            ),
        };
        settings.guard(reader, scope);
        settings.check_operators(reader, scope);
        settings
    }

    /// Whoever reaches the port spends the credentials of every service: the network may only if
    /// callers show a key, or the operator says so.
    fn guard(&self, reader: &mut Reader<'_>, scope: &Scope) {
        let asks = reader.is_set(scope, &table::API_KEYS);
        if self.host.is_loopback() || asks {
            return;
        }
        let host = *self.host;
        if *self.insecure_bind {
            reader.warn(format!(
                "listening on {host} without inbound authentication: whoever reaches the port \
                 calls every service with its credentials"
            ));
            if self.mcp.allowed_hosts.is_none() {
                reader.warn(
                    "without MCP_ALLOWED_HOSTS a page of a browser that can reach the port may \
                     take a name of its own for the gateway's (DNS rebinding)",
                );
            }
        } else {
            reader.problem(Problem::new(format!(
                "refusing to listen on {host} without inbound authentication: set \
                 MCP_GATEWAY_API_KEYS, or MCP_GATEWAY_INSECURE_BIND=true if something in front \
                 of the gateway authenticates its callers"
            )));
        }
    }

    /// Whoever calls would be an operator, or nobody is one who could do what is allowed to one.
    fn check_operators(&self, reader: &mut Reader<'_>, scope: &Scope) {
        let mut of_callers = self.api_keys.iter().flat_map(Setting::value);
        let of_operators = self.admin_keys.iter().flat_map(Setting::value);
        if of_callers.any(|key| of_operators.clone().any(|other| other == key)) {
            let callers = reader.secret_name(scope, &table::API_KEYS);
            let operators = reader.secret_name(scope, &table::ADMIN_KEYS);
            reader.warn(format!(
                "{callers} and {operators} hold the same key: who shows it may do what an \
                 operator does"
            ));
        }
        if self.admin_keys.is_none() && !self.instances.allowed_commands.is_empty() {
            let allowed = reader.place(table::ALLOWED_COMMANDS.name);
            reader.warn(format!(
                "{allowed} has no effect without MCP_GATEWAY_ADMIN_KEYS: only who shows one may \
                 register a program"
            ));
        }
    }
}

/// The address, for which two names are documented.
pub(crate) fn host(reader: &mut Reader<'_>, scope: &Scope) -> Setting<IpAddr> {
    let ours = reader.is_set(scope, &table::HOST);
    let plain: Setting<IpAddr> = match reader.text(scope, &table::PLAIN_HOST) {
        // tcsh sets it to the name of the machine, compilers of conda to that of the platform.
        Some(text) if !is_address(&text) => {
            if !ours {
                let text = quoted(&text);
                reader.warn(format!("HOST is {text}, which is no address; passed over"));
            }
            reader.default(&table::PLAIN_HOST)
        }
        _ => reader.setting(scope, &table::PLAIN_HOST),
    };
    let host = reader.inherit(scope, &table::HOST, &plain);
    if ours
        && *host != *plain
        && !matches!(host.origin(), Origin::Flag(_))
        && matches!(plain.origin(), Origin::Variable(_) | Origin::DotEnv { .. })
    {
        reader.warn(format!(
            "HOST is {} and MCP_GATEWAY_HOST is {}: the latter counts",
            *plain, *host
        ));
    }
    host
}

/// Whether the text of `HOST` is meant for a gateway.
pub(crate) fn is_address(text: &str) -> bool {
    IpAddr::parse(&table::PLAIN_HOST, text).is_ok()
}

/// Whether the text of `MCP_GATEWAY_PORT` is what Kubernetes sets for a service of that name.
pub(crate) fn is_service_link(text: &str) -> bool {
    let schemes = ["tcp://", "udp://", "sctp://"];
    schemes.iter().any(|scheme| text.starts_with(scheme))
}

pub(crate) fn port(reader: &mut Reader<'_>, scope: &Scope) -> Setting<u16> {
    let plain = reader.setting(scope, &table::PORT);
    match reader.text(scope, &table::GATEWAY_PORT) {
        None => plain,
        Some(text) if is_service_link(&text) => {
            reader.note("MCP_GATEWAY_PORT is a service link of Kubernetes, not a port");
            plain
        }
        Some(_) => {
            let port = reader.inherit(scope, &table::GATEWAY_PORT, &plain);
            // A flag is there to win.
            let is_flag = matches!(port.origin(), Origin::Flag(_));
            if reader.is_set(scope, &table::PORT) && *port != *plain && !is_flag {
                reader.warn(format!(
                    "PORT is {} and MCP_GATEWAY_PORT is {}: the latter counts",
                    *plain, *port
                ));
            }
            port
        }
    }
}

fn tls(reader: &mut Reader<'_>, scope: &Scope) -> Option<TlsSettings> {
    let set = |variable| reader.is_set(scope, variable);
    let (has_certificate, has_key) = (set(&table::TLS_CERT_FILE), set(&table::TLS_KEY_FILE));
    if has_certificate != has_key {
        reader.problem(Problem::new(
            "MCP_GATEWAY_TLS_CERT_FILE and MCP_GATEWAY_TLS_KEY_FILE must be set together",
        ));
    }
    let certificate = file(reader, scope, &table::TLS_CERT_FILE);
    let key = file(reader, scope, &table::TLS_KEY_FILE);
    Some(TlsSettings {
        certificate: certificate?,
        key: key?,
    })
}

/// A path to a file that can be opened. Whoever uses it reads it; looking here as well puts an
/// absent file into the one list of everything that is wrong.
fn file(reader: &mut Reader<'_>, scope: &Scope, variable: &Variable) -> Option<Setting<PathBuf>> {
    let path: Setting<PathBuf> = reader.optional(scope, variable)?;
    let error = match File::open(&*path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => "it is a directory".to_owned(),
        Ok(_) => return Some(path),
        Err(error) => error.to_string(),
    };
    let place = reader.place(&scope.name(variable));
    let problem = Problem::new(format!("{place} must name a readable file"));
    reader.problem(
        problem
            .detail(format!("{}: {error}", path.display()))
            .certain(),
    );
    None
}

struct LogFilter(String);

impl Value for LogFilter {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let text = in_our_words(text);
        match logs::check(&text) {
            Ok(()) => Ok(Self(text)),
            Err(_) => Err(Fault::must(
                "be error, warn, info, debug, trace, off, or a filter such as \
                 info,bartizan_retry=debug",
            )),
        }
    }
}

/// A filter with its levels in our words: those of MCP Platform are Python's.
fn in_our_words(filter: &str) -> String {
    // Fields of spans may hold commas of their own.
    if filter.contains(['[', '{']) {
        return filter.to_owned();
    }
    let parts = filter.split(',').map(|part| match part.trim() {
        level if level.eq_ignore_ascii_case("warning") => "warn",
        level if level.eq_ignore_ascii_case("critical") => "error",
        other => other,
    });
    parts.collect::<Vec<_>>().join(",")
}

pub(crate) fn keys(
    reader: &mut Reader<'_>,
    scope: &Scope,
    variable: &Variable,
) -> Option<Setting<Vec<Secret>>> {
    /// 96 bits in base 64. Shorter keys may be guessed, but they are the operator's choice.
    const ADVISABLE_LENGTH: usize = 16;

    let text = reader.secret_text(scope, variable)?;
    let name = reader.place(&reader.secret_name(scope, variable));
    let mut seen = HashSet::new();
    let keys: Vec<_> = items(text.expose(), &[',', '\n'])
        .filter(|key| seen.insert(*key))
        .collect();
    let sendable = |key: &&str| key.bytes().all(|byte| byte.is_ascii_graphic());
    if keys.is_empty() {
        reader.problem(Problem::new(format!("{name} must hold at least one key")));
    } else if !keys.iter().all(sendable) {
        reader.problem(Problem::new(format!(
            "{name} must hold keys of visible ASCII characters"
        )));
    } else if keys.iter().any(|key| reader.refuses_placeholder(key)) {
        reader.problem(Problem::new(format!("{name} holds a placeholder")));
    } else if keys.iter().any(|key| key.len() < ADVISABLE_LENGTH) {
        reader.warn(format!(
            "{name} holds a key of fewer than {ADVISABLE_LENGTH} characters"
        ));
    }
    let keys = keys.into_iter().map(Secret::new).collect();
    Some(text.map(|_| keys))
}
