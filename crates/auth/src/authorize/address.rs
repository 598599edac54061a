use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;
use url::{Host, Url};

use super::AuthorizeError;

/// A URL that may be asked, checked when it is made.
///
/// Other servers name most of these, so that a malicious one could send us where only we can go.
/// They are `https`, or on this machine if the resource is; they hold no credentials; and they are
/// never deeper inside than the resource itself: a public resource names public hosts only.
/// Addresses behind a name are the client's to judge, when it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(Url);

/// How far inside a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Zone {
    Public,
    Private,
    Loopback,
}

/// What the `http` crate can hold in one URI, and more than any of these needs.
const MAX_BYTES: usize = 8 * 1024;

impl Address {
    /// The address of the resource, by which others are judged.
    pub(crate) fn resource(text: &str) -> Option<Self> {
        let address = Self::parse(text)?;
        (address.0.scheme() == "https" || address.zone()? == Zone::Loopback).then_some(address)
    }

    /// An address that somebody else named.
    pub(crate) fn named(text: &str, resource: &Self) -> Result<Self, AuthorizeError> {
        Self::parse(text)
            .filter(|it| it.is_allowed_by(resource))
            .ok_or(AuthorizeError::Address)
    }

    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_BYTES)?;
        let plain = url.username().is_empty() && url.password().is_none();
        (plain && url.fragment().is_none() && url.has_host()).then_some(Self(url))
    }

    fn is_allowed_by(&self, resource: &Self) -> bool {
        if self.0.origin() == resource.0.origin() {
            return true;
        }
        let (Some(zone), Some(limit)) = (self.zone(), resource.zone()) else {
            return false;
        };
        let sealed = self.0.scheme() == "https";
        let local = self.0.scheme() == "http" && zone == Zone::Loopback;
        zone <= limit && (sealed || local)
    }

    /// How far inside the host is; `None` where nothing of ours should ever go, such as the
    /// link-local addresses by which clouds tell machines their secrets.
    pub(crate) fn zone(&self) -> Option<Zone> {
        match self.0.host()? {
            Host::Domain(name) => Some(name_zone(name)),
            Host::Ipv4(address) => v4_zone(address),
            Host::Ipv6(address) => v6_zone(address),
        }
    }

    /// The same host, with another path and no query.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(None);
        Self(url)
    }

    /// The path, without the slash at its end; empty for the root.
    pub(crate) fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether this is `other` or stands above it on the same host.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let (above, below) = (self.path(), other.path());
        let deeper = below.strip_prefix(above);
        self.0.origin() == other.0.origin()
            && deeper.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && (self.0.query().is_none() || self.0.query() == other.0.query())
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    pub(crate) fn uri(&self) -> Result<Uri, AuthorizeError> {
        self.0.as_str().parse().map_err(|_| AuthorizeError::Address)
    }
}

fn name_zone(name: &str) -> Zone {
    let name = name.trim_end_matches('.');
    let local = name == "localhost" || name.ends_with(".localhost");
    if local { Zone::Loopback } else { Zone::Public }
}

fn v4_zone(address: Ipv4Addr) -> Option<Zone> {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    if address.is_loopback() {
        Some(Zone::Loopback)
    } else if address.is_private() || shared {
        Some(Zone::Private)
    } else {
        let nowhere = a == 0 || a >= 224 || address.is_link_local();
        (!nowhere).then_some(Zone::Public)
    }
}

fn v6_zone(address: Ipv6Addr) -> Option<Zone> {
    if address.is_loopback() {
        Some(Zone::Loopback)
    } else if let Some(embedded) = embedded(address) {
        v4_zone(embedded)
    } else if address.is_unique_local() || is_own_translation(address) {
        Some(Zone::Private)
    } else {
        let nowhere = address.is_multicast() || address.is_unicast_link_local();
        (!nowhere).then_some(Zone::Public)
    }
}

/// Whether a network of one's own translates this (RFC 8215). Where in it the older address stands
/// depends on how long a prefix that network has chosen (RFC 6052, section 2.2), so it is not read.
fn is_own_translation(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, 1, ..])
}

/// The older address that this one leads to: compatible, mapped and translated ones, NAT64 of
/// everybody, and 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_name(resource: &str, named: &str) -> bool {
        let resource = Address::resource(resource).unwrap();
        Address::named(named, &resource).is_ok()
    }

    #[test]
    fn a_public_resource_names_public_hosts_over_https() {
        let names = |named| may_name("https://api.example/mcp", named);
        assert!(names("https://login.example/as") && names("https://8.8.8.8/"));
        assert!(names("https://[2001:db8::1]/") && names("https://[64:ff9b::8.8.8.8]/"));
        for inside in [
            "http://login.example/",
            "http://localhost:1/",
            "https://localhost/",
            "https://a.localhost/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::127.0.0.1]/",
            "https://[::ffff:0:127.0.0.1]/",
            "https://[64:ff9b::10.0.0.1]/",
            "https://[64:ff9b:1::169.254.169.254]/",
            "https://[64:ff9b:1:a9fe:a9:fe00:808:808]/",
            "https://[2002:a00:1::]/",
            "https://10.0.0.1/",
            "https://100.64.1.1/",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://0.0.0.0/",
            "https://user:pw@login.example/",
            "https://login.example/#x",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:,x",
            "https:///",
            "",
        ] {
            assert!(!names(inside), "{inside}");
        }
        assert!(!names(&format!(
            "https://a.example/{}",
            "x".repeat(MAX_BYTES)
        )));
    }

    #[test]
    fn a_resource_inside_names_what_is_no_deeper() {
        assert!(may_name("https://10.0.0.1/", "https://192.168.0.1/"));
        assert!(!may_name("https://10.0.0.1/", "http://192.168.0.1/"));
        assert!(!may_name("https://10.0.0.1/", "https://127.0.0.1/"));
        assert!(may_name("http://127.0.0.1:1/", "http://localhost:2/"));
        assert!(may_name("http://127.0.0.1:1/", "https://login.example/"));
        assert!(!may_name("http://127.0.0.1:1/", "http://login.example/"));
        assert!(!may_name("http://127.0.0.1:1/", "https://169.254.169.254/"));
        assert!(Address::resource("http://api.example/").is_none());
    }

    #[test]
    fn a_resource_is_covered_by_what_stands_above_it() {
        let covers = |above: &str, below: &str| {
            let parse = |text| Address::parse(text).unwrap();
            parse(above).covers(&parse(below))
        };
        for above in [
            "https://h",
            "https://h/",
            "https://h/a",
            "https://h/a/b",
            "https://h:443/a/",
        ] {
            assert!(covers(above, "https://h/a/b"), "{above}");
        }
        for beside in [
            "https://i",
            "http://h",
            "https://h:1",
            "https://h/a/b/c",
            "https://h/ab",
            "https://h/?q",
        ] {
            assert!(!covers(beside, "https://h/a/b"), "{beside}");
        }
        assert!(!covers("https://h/a", "https://h/ab"));
    }
}
