use std::fmt;

use http::uri::Authority;

use crate::{
    Variable,
    value::{Fault, Value, items},
};

/// What the `Host` of a request may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Anything (`*`).
    Any,
    /// One of these, in small letters: a host, with any port, or a host and a port.
    Only(Vec<String>),
}

impl AllowedHosts {
    /// Whether a request for `authority`, a host and maybe a port, is allowed.
    #[must_use]
    pub fn admits(&self, authority: &Authority) -> bool {
        let Self::Only(hosts) = self else {
            return true;
        };
        let host = authority.host();
        hosts.iter().any(|allowed| {
            allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(authority.as_str())
        })
    }
}

impl Value for AllowedHosts {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let is_host = |host: &str| {
            !host.contains(['@', '*'])
                && host
                    .parse::<Authority>()
                    .is_ok_and(|it| !it.host().is_empty() && !it.as_str().ends_with(':'))
        };
        let hosts: Vec<_> = items(text, &[',']).map(str::to_ascii_lowercase).collect();
        if !hosts.is_empty() && hosts.iter().all(|host| is_host(host)) {
            Ok(Self::Only(hosts))
        } else {
            Err(Fault::must(
                "be * or a list of hosts such as gateway.example.com or localhost:8080",
            ))
        }
    }
}

impl fmt::Display for AllowedHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(hosts) => f.write_str(&hosts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ALLOWED_HOSTS;

    #[test]
    fn hosts_with_and_without_a_port() {
        let hosts = AllowedHosts::parse(&ALLOWED_HOSTS, "Gateway.example.com, [::1]:8080").unwrap();
        assert_eq!(hosts.to_string(), "gateway.example.com, [::1]:8080");
        for (authority, admitted) in [
            ("gateway.example.com", true),
            ("GATEWAY.example.com:443", true),
            ("[::1]:8080", true),
            ("[::1]:8081", false),
            ("evil.example.com", false),
            ("gateway.example.com.evil.example.com", false),
        ] {
            let authority = authority.parse().unwrap();
            assert_eq!(hosts.admits(&authority), admitted, "{authority}");
        }
        let any = AllowedHosts::parse(&ALLOWED_HOSTS, "*").unwrap();
        assert!(any.admits(&"evil.example.com".parse().unwrap()));
        for text in ["http://a", "a/b", "u@a", "*.example.com", "a:", ",", "a b"] {
            assert!(AllowedHosts::parse(&ALLOWED_HOSTS, text).is_err(), "{text}");
        }
    }
}
