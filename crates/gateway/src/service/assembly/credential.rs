//! What a service is shown, and where tokens come from.

use std::sync::Arc;

use bartizan_auth::{
    AuthorizationFile, Authorize, BrowserCommand, ClientAuth, Credential, Grant, Identity,
    LogAddress, LoopbackCallback, OAuth2Config, PrivateKey, RefreshTokenFile, Secret,
    SigningAlgorithm, TokenCache,
};
use bartizan_client::Client;
use bartizan_clock::Clock;
use bartizan_config::{
    AuthSettings, AuthorizeGrant, AuthorizeSettings, ClientAuthentication, KeyAlgorithm,
    OAuth2Grant, OAuth2Settings, ServiceSettings,
};
use bartizan_telemetry::{Reading, ServiceMetrics};
use http::Uri;

use super::Reason;
use crate::service::Service;

/// Where tokens come from, for as long as some service of a name gets them in the same way.
#[derive(Clone, Debug)]
pub(in crate::service) struct Tokens {
    cache: TokenCache<Client>,
    /// How much the metrics have of those that were had, and of failures.
    readings: Arc<[Reading; 2]>,
}

impl Tokens {
    fn new(cache: TokenCache<Client>) -> Self {
        Self {
            cache,
            readings: Arc::default(),
        }
    }

    /// Waits until a refresh token that is being replaced has been saved, if one is.
    pub(in crate::service) async fn settled(&self) {
        self.cache.settled().await;
    }

    /// Brings the counters of tokens that were had, and of failures, up to date.
    pub(in crate::service) fn count(&self, metrics: &ServiceMetrics) {
        let snapshot = self.cache.snapshot();
        let [success, failure] = &metrics.token_refreshes;
        self.readings[0].take(snapshot.refreshes, success);
        self.readings[1].take(snapshot.failures, failure);
    }
}

/// What a service is shown. Where `before` gets its tokens in the same way, those are gone on with:
/// a refresh token that was rotated is known to nobody else, and one that was spent, presented
/// again, has an issuer revoke all.
pub(super) fn credential(
    service: &ServiceSettings,
    before: Option<&Service>,
    client: &Client,
    clock: Clock,
) -> Result<(Credential<Client>, Option<Tokens>), Reason> {
    if let Some(tokens) = before.and_then(|before| before.tokens_of(service)) {
        return Ok((Credential::oauth2(tokens.cache.clone()), Some(tokens)));
    }
    let credential = match service.auth.value() {
        AuthSettings::None => Credential::None,
        AuthSettings::Bearer { token } => Credential::bearer(token)?,
        AuthSettings::ApiKey { key, place } => Credential::api_key(place.value().clone(), key)?,
        AuthSettings::Basic { username, password } => Credential::basic(username, password)?,
        AuthSettings::OAuth2(settings) => {
            let before = before.and_then(|before| before.tokens.as_ref());
            return oauth2(settings, &service.name, before, client, clock);
        }
        AuthSettings::Authorize(settings) => {
            // Instances of one service are one resource.
            let resource = resource(service);
            let authorize = authorize(settings, &service.name, resource)?;
            let cache = match before.and_then(|before| before.tokens.as_ref()) {
                Some(before) => before.cache.reauthorized(authorize, client.clone()),
                None => TokenCache::authorize(authorize, client.clone(), clock),
            };
            return Ok((Credential::oauth2(cache.clone()), Some(Tokens::new(cache))));
        }
    };
    Ok((credential, None))
}

/// What is to be authorized for, if that is asked of the service itself.
fn resource(service: &ServiceSettings) -> &str {
    service.endpoints.first().map_or("", |it| it.as_str())
}

/// Whether tokens for one are tokens for the other, as far as the services are asked for them.
pub(super) fn is_same_resource(service: &ServiceSettings, other: &ServiceSettings) -> bool {
    let asks_itself = matches!(*service.auth, AuthSettings::Authorize(_));
    !asks_itself || resource(service) == resource(other)
}

impl Service {
    /// Where its tokens come from, if one under these settings would get the same ones.
    fn tokens_of(&self, settings: &ServiceSettings) -> Option<Tokens> {
        let own = self.settings();
        let alike = own.auth == settings.auth && is_same_resource(&own, settings);
        self.tokens.clone().filter(|_| alike)
    }

    /// Has tokens fetched by another client from now on.
    pub(crate) fn fetch_tokens_by(&self, client: &Client) {
        if let Some(tokens) = &self.tokens {
            tokens.cache.fetch_by(client.clone());
        }
    }
}

fn authorize(
    settings: &AuthorizeSettings,
    name: &str,
    resource: &str,
) -> Result<Authorize, Reason> {
    let builder = match (*settings.grant, &settings.command) {
        (AuthorizeGrant::ClientCredentials, _) => Authorize::client_credentials(resource),
        (AuthorizeGrant::JwtBearer, _) => {
            // The configuration has seen to it that there is one.
            let path = settings.identity_token.as_ref();
            let path = path.map_or_else(Default::default, |path| path.value().clone());
            let mut identity = Identity::from_file(path);
            if let Some(provider) = &settings.identity_provider {
                let secret = provider.client_secret.as_ref();
                let secret = secret.map(|secret| secret.value().clone());
                let id = provider.client_id.value();
                identity = identity.exchanged_at(provider.url.as_str(), id, secret)?;
            }
            Authorize::identity(resource, identity)
        }
        (AuthorizeGrant::AuthorizationCode, command) => {
            let port = settings.callback_port.as_ref().map_or(0, |port| **port);
            let callback = LoopbackCallback::on_port(port);
            match command {
                Some(words) => {
                    let browser = BrowserCommand::new(words.iter())?;
                    Authorize::authorization_code(resource, callback, browser)
                }
                None => Authorize::authorization_code(resource, callback, LogAddress),
            }
        }
    };
    let builder = builder.name(name);
    let mut builder = builder.scopes(settings.scopes.iter().flat_map(|it| it.iter()));
    if let Some(id) = &settings.client_id {
        builder = builder.client_id(id.value());
    }
    if let Some(secret) = &settings.client_secret {
        builder = builder.client_secret(secret.value().clone());
    }
    if let Some(pem) = &settings.private_key {
        let algorithm = match *settings.private_key_algorithm {
            KeyAlgorithm::Es256 => SigningAlgorithm::Es256,
            KeyAlgorithm::Es384 => SigningAlgorithm::Es384,
            KeyAlgorithm::EdDsa => SigningAlgorithm::EdDsa,
            KeyAlgorithm::Rs256 => SigningAlgorithm::Rs256,
            KeyAlgorithm::Ps256 => SigningAlgorithm::Ps256,
        };
        let key = PrivateKey::from_pem(pem, algorithm)?;
        builder = builder.private_key(match &settings.private_key_id {
            Some(id) => key.with_id(id.value()),
            None => key,
        });
    }
    if let Some(url) = &settings.client_metadata_url {
        builder = builder.client_metadata_url(url.value());
    }
    if let Some(issuer) = &settings.issuer {
        builder = builder.issuer(issuer.value());
    }
    if let Some(path) = &settings.store {
        builder = builder.store(AuthorizationFile::new(path.value()));
    }
    Ok(builder.build()?)
}

fn oauth2(
    settings: &OAuth2Settings,
    name: &str,
    before: Option<&Tokens>,
    client: &Client,
    clock: Clock,
) -> Result<(Credential<Client>, Option<Tokens>), Reason> {
    let secret = |setting: &Option<bartizan_config::Setting<Secret>>| {
        setting.as_ref().map(|setting| setting.value().clone())
    };
    let access = secret(&settings.access_token);
    let refresh = secret(&settings.refresh_token);
    let (grant, url) = match (*settings.grant, refresh, &settings.token_url) {
        (OAuth2Grant::RefreshToken, Some(refresh), Some(url)) => {
            (Grant::RefreshToken { access, refresh }, url)
        }
        (OAuth2Grant::ClientCredentials, _, Some(url)) => (Grant::ClientCredentials, url),
        // The configuration gives every other combination the grant `static`, which has a token.
        _ => {
            let token = access.unwrap_or_else(|| Secret::new(""));
            return Ok((Credential::bearer(&token)?, None));
        }
    };
    let mut builder = OAuth2Config::builder(url.as_str().parse::<Uri>()?, grant)
        .name(name)
        .allow_plain_http(*settings.token_url_allow_http)
        .client_auth(match *settings.client_authentication {
            ClientAuthentication::Basic => ClientAuth::Basic,
            ClientAuthentication::Body => ClientAuth::Body,
        });
    if let Some(id) = &settings.client_id {
        builder = builder.client_id(id.value());
    }
    if let Some(secret) = secret(&settings.client_secret) {
        builder = builder.client_secret(secret);
    }
    if let Some(scopes) = &settings.scopes {
        builder = builder.scopes(scopes.iter());
    }
    if let Some(audience) = &settings.audience {
        builder = builder.audience(audience.value());
    }
    if let Some(path) = &settings.refresh_token_store {
        builder = builder.refresh_token_store(RefreshTokenFile::new(path.value()));
    }
    let config = builder.build()?;
    let cache = match before {
        Some(before) => before.cache.reconfigured(config, client.clone()),
        None => TokenCache::new(config, client.clone(), clock),
    };
    Ok((Credential::oauth2(cache.clone()), Some(Tokens::new(cache))))
}
