use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use bartizan_auth::Secret;
use url::Url;

use crate::{
    Errors, Mode, Origin, Setting, Source,
    configuration::mode,
    gateway::{host, keys, port},
    reader::{Reader, Scope},
    table,
};

/// What a program has to know that talks to a gateway instead of being one.
///
/// It is read from the same variables, and nothing else that may be wrong with them matters: a
/// gateway whose services are all misspelt can still be asked how it is.
///
/// ```
/// use bartizan_config::{Reach, Source};
///
/// let reach = Reach::parse(&Source::from_iter([("MCP_GATEWAY_PORT", "9000")]))?;
/// assert_eq!(reach.address().to_string(), "127.0.0.1:9000");
/// assert!(reach.is_configured());
/// # Ok::<(), bartizan_config::Errors>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The base URL under which callers reach the gateway, where it serves TLS.
    pub url: Setting<Url>,
    /// The address that it listens on.
    pub host: Setting<IpAddr>,
    /// The port that it listens on.
    pub port: Setting<u16>,
    /// Whether it serves TLS.
    pub tls: bool,
    /// The keys that callers must show one of.
    pub api_keys: Option<Setting<Vec<Secret>>>,
    /// The keys that those must show one of who do what an operator does.
    pub admin_keys: Option<Setting<Vec<Secret>>>,
    /// The `registry.json` that it writes to.
    pub registry: Option<Setting<PathBuf>>,
    /// Whether text may have colour, where it goes to a terminal.
    pub color: bool,
}

impl Reach {
    /// What `source` says of how its gateway is reached.
    ///
    /// # Errors
    ///
    /// When any of that is wrong; then with everything that is.
    pub fn parse(source: &Source) -> Result<Self, Errors> {
        let mut reader = Reader::new(source, mode(source) == Mode::Development);
        let scope = &Scope::gateway();
        let reach = Self {
            url: reader.setting(scope, &table::GATEWAY_URL),
            host: host(&mut reader, scope),
            port: port(&mut reader, scope),
            tls: reader.is_set(scope, &table::TLS_CERT_FILE),
            api_keys: keys(&mut reader, scope, &table::API_KEYS),
            admin_keys: keys(&mut reader, scope, &table::ADMIN_KEYS),
            registry: reader.optional(scope, &table::REGISTRY_FILE),
            color: !reader.is_set(scope, &table::NO_COLOR),
        };
        let (mut problems, warnings) = reader.finish();
        // One argument may name the file of both kinds of keys.
        problems.dedup();
        if problems.is_empty() {
            Ok(reach)
        } else {
            Err(Errors::new(problems).beside(warnings))
        }
    }

    /// Where a program on the same machine connects to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        reachable(SocketAddr::new(*self.host, *self.port))
    }

    /// Whether anybody said where the gateway listens.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        let is_set = |origin: &Origin| !matches!(origin, Origin::Default(_));
        is_set(self.host.origin()) || is_set(self.port.origin())
    }
}

/// `address`, or that of loopback where it stands for all addresses of the machine.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Where the documented gateway keeps the registry that nobody names: `.mcp/` in the home
/// directory. `None` where the environment knows no home directory.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this crate is the one that reads the environment"
)]
pub fn usual_registry() -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    let home = std::env::var_os(name).filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".mcp/gateway_registry.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(variables: &[(&str, &str)]) -> Result<Reach, Errors> {
        Reach::parse(&Source::from_iter(variables.iter().copied()))
    }

    #[test]
    fn a_gateway_that_could_not_start_can_be_asked() {
        let reach = reach(&[
            ("MCP_SERVICES", "users"),
            ("MCP_GATEWAY_HOST", "0.0.0.0"),
            ("MCP_GATEWAY_API_KEYS", "first-key-of-two,second-key-of-two"),
        ]);
        let reach = reach.unwrap();
        assert_eq!(reach.address().to_string(), "127.0.0.1:8080");
        assert_eq!(reach.api_keys.unwrap()[0].expose(), "first-key-of-two");
        assert!(!reach.tls && reach.registry.is_none() && reach.color);
    }

    #[test]
    fn what_is_wrong_with_the_address_is_said() {
        let errors = reach(&[("MCP_GATEWAY_PORT", "70000")]).unwrap_err();
        assert!(errors.to_string().contains("MCP_GATEWAY_PORT"), "{errors}");
        assert!(!reach(&[]).unwrap().is_configured());
    }

    #[test]
    fn what_is_wrong_with_a_file_of_both_keys_is_said_once() {
        const FLAG: &str = "--api-key-file";
        let source = Source::default()
            .with_flag(FLAG, "MCP_GATEWAY_API_KEYS_FILE", "/nonexistent")
            .with_flag(FLAG, "MCP_GATEWAY_ADMIN_KEYS_FILE", "/nonexistent");
        let errors = Reach::parse(&source).unwrap_err();
        assert_eq!(errors.problems().len(), 1, "{errors}");
    }

    #[test]
    fn all_addresses_are_reached_by_loopback() {
        let reached = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.0.0.1:80"), "10.0.0.1:80");
    }
}
