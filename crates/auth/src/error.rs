use std::fmt;

use bartizan_classify::{Fault, FaultKind};
use thiserror::Error;

use crate::TokenError;

/// Why a request through an [`Auth`](crate::Auth) service failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// There was no access token to send; the service was not asked.
    Token(TokenError),
    /// The request has no place for the API key; the service was not asked.
    Unplaceable(Unplaceable),
    /// What the service inside failed with, untouched.
    Inner(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => write!(f, "no access token for the service: {error}"),
            Self::Unplaceable(error) => error.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

/// The source is that of the error inside, whose own text is in this one's.
impl<E: std::error::Error> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Token(error) => error.source(),
            Self::Unplaceable(error) => error.source(),
            Self::Inner(error) => error.source(),
        }
    }
}

impl<E> From<Unplaceable> for Error<E> {
    fn from(error: Unplaceable) -> Self {
        Self::Unplaceable(error)
    }
}

impl<E: Fault> Fault for Error<E> {
    fn fault(&self) -> FaultKind {
        match self {
            // The issuer's failure must not open the circuit of a service that was not asked.
            Self::Token(error) => FaultKind::Rejected {
                retry_after: error.retry_after(),
            },
            Self::Unplaceable(_) => FaultKind::Caller,
            Self::Inner(error) => error.fault(),
        }
    }
}

/// A request whose URI cannot carry an API key in its query: it has no path (`*`, or the
/// `host:port` of `CONNECT`), or would be longer than 65,534 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the request's target has no room for the credential")]
pub struct Unplaceable;

/// A credential that no request can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidCredential {
    /// There is nothing in it.
    #[error("the credential is empty")]
    Empty,
    /// It holds a character that cannot stand where it goes.
    #[error("the credential holds a character that cannot be sent in its place")]
    Character,
    /// A colon ends the user name in basic authentication.
    #[error("a user name for basic authentication cannot hold a colon")]
    ColonInUser,
    /// The query parameter is unnamed, or the cookie's name is not a token.
    #[error("the parameter or cookie cannot have this name")]
    Name,
}
