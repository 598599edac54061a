use std::path::PathBuf;

use bartizan_auth::Secret;
use url::Url;

use crate::{
    AuthorizeGrant, KeyAlgorithm, Setting, Variable,
    auth::Scopes,
    reader::{Reader, Scope},
    store::store,
    table,
    value::{Fault, Value},
};

/// How the gateway finds out who authorizes access to a service, and becomes authorized.
///
/// What the grant needs is there: a client id, and a secret or a private key, for
/// [`AuthorizeGrant::ClientCredentials`]; an identity token for [`AuthorizeGrant::JwtBearer`].
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizeSettings {
    /// For whom authorization is asked.
    pub grant: Setting<AuthorizeGrant>,
    /// The gateway's name at the authorization server, if it is registered there already.
    pub client_id: Option<Setting<String>>,
    /// The gateway's secret at the authorization server.
    pub client_secret: Option<Setting<Secret>>,
    /// The key with which the gateway proves who it is, in PEM.
    pub private_key: Option<Setting<Secret>>,
    /// How that key signs.
    pub private_key_algorithm: Setting<KeyAlgorithm>,
    /// The name of that key at the authorization server.
    pub private_key_id: Option<Setting<String>>,
    /// Where the gateway is described to authorization servers.
    pub client_metadata_url: Option<Setting<String>>,
    /// The only authorization server to deal with.
    pub issuer: Option<Setting<String>>,
    /// The file that holds what an identity provider says, which is read anew for each token.
    pub identity_token: Option<Setting<PathBuf>>,
    /// The identity provider that exchanges it for a grant to the authorization server.
    pub identity_provider: Option<IdentityProvider>,
    /// The scopes to ask for in any case.
    pub scopes: Option<Setting<Vec<String>>>,
    /// The command that shows a page to the user, and its arguments.
    pub command: Option<Setting<Vec<String>>>,
    /// The port on which the answer of the authorization server is awaited.
    pub callback_port: Option<Setting<u16>>,
    /// The file that keeps the authorization.
    pub store: Option<Setting<PathBuf>>,
}

/// Where what is said of a user becomes a grant to an authorization server.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityProvider {
    /// Its token endpoint.
    pub url: Setting<Url>,
    /// The gateway's name there.
    pub client_id: Setting<String>,
    /// The gateway's secret there.
    pub client_secret: Option<Setting<Secret>>,
}

impl IdentityProvider {
    fn read(reader: &mut Reader<'_>, scope: &Scope) -> Option<Self> {
        let url = reader.optional(scope, &table::IDENTITY_PROVIDER_URL)?;
        let id = &table::IDENTITY_PROVIDER_CLIENT_ID;
        Some(Self {
            url,
            client_id: reader.required(scope, id, id.rule)?,
            client_secret: reader.secret(scope, &table::IDENTITY_PROVIDER_CLIENT_SECRET),
        })
    }
}

impl AuthorizeSettings {
    pub(crate) fn read(reader: &mut Reader<'_>, scope: &Scope) -> Option<Self> {
        let grant: Setting<AuthorizeGrant> = reader.setting(scope, &table::AUTHORIZE_GRANT);
        let itself = *grant == AuthorizeGrant::ClientCredentials;
        let has_key = reader.is_set(scope, &table::PRIVATE_KEY);
        let client_secret = if itself && !has_key {
            reader.required_secret(scope, &table::CLIENT_SECRET)
        } else {
            reader.secret(scope, &table::CLIENT_SECRET)
        };
        let private_key = reader.secret(scope, &table::PRIVATE_KEY);
        let client_id = if itself || has_key || client_secret.is_some() {
            reader.required(scope, &table::CLIENT_ID, table::CLIENT_ID.rule)
        } else {
            reader.optional(scope, &table::CLIENT_ID)
        };
        let scopes: Option<Setting<Scopes>> = reader.optional(scope, &table::SCOPES);
        let command: Option<Setting<Command>> = reader.optional(scope, &table::AUTHORIZE_COMMAND);
        let metadata: Option<Setting<MetadataUrl>> =
            reader.optional(scope, &table::CLIENT_METADATA_URL);
        let issuer: Option<Setting<Issuer>> = reader.optional(scope, &table::AUTHORIZE_ISSUER);
        let (mut identity_token, mut identity_provider) = (None, None);
        if *grant == AuthorizeGrant::JwtBearer {
            let token = &table::IDENTITY_TOKEN_FILE;
            identity_token = Some(reader.required(scope, token, token.rule)?);
            identity_provider = IdentityProvider::read(reader, scope);
        }
        Some(Self {
            grant,
            identity_token,
            identity_provider,
            client_id,
            client_secret,
            private_key,
            private_key_algorithm: reader.setting(scope, &table::PRIVATE_KEY_ALGORITHM),
            private_key_id: reader.optional(scope, &table::PRIVATE_KEY_ID),
            client_metadata_url: metadata.map(|it| it.map(|MetadataUrl(url)| url)),
            issuer: issuer.map(|it| it.map(|Issuer(issuer)| issuer)),
            scopes: scopes.map(|it| it.map(|Scopes(all)| all)),
            command: command.map(|it| it.map(|Command(words)| words)),
            callback_port: reader.optional(scope, &table::AUTHORIZE_CALLBACK_PORT),
            store: store(reader, scope, &table::AUTHORIZE_STORE),
        })
    }
}

/// A program and its arguments.
struct Command(Vec<String>);

impl Value for Command {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        match shell_words::split(text) {
            Ok(words) if words.first().is_some_and(|word| !word.is_empty()) => Ok(Self(words)),
            _ => Err(Fault::must("name a program and close every quote")),
        }
    }
}

/// A URL that is a client's name as well: it is compared as it is written.
struct MetadataUrl(String);

impl Value for MetadataUrl {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let fits = Url::parse(text).is_ok_and(|url| {
            let plain = url.username().is_empty() && url.password().is_none();
            let named = url.path() != "/" && url.fragment().is_none();
            url.as_str() == text && url.scheme() == "https" && plain && named
        });
        let rule = "be an https URL with a path, written as browsers write it";
        fits.then(|| Self(text.to_owned()))
            .ok_or_else(|| Fault::must(rule))
    }
}

/// A URL that is compared as it is written.
struct Issuer(String);

impl Value for Issuer {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let fits = Url::parse(text).is_ok_and(|url| url.has_host());
        let rule = "be a URL, exactly as the authorization server writes it";
        fits.then(|| Self(text.to_owned()))
            .ok_or_else(|| Fault::must(rule))
    }
}
