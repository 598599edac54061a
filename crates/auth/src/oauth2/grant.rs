use crate::Secret;

/// What a token is asked for on the strength of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Grant {
    /// The client itself: [RFC 6749, section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4).
    ClientCredentials,
    /// A refresh token: [RFC 6749, section 6](https://www.rfc-editor.org/rfc/rfc6749#section-6).
    ///
    /// Many providers replace it at each use and revoke all tokens of the family when an old one
    /// comes back. A cache therefore presents each of them once, and a
    /// [`RefreshTokenStore`](crate::RefreshTokenStore) keeps the newest over a restart. One refresh
    /// token belongs to one cache of one process.
    RefreshToken {
        /// An access token to begin with. It counts as fetched when the cache is made, and lives
        /// for the default lifetime.
        access: Option<Secret>,
        /// The refresh token to begin with.
        refresh: Secret,
    },
    /// Another token: [RFC 8693](https://www.rfc-editor.org/rfc/rfc8693).
    TokenExchange {
        /// The token that says for whom access is asked.
        subject_token: Secret,
        /// What kind of token that is, as a URI such as
        /// `urn:ietf:params:oauth:token-type:access_token`.
        subject_token_type: String,
        /// Who acts for the subject, if that is somebody else.
        actor: Option<Actor>,
        /// The kind of token to be issued; without it the issuer chooses.
        requested_token_type: Option<String>,
    },
}

/// Who acts for the subject of a token exchange.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The token that says who acts.
    pub token: Secret,
    /// What kind of token that is, as a URI.
    pub token_type: String,
}

impl Grant {
    /// An exchange of a token of this type, without an actor.
    pub fn token_exchange(subject_token: Secret, subject_token_type: impl Into<String>) -> Self {
        Self::TokenExchange {
            subject_token,
            subject_token_type: subject_token_type.into(),
            actor: None,
            requested_token_type: None,
        }
    }

    /// A refresh token without an access token to begin with.
    #[must_use]
    pub fn refresh_token(refresh: Secret) -> Self {
        Self::RefreshToken {
            access: None,
            refresh,
        }
    }
}
