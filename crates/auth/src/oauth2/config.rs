use std::{net::IpAddr, sync::Arc, time::Duration};

use bartizan_backoff::{Backoff, Jitter};
use http::{HeaderValue, Uri, uri::Scheme};
use zeroize::Zeroizing;

use crate::{
    Grant, InvalidOAuth2Config, RefreshTokenStore, Secret,
    credential::{basic_text, bearer_text},
    prepared::sensitive,
    query::encode,
};

/// The buffer, default lifetime and load timeout are those of the identity cache of AWS's SDK
/// for Rust (`LazyCache` in `aws-smithy-runtime`), which has served them at scale for years.
const EXPIRY_BUFFER: Duration = Duration::from_secs(10);
const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Long enough that a dead issuer sees one request a second from a process, short enough that
/// nobody notices a hiccup.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
const MAX_FAILURE_PAUSE: Duration = Duration::from_secs(30);

/// How the client proves itself to the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuth {
    /// In an `Authorization: Basic` header, which every issuer must understand
    /// ([RFC 6749, section 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    #[default]
    Basic,
    /// As `client_id` and `client_secret` in the form.
    Body,
}

/// Where tokens come from and how they are kept fresh.
#[derive(Clone, Debug)]
pub struct OAuth2Config {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) token_url: Uri,
    pub(crate) grant: Grant,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Secret>,
    /// The header of [`ClientAuth::Basic`].
    pub(crate) authorization: Option<HeaderValue>,
    /// The access token to begin with, and its header.
    pub(crate) access: Option<(Secret, HeaderValue)>,
    pub(crate) scopes: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) expiry_buffer: Duration,
    pub(crate) default_lifetime: Duration,
    pub(crate) load_timeout: Duration,
    pub(crate) failure_pause: Backoff,
    pub(crate) store: Option<Arc<dyn RefreshTokenStore>>,
}

impl OAuth2Config {
    /// A builder for tokens of this grant from this endpoint.
    pub fn builder(token_url: Uri, grant: Grant) -> OAuth2ConfigBuilder {
        OAuth2ConfigBuilder {
            name: None,
            token_url,
            grant,
            client_id: None,
            client_secret: None,
            client_auth: ClientAuth::default(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            resources: Vec::new(),
            expiry_buffer: EXPIRY_BUFFER,
            default_lifetime: DEFAULT_LIFETIME,
            load_timeout: LOAD_TIMEOUT,
            failure_pause: FAILURE_PAUSE,
            plain_http: false,
            store: None,
        }
    }

    /// The token endpoint.
    #[must_use]
    pub fn token_url(&self) -> &Uri {
        &self.token_url
    }

    /// Whether its refresh token is the one that `before` began with.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        match (&self.grant, &before.grant) {
            (Grant::RefreshToken { refresh, .. }, Grant::RefreshToken { refresh: first, .. }) => {
                self.token_url == before.token_url && refresh == first
            }
            _ => false,
        }
    }

    /// What tokens are asked for on the strength of.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

/// Builds an [`OAuth2Config`].
#[derive(Clone, Debug)]
#[must_use]
pub struct OAuth2ConfigBuilder {
    name: Option<Arc<str>>,
    token_url: Uri,
    grant: Grant,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    client_auth: ClientAuth,
    scopes: Vec<String>,
    audiences: Vec<String>,
    resources: Vec<String>,
    expiry_buffer: Duration,
    default_lifetime: Duration,
    load_timeout: Duration,
    failure_pause: Duration,
    plain_http: bool,
    store: Option<Arc<dyn RefreshTokenStore>>,
}

impl OAuth2ConfigBuilder {
    /// The service that the tokens are for, as lines of the log name it. Default: they do not.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The client's name at the issuer. Without a secret it is sent in the form.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// The client's secret.
    pub fn client_secret(mut self, secret: Secret) -> Self {
        self.client_secret = Some(secret);
        self
    }

    /// How the client proves itself. Default: [`ClientAuth::Basic`].
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// The scopes to ask for. Default: none, which leaves them to the issuer.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an `audience`: a logical name of the service that the token is for (RFC 8693, and
    /// with other grants an extension of some issuers).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Adds a `resource`: the URI of the service that the token is for
    /// ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)).
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// How long before its expiry a token is renewed in the background, at most; each token
    /// draws its own time between half of that and all of it, so that a fleet does not renew in
    /// step. Never more than half of the token's life. Default: 10 s.
    pub fn expiry_buffer(mut self, buffer: Duration) -> Self {
        self.expiry_buffer = buffer;
        self
    }

    /// How long a token lives whose issuer does not say. Default: 15 min.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = lifetime;
        self
    }

    /// How long callers wait for a token at most. Default: 5 s.
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// How long a failure is remembered before the issuer is asked again: this after the first,
    /// twice as long after each further one, up to 30 s or this, whichever is longer; half of
    /// it is random. A longer `Retry-After` of the issuer's is heeded up to 5 min. Default: 1 s.
    pub fn failure_pause(mut self, pause: Duration) -> Self {
        self.failure_pause = pause;
        self
    }

    /// Allows a token endpoint that is reached over plain `http` and is not on this machine,
    /// such as one inside a cluster whose network encrypts. Default: refused.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.plain_http = allow;
        self
    }

    /// Keeps the newest refresh token over a restart. Default: memory only.
    pub fn refresh_token_store(mut self, store: impl RefreshTokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// The finished configuration.
    ///
    /// # Errors
    ///
    /// When something in it could never work, or would send secrets in the clear.
    pub fn build(self) -> Result<OAuth2Config, InvalidOAuth2Config> {
        check_url(&self.token_url, self.plain_http)?;
        let client_id = self.client_id.filter(|id| !id.is_empty());
        if self.client_secret.is_some() && client_id.is_none() {
            return Err(InvalidOAuth2Config::SecretWithoutId);
        }
        if client_id.is_none() && matches!(self.grant, Grant::ClientCredentials) {
            return Err(InvalidOAuth2Config::NoClientId);
        }
        if self.store.is_some() && !matches!(self.grant, Grant::RefreshToken { .. }) {
            return Err(InvalidOAuth2Config::StoreWithoutRefreshToken);
        }
        if self.default_lifetime.is_zero() || self.load_timeout.is_zero() {
            return Err(InvalidOAuth2Config::ZeroDuration);
        }
        let is_empty = |secret: &Secret| secret.expose().is_empty();
        if self.client_secret.iter().any(is_empty) || secrets(&self.grant).any(is_empty) {
            return Err(InvalidOAuth2Config::EmptySecret);
        }
        if !self.scopes.iter().all(|scope| is_scope(scope)) {
            return Err(InvalidOAuth2Config::Scope);
        }
        let failure_pause = Backoff::exponential(self.failure_pause)
            .max(MAX_FAILURE_PAUSE.max(self.failure_pause))
            .jitter(Jitter::Equal)
            .build()
            .map_err(|_| InvalidOAuth2Config::ZeroDuration)?;
        let authorization = match (&client_id, &self.client_secret, self.client_auth) {
            (Some(id), Some(secret), ClientAuth::Basic) => Some(client_authorization(id, secret)?),
            _ => None,
        };
        let access = match &self.grant {
            Grant::RefreshToken {
                access: Some(access),
                ..
            } => Some((access.clone(), access_header(access)?)),
            _ => None,
        };
        Ok(OAuth2Config {
            name: self.name,
            token_url: self.token_url,
            grant: self.grant,
            client_id,
            client_secret: self.client_secret,
            authorization,
            access,
            scopes: self.scopes.join(" "),
            audiences: self.audiences,
            resources: self.resources,
            expiry_buffer: self.expiry_buffer,
            default_lifetime: self.default_lifetime,
            load_timeout: self.load_timeout,
            failure_pause,
            store: self.store,
        })
    }
}

fn check_url(url: &Uri, plain_http: bool) -> Result<(), InvalidOAuth2Config> {
    let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
        return Err(InvalidOAuth2Config::TokenUrl);
    };
    if authority.host().is_empty() || (*scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(InvalidOAuth2Config::TokenUrl);
    }
    if authority.as_str().contains('@') {
        return Err(InvalidOAuth2Config::CredentialsInUrl);
    }
    if *scheme == Scheme::HTTP && !plain_http && !is_loopback(authority.host()) {
        return Err(InvalidOAuth2Config::PlainHttp);
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The syntax of a scope in [RFC 6749, section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
fn is_scope(scope: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    !scope.is_empty() && scope.bytes().all(allowed)
}

fn secrets(grant: &Grant) -> impl Iterator<Item = &Secret> {
    let (first, second) = match grant {
        Grant::ClientCredentials => (None, None),
        Grant::RefreshToken { access, refresh } => (Some(refresh), access.as_ref()),
        Grant::TokenExchange {
            subject_token,
            actor,
            ..
        } => (
            Some(subject_token),
            actor.as_ref().map(|actor| &actor.token),
        ),
    };
    first.into_iter().chain(second)
}

/// Both parts are form-encoded before they are joined, as RFC 6749 wants it.
pub(crate) fn client_authorization(
    id: &str,
    secret: &Secret,
) -> Result<HeaderValue, InvalidOAuth2Config> {
    let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(secret.expose())));
    sensitive(&basic_text(&pair)).map_err(|_| InvalidOAuth2Config::EmptySecret)
}

fn access_header(access: &Secret) -> Result<HeaderValue, InvalidOAuth2Config> {
    let text = bearer_text(access).map_err(|_| InvalidOAuth2Config::AccessToken)?;
    sensitive(&text).map_err(|_| InvalidOAuth2Config::AccessToken)
}

#[cfg(test)]
mod tests;
