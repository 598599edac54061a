use thiserror::Error;

/// An [`Authorize`](crate::Authorize) that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidAuthorize {
    /// The resource is no URL, holds credentials or a fragment, or is reached in the clear.
    #[error("the resource must be an https URL, or be on this machine")]
    Resource,
    /// A client that acts for itself must have a name and a proof.
    #[error("client credentials need a client id, and a secret or a private key")]
    NoClient,
    /// A secret or key without a client.
    #[error("a client secret or private key needs a client id")]
    SecretWithoutId,
    /// Only an `https` URL with a path can be a client's name and its description at once.
    #[error("the client's metadata must be at an https URL with a path")]
    MetadataUrl,
    /// The identity provider would be reached in the clear.
    #[error("the identity provider must be at an https URL, or be on this machine")]
    IdentityProvider,
    /// The issuer is no URL.
    #[error("the issuer must be an absolute URL")]
    Issuer,
    /// The client's id or secret is empty.
    #[error("the client's id, secret and name must not be empty")]
    Empty,
    /// A scope is empty or holds a character that scopes cannot.
    #[error("a scope must be visible ASCII without quotes and backslashes")]
    Scope,
    /// A time that must be positive is zero.
    #[error("the timeouts of users and callers must be positive")]
    ZeroDuration,
    /// The private key is not PKCS #8 in PEM, or not of its algorithm.
    #[error("the private key must be PKCS #8 in PEM, and fit its algorithm")]
    PrivateKey,
    /// The command is empty.
    #[error("the command that opens a browser must name a program")]
    Command,
}
