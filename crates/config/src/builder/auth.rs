use bartizan_auth::Secret;

use crate::{ApiKeyPlace, AuthType};

/// How the gateway proves itself to a service, for a [`ServiceConfig`](crate::ServiceConfig).
#[derive(Clone, Debug)]
#[must_use]
pub struct Auth {
    /// What follows the service's prefix in the name of a variable, and its text.
    pub(super) settings: Vec<(&'static str, Secret)>,
}

impl Auth {
    fn of(auth_type: AuthType) -> Self {
        Self {
            settings: Vec::new(),
        }
        .with("AUTH_TYPE", auth_type.as_str())
    }

    fn with(mut self, suffix: &'static str, text: impl Into<String>) -> Self {
        self.settings.push((suffix, Secret::new(text)));
        self
    }

    /// Not at all.
    pub fn none() -> Self {
        Self::of(AuthType::None)
    }

    /// With a fixed bearer token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::of(AuthType::Bearer).with("TOKEN", token)
    }

    /// With a key in the header `X-API-Key`.
    pub fn api_key(key: impl Into<String>) -> Self {
        Self::of(AuthType::ApiKey).with("API_KEY", key)
    }

    /// With a key in this place and under this name.
    pub fn api_key_in(place: ApiKeyPlace, name: impl Into<String>, key: impl Into<String>) -> Self {
        Self::api_key(key)
            .with("API_KEY_IN", place.as_str())
            .with("API_KEY_NAME", name)
    }

    /// With a user name and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::of(AuthType::Basic)
            .with("USERNAME", username)
            .with("PASSWORD", password)
    }

    /// With an OAuth2 access token. Unless [`Auth::token_url`] is added it is never renewed.
    pub fn oauth2(access_token: impl Into<String>) -> Self {
        Self::of(AuthType::OAuth2).with("ACCESS_TOKEN", access_token)
    }

    /// With OAuth2 access tokens that this client asks the token endpoint for.
    pub fn client_credentials(
        token_url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self::of(AuthType::OAuth2)
            .token_url(token_url)
            .client(client_id, client_secret)
    }

    /// Adds a refresh token, for [`Auth::oauth2`].
    pub fn refresh_token(self, refresh_token: impl Into<String>) -> Self {
        self.with("REFRESH_TOKEN", refresh_token)
    }

    /// Adds the token endpoint, for [`Auth::oauth2`].
    pub fn token_url(self, url: impl Into<String>) -> Self {
        self.with("TOKEN_URL", url)
    }

    /// Adds the gateway's name and secret at the token endpoint. An empty secret is none.
    pub fn client(self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.with("CLIENT_ID", id).with("CLIENT_SECRET", secret)
    }

    /// Adds the scopes to ask for, separated by blanks.
    pub fn scopes(self, scopes: impl Into<String>) -> Self {
        self.with("SCOPES", scopes)
    }
}
