use thiserror::Error;

/// An [`OAuth2Config`](crate::OAuth2Config) that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidOAuth2Config {
    /// The token endpoint is not an absolute `http` or `https` URL.
    #[error("the token endpoint must be an absolute http or https URL")]
    TokenUrl,
    /// The URL of the token endpoint holds a user name or password.
    #[error("the URL of the token endpoint must not hold credentials")]
    CredentialsInUrl,
    /// Secrets would cross the network in the clear.
    #[error("the token endpoint must be reached over https, unless it is on this machine")]
    PlainHttp,
    /// The client credentials grant is nothing without a client.
    #[error("the client credentials grant needs a client id")]
    NoClientId,
    /// A client secret without a client.
    #[error("a client secret needs a client id")]
    SecretWithoutId,
    /// A token or secret is empty.
    #[error("a configured token or secret is empty")]
    EmptySecret,
    /// The access token to begin with holds characters that no token can.
    #[error("the configured access token cannot be sent in a header")]
    AccessToken,
    /// A scope is empty or holds a character that scopes cannot.
    #[error("a scope must be visible ASCII without quotes and backslashes")]
    Scope,
    /// A store was given to a grant that has no refresh token.
    #[error("only the refresh token grant has a token to store")]
    StoreWithoutRefreshToken,
    /// A time that must be positive is zero.
    #[error("the default lifetime, load timeout and failure pause must be positive")]
    ZeroDuration,
}
