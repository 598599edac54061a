use bartizan_classify::{Fault, FaultKind};
use thiserror::Error;

use crate::TokenError;

/// Why a request through an [`Auth`](crate::Auth) service failed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// There was no access token to send; the service was not asked.
    #[error("no access token for the service: {0}")]
    Token(#[source] TokenError),
    /// The request has no place for the API key; the service was not asked.
    #[error(transparent)]
    Unplaceable(#[from] Unplaceable),
    /// What the service inside failed with, untouched.
    #[error(transparent)]
    Inner(E),
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
