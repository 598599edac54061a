use std::sync::Arc;

use thiserror::Error;

/// Why there is no authorization for a resource.
///
/// It never quotes what another server wrote, except for the code of an error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// Nothing has asked for authorization yet, or the last one can no longer be renewed: the
    /// next request goes out without a token, and its refusal begins anew.
    #[error("the service has to ask for authorization first")]
    Unchallenged,
    /// The resource's description cannot be fetched or is not one.
    #[error("the resource does not say who authorizes access to it")]
    Resource,
    /// The resource's description is about another resource.
    #[error("the resource's metadata is about another resource")]
    ResourceMismatch,
    /// Somebody named an address that is not `https`, holds credentials, or is further inside
    /// than the resource.
    #[error("an address in the metadata must not be asked")]
    Address,
    /// The resource names no issuer that the operator allows, or another than the one that an
    /// identity token was first shown to.
    #[error("the resource names no authorization server that may be dealt with")]
    UntrustedIssuer,
    /// The authorization server's description cannot be fetched or lacks an endpoint.
    #[error("the authorization server does not describe itself")]
    Server,
    /// The authorization server's description is about another issuer.
    #[error("the authorization server's metadata names another issuer")]
    IssuerMismatch,
    /// The authorization server does not say that it can do PKCE with S256.
    #[error("the authorization server does not announce PKCE with S256")]
    NoPkce,
    /// The client is known to another issuer only, and this one registers none.
    #[error("no client is registered with the authorization server, and it registers none")]
    NoClient,
    /// The authorization server did not register the client.
    #[error("the authorization server did not register the client")]
    Registration,
    /// The authorization server and we share no way to prove who the client is.
    #[error("the authorization server takes none of the client's proofs")]
    ClientAuth,
    /// More scopes were asked for than a token can reasonably have.
    #[error("the service asks for too many scopes")]
    Scopes,
    /// Users were asked several times in the last minutes. Asking more often helps nobody.
    #[error("authorization was asked for too often")]
    TooOften,
    /// The user has been asked and has not answered yet.
    #[error("authorization awaits the user")]
    Awaiting,
    /// Nobody answered in time.
    #[error("nobody answered the request for authorization")]
    Unanswered,
    /// The redirect could not be received, or the user could not be brought to the server.
    #[error("the user cannot be brought to the authorization server and back")]
    Callback,
    /// The redirect did not come from the server that was asked, or answers another request.
    #[error("the answer is not that of the authorization server that was asked")]
    Answer,
    /// The user or the authorization server declined.
    #[error("authorization was declined{}", Code(code.as_deref()))]
    Declined {
        /// The `error` of [RFC 6749, section 4.1.2.1][rfc], if it looks like one.
        ///
        /// [rfc]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1
        code: Option<Arc<str>>,
    },
    /// The token that says who we are cannot be read, or its issuer does not exchange it.
    #[error("there is no proof of identity to show to the authorization server")]
    Identity,
    /// The file that keeps authorizations cannot be read.
    #[error("the saved authorization cannot be read")]
    Store,
    /// The system gave no random bytes, or the key signs nothing.
    #[error("cryptography is not available")]
    Crypto,
}

impl AuthorizeError {
    /// Whether asking again soon would only bother a user.
    pub(crate) fn is_tiresome(&self) -> bool {
        matches!(
            self,
            Self::Declined { .. } | Self::Unanswered | Self::TooOften
        )
    }
}

struct Code<'a>(Option<&'a str>);

impl std::fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |code| write!(f, ": {code}"))
    }
}
