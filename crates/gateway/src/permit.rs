//! What may be registered, and what of it over HTTP.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_config::{GatewaySettings, is_service_name};
use bartizan_discovery::{Entry, Launch, Resolve, SystemResolver};
use http::Uri;
use thiserror::Error;
use url::{Host, Url};

/// Templates whose addresses would be taken for those of the gateway itself.
pub(crate) const RESERVED: [&str; 6] = ["health", "services", "request", "invoke", "tools", "jobs"];

/// Names under which clouds tell machines their credentials.
const METADATA_HOSTS: [&str; 4] = [
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Variables that change which code a program runs, in capitals, some by where it looks for its
/// settings; those that begin with one of [`LOADER_PREFIXES`] besides.
const LOADERS: [&str; 18] = [
    "PATH",
    "HOME",
    "BASH_ENV",
    "ENV",
    "IFS",
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "DOTNET_STARTUP_HOOKS",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "GEM_HOME",
    "GEM_PATH",
];
const LOADER_PREFIXES: [&str; 12] = [
    "LD_",
    "DYLD_",
    "BASH_FUNC_",
    "NODE_",
    "NPM_",
    "BUN_",
    "DENO_",
    "PYTHON",
    "UV_",
    "PERL",
    "RUBY",
    "XDG_",
];

/// The most bytes of an id, and of all that is said of an instance.
const MAX_ID_BYTES: usize = 255;
const MAX_INSTANCE_BYTES: usize = 64 * 1024;

/// How long a name may take to resolve; one that takes longer is judged by its text alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why an instance can be registered nowhere, neither over HTTP nor with a file.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotListable {
    /// The addresses of such a template are taken.
    #[error("`{0}` cannot be a template: its addresses are the gateway's own")]
    Reserved(String),
    /// The template has characters that cannot be seen.
    #[error(
        "the template must have no control characters, and none that are not seen or turn the text around"
    )]
    Template,
    /// No service can be called so.
    #[error(
        "{0:?} cannot be the name of a template: it must hold 1 to 128 characters, no comma, slash or control character, and no blank at either end"
    )]
    Name(String),
    /// The id is too long, or has characters that cannot be seen.
    #[error(
        "the id must have at most {MAX_ID_BYTES} bytes, no control characters, and none that are not seen or turn the text around"
    )]
    Id,
    /// An address has characters that cannot be seen.
    #[error("the {0} must have no characters that are not seen or turn the text around")]
    Address(&'static str),
}

/// Why something may not be registered over HTTP.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotPermitted {
    #[error(transparent)]
    NotListable(#[from] NotListable),
    #[error("the instance has more than {MAX_INSTANCE_BYTES} bytes")]
    TooLarge,
    #[error("the {0} must begin with http:// or https://")]
    Scheme(&'static str),
    #[error("the {0} must not contain a user name or password")]
    Credentials(&'static str),
    #[error(
        "the {0} is link-local or tells a machine its credentials: such an address can be listed in the registry's file only"
    )]
    Address(&'static str),
    #[error(
        "a program can be registered only with one of MCP_GATEWAY_ADMIN_KEYS, as a bearer token or in X-API-Key"
    )]
    NeedsAdmin,
    #[error("no program can be registered over HTTP: MCP_GATEWAY_ADMIN_KEYS is not set")]
    NoAdmin,
    #[error(
        "with MCP_GATEWAY_ADMIN_KEYS set, what is kept for good, and what operators registered, is changed only with one of them, as a bearer token or in X-API-Key"
    )]
    ForGood,
    #[error(
        "the service sends a credential: an instance gets it only from someone with one of MCP_GATEWAY_ADMIN_KEYS"
    )]
    Credential,
    #[error(
        "`{0}` is a service, and one of the two names continues the other behind a dot: only someone with one of MCP_GATEWAY_ADMIN_KEYS brings a service whose tools could be taken for those of another"
    )]
    Within(Arc<str>),
    #[error("the program is not one of MCP_GATEWAY_ALLOWED_COMMANDS, by name or absolute path")]
    Program,
    #[error(
        "the variable {0} changes which code a program runs: set it where the gateway is started"
    )]
    Variable(String),
    #[error(
        "{0:?} cannot be a variable: its name has letters, digits and _, and begins with no digit"
    )]
    VariableName(String),
}

impl NotPermitted {
    /// Whether another caller might be permitted what this one is not.
    pub(crate) fn is_for_others(&self) -> bool {
        matches!(
            self,
            Self::NeedsAdmin
                | Self::NoAdmin
                | Self::ForGood
                | Self::Credential
                | Self::Within(_)
                | Self::Program
        )
    }
}

/// Says so if a service has a name that is reserved. It is none of MCP, which the
/// configuration lets have no such name.
pub(crate) fn warn_of_name(service: &str) {
    if RESERVED.contains(&service) {
        tracing::warn!(
            service,
            "this name has another meaning below /mcp/: the service is not served at \
             /mcp/{{template}}/..., but at /mcp/request"
        );
    }
}

/// Whether an instance may be registered over HTTP by someone who is an operator, or is not.
///
/// An address by name is looked up, because a name is as easily had as a number. What the name
/// leads to later nobody can promise.
///
/// # Errors
///
/// Why not.
pub(crate) async fn check(
    template: &str,
    entry: &Entry,
    settings: &GatewaySettings,
    is_admin: bool,
    clock: Clock,
) -> Result<(), NotPermitted> {
    check_listable(template, entry)?;
    let raw = entry.raw.as_ref();
    if raw.is_some_and(|raw| raw.len() > MAX_INSTANCE_BYTES) {
        return Err(NotPermitted::TooLarge);
    }
    if let Some(url) = &entry.health_url {
        check_address("health_url", url, clock).await?;
    }
    match &entry.launch {
        Some(_) if settings.admin_keys.is_none() => Err(NotPermitted::NoAdmin),
        Some(_) if !is_admin => Err(NotPermitted::NeedsAdmin),
        Some(launch) => check_program(launch, &settings.instances.allowed_commands),
        None => check_address("endpoint", entry.instance.uri(), clock).await,
    }
}

/// Whether an instance may be registered by anybody, however it is done.
///
/// # Errors
///
/// Why not.
pub fn check_listable(template: &str, entry: &Entry) -> Result<(), NotListable> {
    check_names(template, entry.instance.id())?;
    let endpoint = entry.launch.is_none().then(|| entry.instance.uri());
    for (what, uri) in [
        ("endpoint", endpoint),
        ("health_url", entry.health_url.as_ref()),
    ] {
        if uri.is_some_and(|uri| uri.to_string().contains(is_unseen)) {
            return Err(NotListable::Address(what));
        }
    }
    Ok(())
}

fn check_names(template: &str, id: &str) -> Result<(), NotListable> {
    const SHOWN: usize = 80;

    if RESERVED.contains(&template) {
        return Err(NotListable::Reserved(template.to_owned()));
    }
    if template.contains(is_unseen) {
        return Err(NotListable::Template);
    }
    if !is_service_name(template) {
        return Err(NotListable::Name(template.chars().take(SHOWN).collect()));
    }
    if id.len() > MAX_ID_BYTES || id.contains(is_unseen) {
        return Err(NotListable::Id);
    }
    Ok(())
}

/// Whether a character is not seen where it stands, breaks the line, or turns around what follows:
/// with such ones two names look the same, and a line of a log says what it does not.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn check_program(launch: &Launch, allowed: &[String]) -> Result<(), NotPermitted> {
    let program = launch.command.first();
    if !program.is_some_and(|program| allowed.contains(program)) {
        return Err(NotPermitted::Program);
    }
    // Whatever reads another name reads it in its own way, and not as this check does.
    if let Some(name) = launch.env.keys().find(|name| !is_variable(name)) {
        return Err(NotPermitted::VariableName(name.clone()));
    }
    let loads_code = |name: &&String| {
        let name = name.to_ascii_uppercase();
        let by_prefix = LOADER_PREFIXES.iter().any(|it| name.starts_with(it));
        by_prefix || LOADERS.contains(&name.as_str())
    };
    match launch.env.keys().find(loads_code) {
        Some(name) => Err(NotPermitted::Variable(name.clone())),
        None => Ok(()),
    }
}

/// Whether a shell would take it for the name of a variable.
fn is_variable(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(is_part)
}

async fn check_address(what: &'static str, uri: &Uri, clock: Clock) -> Result<(), NotPermitted> {
    // Read as browsers and resolvers do, for which `http://2852039166/` is a number, too.
    let url = Url::parse(&uri.to_string()).map_err(|_| NotPermitted::Scheme(what))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NotPermitted::Scheme(what));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NotPermitted::Credentials(what));
    }
    let is_forbidden = match url.host() {
        Some(Host::Ipv4(address)) => is_private_to_machine(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_private_to_machine(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            METADATA_HOSTS.contains(&name) || leads_astray(name, clock).await
        }
        None => return Err(NotPermitted::Scheme(what)),
    };
    if is_forbidden {
        return Err(NotPermitted::Address(what));
    }
    Ok(())
}

async fn leads_astray(name: &str, clock: Clock) -> bool {
    tokio::select! {
        found = SystemResolver.resolve(name, 0) => {
            found.is_ok_and(|found| found.into_iter().any(is_private_to_machine))
        }
        () = clock.sleep(PATIENCE) => false,
    }
}

/// Whether an address means something else, or something secret, to each machine that asks.
fn is_private_to_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    // What Alibaba, Oracle and Azure have in the place of 169.254.169.254, or beside it.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA.contains(&address)
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    // What Google and Scaleway have there.
    const METADATA: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    ];
    let segments = address.segments();
    // Compatible, mapped and translated ones, NAT64 of everybody, and 6to4.
    let embedded = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => is_private_v4(joined(high, low)),
        _ => false,
    };
    // Where the older address stands depends on the network that translates (RFC 8215).
    let is_own_translation = segments[..3] == [0x64, 0xff9b, 1];
    let is_link_local = segments[0] & 0xffc0 == 0xfe80;
    // Its metadata at ::254, its pods' credentials at ::23, and others.
    let is_of_amazon = segments[..2] == [0xfd00, 0xec2];
    embedded
        || is_own_translation
        || is_link_local
        || is_of_amazon
        || address.is_multicast()
        || METADATA.contains(&address)
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn address(text: &str) -> Result<(), NotPermitted> {
        let uri = text.parse().unwrap();
        check_address("endpoint", &uri, Clock::tokio()).await
    }

    #[tokio::test]
    async fn ordinary_addresses_may_be_registered() {
        for text in [
            "http://localhost:7071",
            "http://127.0.0.1:7071/mcp",
            "https://10.0.0.1",
            "http://[::1]:8080",
            "http://[fd00::1]",
        ] {
            assert_eq!(address(text).await, Ok(()), "{text}");
        }
    }

    #[tokio::test]
    async fn no_spelling_of_a_link_local_address_may_be_registered() {
        for text in [
            "http://169.254.169.254/latest",
            "http://169.254.0.1:80",
            "http://2852039166",
            "http://0xa9fea9fe",
            "http://0251.0376.0251.0376",
            "http://169.254.43518",
            "http://[fe80::1]",
            "http://[febf::1]",
            "http://[::ffff:169.254.169.254]",
            "http://[::ffff:a9fe:a9fe]",
            "http://[64:ff9b::a9fe:a9fe]",
            "http://[64:ff9b:1::a9fe:a9fe]",
            "http://[64:ff9b:1:a9fe:a9:fe00:808:808]",
            "http://[::ffff:0:a9fe:a9fe]",
            "http://[2002:a9fe:a9fe::]",
            "http://[fd00:ec2::254]",
            "http://[fd20:ce::254]",
            "http://[fd00:42::42]",
            "http://168.63.129.16",
            "http://100.100.100.200",
            "http://224.0.0.1",
            "http://255.255.255.255",
            "http://metadata.google.internal",
            "http://METADATA.google.internal.",
        ] {
            let refused = Err(NotPermitted::Address("endpoint"));
            assert_eq!(address(text).await, refused, "{text}");
        }
    }

    #[tokio::test]
    async fn only_http_may_be_registered() {
        for text in ["ftp://10.0.0.1", "stdio://localhost/1", "unix://x/y"] {
            let refused = Err(NotPermitted::Scheme("endpoint"));
            assert_eq!(address(text).await, refused, "{text}");
        }
    }

    #[test]
    fn a_program_is_known_by_its_name_or_its_path() {
        let allowed = ["npx".to_owned(), "/usr/bin/python3".to_owned()];
        let check = |program: &str, variable: &str| {
            let launch = Launch::new(vec![program.to_owned(), "-x".to_owned()]).unwrap();
            check_program(&launch.env(variable, "1"), &allowed)
        };
        assert_eq!(check("npx", "TOKEN"), Ok(()));
        assert_eq!(check("/usr/bin/python3", "TOKEN"), Ok(()));
        for program in [
            "python3", "/tmp/npx", "./npx", "../npx", "npx ", "NPX", "sh",
        ] {
            assert_eq!(
                check(program, "TOKEN"),
                Err(NotPermitted::Program),
                "{program}"
            );
        }
        for name in [
            "LD_PRELOAD",
            "ld_audit",
            "Path",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "PYTHONUSERBASE",
            "npm_config_prefix",
            "XDG_CONFIG_HOME",
            "BASH_ENV",
        ] {
            let refused = Err(NotPermitted::Variable(name.to_owned()));
            assert_eq!(check("npx", name), refused, "{name}");
        }
        for name in [
            "BASH_FUNC_x%%",
            "a.b",
            "a-b",
            "1A",
            "",
            "A B",
            "\u{410}",
            "A\0",
        ] {
            let refused = Err(NotPermitted::VariableName(name.to_owned()));
            assert_eq!(check("npx", name), refused, "{name}");
        }
        assert_eq!(check("npx", "_a1"), Ok(()));
    }

    #[test]
    fn names_are_seen_as_they_are() {
        let names = check_names("gr\u{fc}n \u{6f22}", "\u{5e9}\u{5dc} 1");
        assert_eq!(names, Ok(()));
        for unseen in
            "\n\u{ad}\u{61c}\u{200b}\u{200f}\u{2028}\u{202e}\u{2060}\u{206f}\u{feff}\u{e0041}"
                .chars()
        {
            let name = format!("a{unseen}b");
            let template = check_names(&name, "1");
            assert_eq!(template, Err(NotListable::Template), "{name:?}");
            assert_eq!(check_names("a", &name), Err(NotListable::Id), "{name:?}");
        }
    }

    #[test]
    fn addresses_are_seen_as_they_are() {
        let check = |endpoint: &str, health_url: &str| {
            let instance = serde_json::json!({ "endpoint": endpoint, "health_url": health_url });
            let (entry, _) = Entry::from_json(&instance.to_string(), Some("1")).unwrap();
            check_listable("a", &entry)
        };
        assert_eq!(check("http://a/gr\u{fc}n", "http://a/health"), Ok(()));
        let unseen = "http://a/\u{202e}b";
        assert_eq!(
            check(unseen, "http://a/health"),
            Err(NotListable::Address("endpoint"))
        );
        assert_eq!(
            check("http://a", unseen),
            Err(NotListable::Address("health_url"))
        );
    }
}
