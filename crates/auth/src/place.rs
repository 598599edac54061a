use http::HeaderName;

/// Where in a request an API key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The value of this header. This is the place to prefer.
    Header(HeaderName),
    /// A parameter of the query with this name, not yet encoded. URIs end up in the logs of
    /// every hop: use it only where a service knows no other place.
    Query(String),
    /// A cookie with this name.
    Cookie(String),
}

impl Default for Place {
    /// The header `x-api-key`, which has no standard but most users.
    fn default() -> Self {
        Self::Header(HeaderName::from_static("x-api-key"))
    }
}
