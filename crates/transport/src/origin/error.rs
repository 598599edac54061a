use http::StatusCode;
use thiserror::Error;

/// Why a request was refused, and what to configure if it should not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// It names no host.
    #[error("the request has no host header")]
    NoHost,
    /// It names several hosts.
    #[error("the request names more than one host")]
    SeveralHosts,
    /// The host it names is none that this server answers to, or not a host at all.
    #[error(
        "this server does not answer to the host of the request; if it should, add the host to \
         the allowed hosts of its configuration"
    )]
    Host,
    /// It has several origins.
    #[error("the request has more than one origin header")]
    SeveralOrigins,
    /// Its origin is `null`: a page in a sandbox, a local file, a redirect between sites.
    #[error("requests of pages without an origin of their own are refused")]
    NullOrigin,
    /// The origin is none that may use this server, or not an origin at all.
    #[error(
        "the page that sent the request may not use this server; if it should, add its origin to \
         the allowed origins of the configuration"
    )]
    Origin,
}

impl Refused {
    /// The status of the answer: always 403, as MCP demands.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        StatusCode::FORBIDDEN
    }
}

/// An entry of the lists of [`OriginCheck`](super::OriginCheck) that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidOriginCheck {
    /// It is not a host.
    #[error(
        "`{entry}` is not a host: write a name or an address, with a port if only that one is \
         meant, such as `gateway.example.com`, `10.0.0.5:8080` or `[::1]`"
    )]
    Host {
        /// The entry.
        entry: String,
    },
    /// It is not an origin.
    #[error(
        "`{entry}` is not an origin: write a scheme and a host, and a port if it is not the \
         usual one, such as `https://app.example.com`, or `*` for every page"
    )]
    Origin {
        /// The entry.
        entry: String,
    },
}
