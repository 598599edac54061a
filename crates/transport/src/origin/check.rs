use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{HOST, ORIGIN},
    uri::Authority,
};

use super::{InvalidOriginCheck, Refused, host::Host, page::Page};

/// Tells requests of foreign pages from all others.
///
/// Clones share the lists. A check reads two headers and allocates nothing.
#[derive(Clone, Debug)]
pub struct OriginCheck(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    /// Each was read once when the check was made.
    hosts: Box<[Box<str>]>,
    origins: Box<[Box<str>]>,
    any_origin: bool,
    bound_to_loopback: bool,
}

impl OriginCheck {
    /// A check for a server that is bound to loopback, or not, with what its operator allows
    /// besides.
    ///
    /// On loopback, the hosts `localhost`, `127.0.0.1` and `[::1]` are fine with any port, and
    /// pages whose host is one of these; on another address every host is fine as long as
    /// `allowed_hosts` is empty. Pages of the same host and port as the request's are fine
    /// everywhere, and so are requests that no page sent.
    ///
    /// A host without a port stands for all its ports. Origins are compared whole, and `*` allows
    /// every page that has an origin.
    ///
    /// # Errors
    ///
    /// When an entry is not a host or not an origin, with the entry.
    pub fn new<H, O>(
        allowed_hosts: H,
        allowed_origins: O,
        bound_to_loopback: bool,
    ) -> Result<Self, InvalidOriginCheck>
    where
        H: IntoIterator<Item: AsRef<str>>,
        O: IntoIterator<Item: AsRef<str>>,
    {
        let mut hosts = Vec::new();
        for host in allowed_hosts {
            let entry = host.as_ref().trim();
            if Host::read(entry).is_none() {
                let entry = entry.to_owned();
                return Err(InvalidOriginCheck::Host { entry });
            }
            hosts.push(entry.into());
        }
        let mut origins = Vec::new();
        let mut any_origin = false;
        for origin in allowed_origins {
            // People copy origins from the address bar, with the slash of the path.
            let entry = origin.as_ref().trim();
            let entry = entry.strip_suffix('/').unwrap_or(entry);
            if entry == "*" {
                any_origin = true;
            } else if Page::read(entry).is_none() {
                let entry = entry.to_owned();
                return Err(InvalidOriginCheck::Origin { entry });
            } else {
                origins.push(entry.into());
            }
        }
        Ok(Self(Arc::new(Rules {
            hosts: hosts.into(),
            origins: origins.into(),
            any_origin,
            bound_to_loopback,
        })))
    }

    /// Checks a request's headers, and the authority of its target: HTTP/2's `:authority`, or
    /// that of an absolute URI.
    ///
    /// # Errors
    ///
    /// Why the request must be answered 403.
    pub fn check(&self, headers: &HeaderMap, authority: Option<&Authority>) -> Result<(), Refused> {
        let host = self.host(headers, authority)?;
        match only(headers, &ORIGIN) {
            Ok(None) => Ok(()),
            Ok(Some(origin)) => self.0.check_origin(origin, host),
            Err(Several) => Err(Refused::SeveralOrigins),
        }
    }

    /// The host that the request is for, if it is allowed.
    fn host<'r>(
        &self,
        headers: &'r HeaderMap,
        authority: Option<&'r Authority>,
    ) -> Result<Host<'r>, Refused> {
        let header = only(headers, &HOST).map_err(|Several| Refused::SeveralHosts)?;
        let header = header
            .map(|header| {
                header
                    .to_str()
                    .ok()
                    .and_then(Host::read)
                    .ok_or(Refused::Host)
            })
            .transpose()?;
        let authority = authority
            .map(|authority| Host::read(authority.as_str()).ok_or(Refused::Host))
            .transpose()?;
        let host = match (authority, header) {
            // To differ is malformed in HTTP/2 (RFC 9113, section 8.3.1), and in HTTP/1 no client does.
            (Some(authority), Some(header)) if !authority.is(header, None) => {
                return Err(Refused::SeveralHosts);
            }
            (Some(host), _) | (None, Some(host)) => host,
            (None, None) => return Err(Refused::NoHost),
        };
        if self.0.allows_host(host) {
            Ok(host)
        } else {
            Err(Refused::Host)
        }
    }
}

impl Rules {
    fn allows_host(&self, host: Host<'_>) -> bool {
        let anyhow = if self.bound_to_loopback {
            host.name.is_loopback()
        } else {
            self.hosts.is_empty()
        };
        anyhow || self.allowed_hosts().any(|allowed| permits(allowed, host))
    }

    fn check_origin(&self, origin: &HeaderValue, host: Host<'_>) -> Result<(), Refused> {
        if origin == "null" {
            return Err(Refused::NullOrigin);
        }
        let page = origin.to_str().ok().and_then(Page::read);
        let page = page.ok_or(Refused::Origin)?;
        // The scheme is not compared: a proxy in front may have ended TLS.
        let same_origin = page.is_of_the_web() && page.host.is(host, page.usual_port());
        let local = self.bound_to_loopback && page.is_of_the_web() && page.host.name.is_loopback();
        let allowed = same_origin
            || local
            || self.any_origin
            || self.allowed_origins().any(|allowed| page.is(allowed));
        if allowed {
            Ok(())
        } else {
            Err(Refused::Origin)
        }
    }

    fn allowed_hosts(&self) -> impl Iterator<Item = Host<'_>> {
        self.hosts.iter().filter_map(|host| Host::read(host))
    }

    fn allowed_origins(&self) -> impl Iterator<Item = Page<'_>> {
        self.origins.iter().filter_map(|origin| Page::read(origin))
    }
}

/// An entry without a port permits all ports. One with a usual port permits that the request
/// leaves it out.
fn permits(allowed: Host<'_>, host: Host<'_>) -> bool {
    allowed.name.is(host.name)
        && match (allowed.port, host.port) {
            (None, _) | (Some(80 | 443), None) => true,
            (allowed, port) => allowed == port,
        }
}

struct Several;

/// The only header of a name, if there is one.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Several),
    }
}

#[cfg(test)]
mod tests;
