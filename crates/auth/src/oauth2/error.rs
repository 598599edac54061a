use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use http::StatusCode;
use thiserror::Error;

use crate::AuthorizeError;

/// Why there is no access token.
///
/// All who waited for the same token get the same error, and so does whoever asks while it is
/// remembered. It never quotes a response or a secret.
#[derive(Clone)]
pub struct TokenError(
    /// One word: what a call may fail with is part of what every call returns.
    Arc<Inner>,
);

#[derive(Debug)]
struct Inner {
    kind: TokenErrorKind,
    retry_after: Option<Duration>,
}

impl TokenError {
    pub(crate) fn new(kind: TokenErrorKind, retry_after: Option<Duration>) -> Self {
        Self(Arc::new(Inner { kind, retry_after }))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &TokenErrorKind {
        &self.0.kind
    }

    /// When the issuer will be asked again at the earliest; `None` when it will not be
    /// ([`TokenErrorKind::is_terminal`]).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, retry_after } = &*self.0;
        f.debug_struct("TokenError")
            .field("kind", kind)
            .field("retry_after", retry_after)
            .finish()
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.kind.source()
    }
}

/// What can go wrong on the way to a token.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The exchange with the token endpoint failed: no connection, or it broke.
    #[error("the token endpoint could not be reached")]
    Transport(#[source] Arc<dyn Error + Send + Sync>),
    /// The token endpoint took longer than the load timeout.
    #[error("the token endpoint did not answer in time")]
    TimedOut,
    /// The token endpoint answered that there is no token.
    #[error("the token endpoint refused with status {}{}", status.as_u16(), Code(code.as_deref()))]
    Refused {
        /// The status.
        status: StatusCode,
        /// The `error` of RFC 6749, section 5.2, if it looks like one: at most 40 lower-case
        /// letters and underscores. Descriptions are not kept; issuers quote tokens in them.
        code: Option<Arc<str>>,
    },
    /// The token endpoint answered with success but without a token that can be used.
    #[error("the token endpoint answered {0}")]
    Malformed(&'static str),
    /// The token endpoint answered with more than 64 KiB.
    #[error("the token endpoint answered with more than 64 KiB")]
    TooLarge,
    /// The saved refresh token could not be read, and the configured one may be spent.
    #[error("the saved refresh token cannot be read")]
    Store(#[source] Arc<io::Error>),
    /// There is no authorization for the service.
    #[error(transparent)]
    Authorize(AuthorizeError),
    /// The task that fetched the token was ended, by the shutdown of its runtime or a panic.
    #[error("the fetching of the token was abandoned")]
    Abandoned,
}

impl TokenErrorKind {
    /// Whether only another configuration can help: the issuer does not accept the grant
    /// (`invalid_grant`), and asking again would only make noise.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if **code == *"invalid_grant")
    }
}

struct Code<'a>(Option<&'a str>);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |code| write!(f, ": {code}"))
    }
}
