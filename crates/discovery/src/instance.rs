use std::{collections::BTreeMap, fmt, sync::Arc};

use http::{Uri, uri::Authority};
use thiserror::Error;

/// The largest weight an instance can have.
///
/// A weight says how many times as much an instance takes as one of weight one; ratios beyond a
/// million to one are typing errors.
pub const MAX_WEIGHT: u32 = 1_000_000;

/// The metadata that says where an instance's health is asked for, if not at the usual place.
pub const HEALTH_URL: &str = "health_url";

/// One place where a service runs.
///
/// An instance is a value: two are equal when all they say is equal. Its [`id`](Instance::id)
/// is its identity over time, by which a balancer recognises it in the next set.
#[derive(Clone, PartialEq, Eq)]
pub struct Instance {
    id: Arc<str>,
    uri: Uri,
    weight: u32,
    /// Shared by all copies, of which every layer has some.
    metadata: Arc<BTreeMap<Arc<str>, Arc<str>>>,
}

impl Instance {
    /// The instance at `uri`: scheme, authority, and possibly a base path.
    ///
    /// Its id is the text of the URI without a slash at its end, its weight one.
    ///
    /// # Errors
    ///
    /// When `uri` is not one, is relative, bears a user name or password (they would end in
    /// logs; credentials belong to the auth layer), names a port that nothing listens on, or bears
    /// a query.
    pub fn new<U>(uri: U) -> Result<Self, InvalidInstance>
    where
        Uri: TryFrom<U>,
        <Uri as TryFrom<U>>::Error: Into<http::Error>,
    {
        let uri = Uri::try_from(uri).map_err(|_| InvalidInstance::NotAUri)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidInstance::NotAbsolute);
        };
        if authority.as_str().contains('@') {
            return Err(InvalidInstance::Credentials);
        }
        if authority.host().is_empty() {
            return Err(InvalidInstance::NotAbsolute);
        }
        if !has_sound_port(authority) {
            return Err(InvalidInstance::Port);
        }
        if uri.query().is_some() {
            return Err(InvalidInstance::Query);
        }
        let id = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Self {
            id: id.into(),
            uri,
            weight: 1,
            metadata: Arc::default(),
        })
    }

    /// The same instance by the name that its registry knows it by.
    ///
    /// # Errors
    ///
    /// When `id` is empty.
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Result<Self, InvalidInstance> {
        self.id = id.into();
        if self.id.is_empty() {
            return Err(InvalidInstance::EmptyId);
        }
        Ok(self)
    }

    /// The same instance with a weight from 1 to [`MAX_WEIGHT`].
    ///
    /// # Errors
    ///
    /// When `weight` is outside that range.
    pub fn with_weight(mut self, weight: u32) -> Result<Self, InvalidInstance> {
        if !(1..=MAX_WEIGHT).contains(&weight) {
            return Err(InvalidInstance::Weight);
        }
        self.weight = weight;
        Ok(self)
    }

    /// The same instance with one more thing to know about it, such as its zone or version.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.metadata).insert(key.into(), value.into());
        self
    }

    /// The same instance with this and nothing else to know about it.
    #[cfg(feature = "registry")]
    pub(crate) fn with_all_metadata(mut self, metadata: BTreeMap<Arc<str>, Arc<str>>) -> Self {
        self.metadata = Arc::new(metadata);
        self
    }

    /// Its identity over time.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Where it is: always a scheme and an authority, and a path if its root is not `/`.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Its share relative to others, from 1 to [`MAX_WEIGHT`].
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// What else its source knows about it.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.metadata
    }

    /// Where its health is asked for, by its [metadata](HEALTH_URL); `None` if that is no address
    /// with a scheme and a host.
    #[must_use]
    pub fn health_url(&self) -> Option<Uri> {
        let uri: Uri = self.metadata.get(HEALTH_URL)?.parse().ok()?;
        (uri.scheme().is_some() && uri.host().is_some()).then_some(uri)
    }

    /// Whether requests to both would arrive at the same place: `http://A` and `http://a:80/`.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        self.uri.scheme() == other.uri.scheme()
            && self.uri.host().map(str::to_ascii_lowercase)
                == other.uri.host().map(str::to_ascii_lowercase)
            && self.port() == other.port()
            && self.uri.path().trim_end_matches('/') == other.uri.path().trim_end_matches('/')
    }

    /// What is equal of instances that are at the [same place](Instance::same_place); `None` of
    /// those at no place that a request could go to.
    pub(crate) fn place(&self) -> Option<String> {
        let scheme = self.uri.scheme_str().filter(|scheme| *scheme != "stdio")?;
        let host = self.uri.host()?.to_ascii_lowercase();
        let path = self.uri.path().trim_end_matches('/');
        Some(format!(
            "{scheme}://{host}:{}{path}",
            self.port().unwrap_or_default()
        ))
    }

    /// The port that it names, or the usual one of its scheme.
    pub(crate) fn port(&self) -> Option<u16> {
        self.uri.port_u16().or(match self.uri.scheme_str() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        })
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("id", &self.id)
            .field("uri", &format_args!("{}", self.uri))
            .field("weight", &self.weight)
            .field("metadata", &self.metadata)
            .finish()
    }
}

/// An [`Instance`] that cannot be.
///
/// The messages never repeat the URI, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidInstance {
    /// The text is not a URI.
    #[error("not a URI")]
    NotAUri,
    /// The URI lacks a scheme or a host.
    #[error("the URI needs a scheme and a host, as in http://10.0.0.1:8080")]
    NotAbsolute,
    /// The URI bears a user name or a password.
    #[error("the URI must not contain a user name or password")]
    Credentials,
    /// The port is zero or beyond 65535.
    #[error("the port must be between 1 and 65535")]
    Port,
    /// The URI bears a query.
    #[error("the URI must not contain a query")]
    Query,
    /// The id is empty.
    #[error("the id must not be empty")]
    EmptyId,
    /// The weight is zero or beyond [`MAX_WEIGHT`].
    #[error("the weight must be between 1 and {MAX_WEIGHT}")]
    Weight,
}

/// Whether it is asked over HTTP, as all are that are found by an address somebody wrote down.
#[cfg(any(feature = "docker", feature = "registry"))]
pub(crate) fn is_spoken(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https"))
}

/// Whether somebody's health can be asked for there. A user name or password would end in logs.
#[cfg(any(feature = "docker", feature = "registry"))]
pub(crate) fn is_health_url(uri: &Uri) -> bool {
    let is_sound = |it: &Authority| !it.as_str().contains('@') && has_sound_port(it);
    is_spoken(uri) && uri.authority().is_some_and(is_sound)
}

/// Whether a port, if there is one, can be connected to.
fn has_sound_port(authority: &Authority) -> bool {
    match authority.as_str().rsplit_once(':') {
        // The colon is one of an address of IPv6, or no port follows it.
        Some((_, port)) if !port.is_empty() && !port.ends_with(']') => {
            authority.port_u16().is_some_and(|port| port != 0)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_text_of_the_uri() {
        for text in ["http://10.0.0.1:8080", "https://[::1]:9/base"] {
            assert_eq!(&**Instance::new(text).unwrap().id(), text);
        }
        let slash = Instance::new("http://a:1/").unwrap();
        assert_eq!(&**slash.id(), "http://a:1");
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, error) in [
            ("", InvalidInstance::NotAUri),
            ("http://a b", InvalidInstance::NotAUri),
            ("/health", InvalidInstance::NotAbsolute),
            ("a:80", InvalidInstance::NotAbsolute),
            ("http://u:p@a", InvalidInstance::Credentials),
            ("http://a:0", InvalidInstance::Port),
            ("http://[::1]:65536/x", InvalidInstance::Port),
            ("http://a?x=1", InvalidInstance::Query),
        ] {
            assert_eq!(Instance::new(text), Err(error), "{text:?}");
        }
        let instance = Instance::new("http://a").unwrap();
        assert_eq!(
            instance.clone().with_weight(0),
            Err(InvalidInstance::Weight)
        );
        assert_eq!(
            instance.clone().with_weight(MAX_WEIGHT + 1),
            Err(InvalidInstance::Weight)
        );
        assert_eq!(instance.with_id(""), Err(InvalidInstance::EmptyId));
    }

    #[test]
    fn metadata_may_say_where_health_is_asked_for() {
        let instance = Instance::new("http://a").unwrap();
        let with = |url: &str| instance.clone().with_metadata(HEALTH_URL, url).health_url();
        assert_eq!(instance.health_url(), None);
        assert_eq!(with("/health"), None);
        assert_eq!(with("http://b/x?y=1").unwrap(), "http://b/x?y=1");
    }

    #[test]
    fn one_place_has_many_spellings() {
        let instance = |text: &str| Instance::new(text).unwrap();
        assert!(instance("http://A").same_place(&instance("http://a:80/")));
        assert!(instance("https://a:443/x/").same_place(&instance("https://a/x")));
        assert!(!instance("https://a").same_place(&instance("http://a")));
        assert!(!instance("http://a/x").same_place(&instance("http://a/y")));
    }
}
