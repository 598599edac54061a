use std::net::Ipv6Addr;

/// A host and perhaps a port, as they stand in `Host`, `:authority` and origins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host<'a> {
    pub(super) name: Name<'a>,
    pub(super) port: Option<u16>,
}

/// The name or address of a host.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    /// A domain name or an IPv4 address, in any case.
    Text(&'a str),
    /// An IPv6 address, however it was written.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host; `None` if it is none, or has anything besides.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (name, rest) = if let Some(text) = text.strip_prefix('[') {
            let (address, rest) = text.split_once(']')?;
            (Name::V6(address.parse().ok()?), rest)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            if name.is_empty() || !name.bytes().all(is_name) {
                return None;
            }
            (Name::Text(name), rest)
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            // A colon without a port means the usual one, says RFC 3986.
            Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { name, port })
    }

    /// Whether it is the same host and port, if an absent port means `usual`.
    pub(super) fn is(self, other: Host<'_>, usual: Option<u16>) -> bool {
        self.name.is(other.name) && self.port.or(usual) == other.port.or(usual)
    }
}

impl Name<'_> {
    pub(super) fn is(self, other: Name<'_>) -> bool {
        match (self, other) {
            (Self::Text(name), Name::Text(other)) => name.eq_ignore_ascii_case(other),
            (Self::V6(address), Name::V6(other)) => address == other,
            _ => false,
        }
    }

    /// One of the three names under which a server on loopback is usually found.
    ///
    /// Not all of `127.0.0.0/8`, nor names below `localhost`, which some resolvers ask the network for.
    pub(super) fn is_loopback(self) -> bool {
        match self {
            Self::Text(name) => name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost"),
            Self::V6(address) => address == Ipv6Addr::LOCALHOST,
        }
    }
}

/// What stands in names and IPv4 addresses. Not `@` and not `%`, which begin other things.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}
