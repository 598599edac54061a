use std::{fmt, net::IpAddr, path::PathBuf};

use clap::{ArgAction, ArgGroup, Args, Subcommand, ValueEnum, value_parser};
use http::Uri;

/// What can be done with a gateway and its registry.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Serve the templates that a registry lists
    #[command(disable_help_flag = true)]
    Start(Start),
    /// Show templates and instances, and how they are
    Status(Place),
    /// Have the gateway look at all its sources now
    Sync(Sync),
    /// Add an instance to a template
    Register(Box<Register>),
    /// Take an instance out of a template
    Deregister(Deregister),
    /// Take out instances that fail their health checks
    Cleanup(Cleanup),
}

/// What to serve, and how.
#[derive(Debug, Args)]
#[command(after_help = "Everything else is configured by variables, as for `bartizan serve`.")]
pub(crate) struct Start {
    /// The address to listen on [default: MCP_GATEWAY_HOST, or 127.0.0.1]
    ///
    /// One that is not loopback needs MCP_GATEWAY_API_KEYS, or MCP_GATEWAY_INSECURE_BIND=true.
    #[arg(long, short = 'h', value_name = "ADDRESS", value_parser = address)]
    pub(crate) host: Option<IpAddr>,
    /// The port to listen on [default: MCP_GATEWAY_PORT, or 8080]
    #[arg(long, short)]
    pub(crate) port: Option<u16>,
    /// The registry [default: the configured one, or ~/.mcp/gateway_registry.json]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) registry: Option<PathBuf>,
    /// Look at all sources of instances from the start, which is always done
    #[arg(long, overrides_with = "no_sync")]
    pub(crate) sync: bool,
    /// Accepted and without effect: a gateway always follows its sources
    #[arg(long, overrides_with = "sync")]
    pub(crate) no_sync: bool,
    /// Seconds from one health check to the next [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u32).range(1..))]
    pub(crate) health_interval: Option<u32>,
    /// Which log lines are written: error, warn, info, debug, trace, off [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Go on in the background, with a log and a pid file beside the registry
    #[arg(long)]
    pub(crate) background: bool,
    /// With --background, say where it runs as JSON
    #[arg(long, requires = "background")]
    pub(crate) json: bool,
    /// What --background starts
    #[arg(long, hide = true, conflicts_with = "background")]
    pub(crate) detached: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Which registry is meant, and how what is done is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which gateway")]
pub(crate) struct Place {
    /// The registry [default: the configured one, or ~/.mcp/gateway_registry.json]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) registry: Option<PathBuf>,
    /// The gateway [default: the one that runs with this registry, or at MCP_GATEWAY_HOST and _PORT]
    #[arg(long, value_parser = base_url)]
    pub(crate) url: Option<String>,
    /// Use the file of the registry even if a gateway runs
    #[arg(long, conflicts_with = "url")]
    pub(crate) offline: bool,
    /// A file that holds the key to show [default: the first of MCP_GATEWAY_API_KEYS]
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// The certificate authorities that an https gateway is trusted by, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Accepted for docker, kubernetes and local: all sources are looked at
    #[arg(long, short)]
    pub(crate) backend: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What to add.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["endpoint", "command"]))]
pub(crate) struct Register {
    /// The template
    pub(crate) template: String,
    /// Where the instance is, such as http://localhost:7071
    #[arg(long, short, value_name = "URL", value_parser = endpoint)]
    pub(crate) endpoint: Option<String>,
    /// The program that is the instance, with its arguments, quoted as for a shell
    #[arg(long, short, value_parser = words)]
    pub(crate) command: Option<Words>,
    /// What the instance is called [default: the template and the time]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// How it is spoken to [default: http of an endpoint, stdio of a command]
    #[arg(long, short)]
    pub(crate) transport: Option<Transport>,
    /// What it runs in: docker, kubernetes, local
    #[arg(long, short)]
    pub(crate) backend: Option<String>,
    /// The directory that the command is started in
    #[arg(long, value_name = "DIR", conflicts_with = "endpoint")]
    pub(crate) working_dir: Option<PathBuf>,
    /// A variable that the command is started with; may be repeated
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "endpoint", value_parser = variable)]
    pub(crate) env: Vec<Assignment>,
    /// How many times the calls of an instance of weight 1 it takes
    #[arg(long, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) weight: Option<u32>,
    /// Seconds after which a running gateway forgets it, unless it is registered again
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u32).range(1..))]
    pub(crate) ttl: Option<u32>,
    /// Where its health is asked for
    #[arg(long, value_name = "URL", conflicts_with = "command", value_parser = place)]
    pub(crate) health_url: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What to take out.
#[derive(Debug, Args)]
pub(crate) struct Deregister {
    /// The template
    pub(crate) template: String,
    /// The instance
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What to take out, and whether to ask.
#[derive(Debug, Args)]
pub(crate) struct Cleanup {
    /// How many health checks in a row an instance must have failed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_failures: u32,
    /// Only say what would be taken out
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// How an instance is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Streamable HTTP
    #[value(alias = "streamable-http")]
    Http,
    /// HTTP with one stream of events
    Sse,
    /// Standard input and output
    Stdio,
}

impl Transport {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Stdio => "stdio",
        }
    }
}

/// A program and its arguments. Its `Debug` form hides the arguments, where tokens may be.
#[derive(Clone)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.0.first().map_or("", String::as_str);
        f.debug_tuple("Words").field(&program).finish()
    }
}

/// A variable of a program. Its `Debug` form hides the value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assignment").field(&self.name).finish()
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let parsed = bare.unwrap_or(text).parse();
    parsed.map_err(|_| "it must be an IP address or localhost".to_owned())
}

/// An address with a scheme and a host, and without what does not belong to one.
fn place(text: &str) -> Result<String, String> {
    parsed(text)?;
    Ok(text.to_owned())
}

fn parsed(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "it is no URL".to_owned())?;
    let authority = match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => authority,
        _ => return Err("it must begin with http:// or https:// and a host".to_owned()),
    };
    if authority.as_str().contains('@') {
        return Err("it must hold no user name and no password".to_owned());
    }
    Ok(uri)
}

fn endpoint(text: &str) -> Result<String, String> {
    match parsed(text)?.query() {
        Some(_) => Err("it must have no query".to_owned()),
        None => Ok(text.to_owned()),
    }
}

/// The URL that paths are put after.
fn base_url(text: &str) -> Result<String, String> {
    endpoint(text)?;
    Ok(text.trim_end_matches('/').to_owned())
}

fn words(text: &str) -> Result<Words, String> {
    let words = shell_words::split(text).map_err(|_| "a quote is not closed".to_owned())?;
    match words.first() {
        Some(program) if !program.is_empty() => Ok(Words(words)),
        _ => Err("it names no program".to_owned()),
    }
}

fn variable(text: &str) -> Result<Assignment, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Assignment {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        _ => Err("it must be NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_the_configuration_takes() {
        assert_eq!(address("localhost").unwrap().to_string(), "127.0.0.1");
        assert_eq!(address("[::1]").unwrap().to_string(), "::1");
        assert!(address("example.com").is_err());
    }

    #[test]
    fn urls_have_a_scheme_and_no_secrets() {
        assert_eq!(base_url("http://a:1/").unwrap(), "http://a:1");
        for wrong in [
            "localhost:80",
            "/a",
            "ftp://a",
            "http://u:p@a",
            "http://a/?b",
            "",
        ] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        let split = words(r#"python "my server.py" --token=x"#).unwrap();
        assert_eq!(split.0, ["python", "my server.py", "--token=x"]);
        assert!(!format!("{split:?}").contains("token"));
        for wrong in ["", "  ", "a 'b", "''"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variables_have_names() {
        let set = variable("A=b=c").unwrap();
        assert_eq!((&*set.name, &*set.value), ("A", "b=c"));
        assert!(!format!("{set:?}").contains('c'));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
