use std::path::PathBuf;

use bartizan_auth::{Place, Secret};
use http::HeaderName;
use url::{Host, Url};

use crate::{
    ApiKeyPlace, AuthType, AuthorizeSettings, ClientAuthentication, McpTransport, OAuth2Grant,
    Origin, Setting, Variable,
    reader::{Reader, Scope},
    store::store,
    table,
    value::{Fault, Value, items},
};

/// How the gateway proves itself to a service.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthSettings {
    /// Not at all.
    None,
    /// With a fixed bearer token.
    Bearer {
        /// The token, which fits into a header.
        token: Setting<Secret>,
    },
    /// With a key.
    ApiKey {
        /// The key, which fits into its place.
        key: Setting<Secret>,
        /// Where in a request it goes.
        place: Setting<Place>,
    },
    /// With a user name and a password.
    Basic {
        /// The user's name, without a colon.
        username: Setting<String>,
        /// The password.
        password: Setting<Secret>,
    },
    /// With an OAuth2 access token.
    OAuth2(Box<OAuth2Settings>),
    /// With an OAuth2 access token from whoever the service says can issue one.
    Authorize(Box<AuthorizeSettings>),
}

impl AuthSettings {
    /// The type that this is of.
    #[must_use]
    pub fn auth_type(&self) -> AuthType {
        match self {
            Self::None => AuthType::None,
            Self::Bearer { .. } => AuthType::Bearer,
            Self::ApiKey { .. } => AuthType::ApiKey,
            Self::Basic { .. } => AuthType::Basic,
            Self::OAuth2(_) => AuthType::OAuth2,
            Self::Authorize(_) => AuthType::Authorize,
        }
    }

    /// Reads what the service's type of authentication needs; `None` if something is wrong.
    ///
    /// A service that is `spoken` to by MCP needs none, and one that is a process can have none.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        scope: &Scope,
        spoken: Option<McpTransport>,
    ) -> Option<Setting<Self>> {
        const REQUIRED: &str = "auth configuration is required";

        let auth_type = if spoken.is_some() {
            let none = Origin::Default("many MCP servers ask for nothing");
            reader.inherit(
                scope,
                &table::AUTH_TYPE,
                &Setting::new(AuthType::None, none),
            )
        } else {
            reader.required(scope, &table::AUTH_TYPE, REQUIRED)?
        };
        if spoken == Some(McpTransport::Stdio) && *auth_type != AuthType::None {
            let words = "a service that is started by a command has its credentials in its \
                         environment or arguments";
            reader.wrong_value(scope, &table::AUTH_TYPE, words);
            return None;
        }
        let settings = match *auth_type {
            AuthType::None => Self::None,
            AuthType::Bearer => {
                let token = reader.required_secret(scope, &table::TOKEN)?;
                check(reader, scope, &table::TOKEN, &token, is_token)?;
                Self::Bearer { token }
            }
            AuthType::ApiKey => Self::read_api_key(reader, scope)?,
            AuthType::Basic => Self::read_basic(reader, scope)?,
            AuthType::OAuth2 => Self::OAuth2(Box::new(OAuth2Settings::read(reader, scope)?)),
            AuthType::Authorize => {
                Self::Authorize(Box::new(AuthorizeSettings::read(reader, scope)?))
            }
        };
        Some(auth_type.map(|_| settings))
    }

    fn read_api_key(reader: &mut Reader<'_>, scope: &Scope) -> Option<Self> {
        let place = place(reader, scope);
        let key = reader.required_secret(scope, &table::API_KEY);
        let (place, key) = (place?, key?);
        let fits = match *place {
            Place::Header(_) => fits_header,
            Place::Query(_) => |_: &str| true,
            Place::Cookie(_) => fits_cookie,
        };
        check(reader, scope, &table::API_KEY, &key, fits)?;
        Some(Self::ApiKey { key, place })
    }

    fn read_basic(reader: &mut Reader<'_>, scope: &Scope) -> Option<Self> {
        let username: Option<Setting<String>> =
            reader.required(scope, &table::USERNAME, table::USERNAME.rule);
        let password = reader.required_secret(scope, &table::PASSWORD);
        let (username, password) = (username?, password?);
        if username.contains(':') || username.contains(char::is_control) {
            let words = "user name must hold neither colons nor control characters";
            reader.wrong_value(scope, &table::USERNAME, words);
            return None;
        }
        let sound = |password: &str| !password.contains(char::is_control);
        check(reader, scope, &table::PASSWORD, &password, sound)?;
        Some(Self::Basic { username, password })
    }
}

/// An access token and how it is renewed.
///
/// What the grant needs is there: a refresh token for [`OAuth2Grant::RefreshToken`], a client id
/// for [`OAuth2Grant::ClientCredentials`], a token URL for both, and an access token for
/// [`OAuth2Grant::Static`].
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2Settings {
    /// What new access tokens are asked for on the strength of.
    pub grant: Setting<OAuth2Grant>,
    /// The access token to begin with.
    pub access_token: Option<Setting<Secret>>,
    /// The refresh token to begin with.
    pub refresh_token: Option<Setting<Secret>>,
    /// The file that keeps the latest refresh token.
    pub refresh_token_store: Option<Setting<PathBuf>>,
    /// The token endpoint.
    pub token_url: Option<Setting<Url>>,
    /// Whether the token endpoint may be reached over plain `http` beyond this machine.
    pub token_url_allow_http: Setting<bool>,
    /// The gateway's name at the token endpoint.
    pub client_id: Option<Setting<String>>,
    /// The gateway's secret at the token endpoint.
    pub client_secret: Option<Setting<Secret>>,
    /// How the gateway proves itself to the token endpoint.
    pub client_authentication: Setting<ClientAuthentication>,
    /// The scopes to ask for; none leaves them to the issuer.
    pub scopes: Option<Setting<Vec<String>>>,
    /// The audience to ask a token for.
    pub audience: Option<Setting<String>>,
}

impl OAuth2Settings {
    fn read(reader: &mut Reader<'_>, scope: &Scope) -> Option<Self> {
        let has_url = reader.is_set(scope, &table::TOKEN_URL);
        let has_refresh = reader.is_set(scope, &table::REFRESH_TOKEN);
        let likely = match (has_url, has_refresh) {
            (false, _) => OAuth2Grant::Static,
            (true, true) => OAuth2Grant::RefreshToken,
            (true, false) => OAuth2Grant::ClientCredentials,
        };
        let likely = Setting::new(likely, Origin::Default("what the other settings allow"));
        let grant = reader.inherit(scope, &table::GRANT, &likely);
        let renews = *grant != OAuth2Grant::Static;

        let access_token = if renews {
            reader.secret(scope, &table::ACCESS_TOKEN)
        } else {
            reader.required_secret(scope, &table::ACCESS_TOKEN)
        };
        let refresh_token = if *grant == OAuth2Grant::RefreshToken {
            reader.required_secret(scope, &table::REFRESH_TOKEN)
        } else {
            reader.secret(scope, &table::REFRESH_TOKEN)
        };
        let refresh_token_store = if *grant == OAuth2Grant::RefreshToken {
            store(reader, scope, &table::REFRESH_TOKEN_STORE)
        } else {
            None
        };
        let token_url: Option<Setting<Url>> = if renews {
            reader.required(scope, &table::TOKEN_URL, "token URL is required")
        } else {
            reader.optional(scope, &table::TOKEN_URL)
        };
        let client_id = if *grant == OAuth2Grant::ClientCredentials
            || reader.is_set(scope, &table::CLIENT_SECRET)
        {
            reader.required(scope, &table::CLIENT_ID, table::CLIENT_ID.rule)
        } else {
            reader.optional(scope, &table::CLIENT_ID)
        };
        let scopes: Option<Setting<Scopes>> = reader.optional(scope, &table::SCOPES);
        if has_refresh && !renews {
            reader.warn(scope.message(&format!(
                "the refresh token is of no use without {}: once the access token has expired, \
                 calls will fail",
                scope.name(&table::TOKEN_URL)
            )));
        }
        let settings = Self {
            grant,
            access_token,
            refresh_token,
            refresh_token_store,
            token_url,
            token_url_allow_http: reader.setting(scope, &table::TOKEN_URL_ALLOW_HTTP),
            client_id,
            client_secret: reader.secret(scope, &table::CLIENT_SECRET),
            client_authentication: reader.setting(scope, &table::CLIENT_AUTHENTICATION),
            scopes: scopes.map(|it| it.map(|Scopes(all)| all)),
            audience: reader.optional(scope, &table::AUDIENCE),
        };
        settings.check(reader, scope)?;
        Some(settings)
    }

    fn check(&self, reader: &mut Reader<'_>, scope: &Scope) -> Option<()> {
        if let Some(url) = &self.token_url
            && url.scheme() == "http"
            && !is_loopback(url)
            && !*self.token_url_allow_http
        {
            let words = format!(
                "token URL must be https, or {} be true",
                scope.name(&table::TOKEN_URL_ALLOW_HTTP)
            );
            reader.wrong_value(scope, &table::TOKEN_URL, &words);
        }
        match &self.access_token {
            Some(token) => check(reader, scope, &table::ACCESS_TOKEN, token, is_token),
            None => Some(()),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The place of an API key, with a name that can be sent.
fn place(reader: &mut Reader<'_>, scope: &Scope) -> Option<Setting<Place>> {
    let kind: Setting<ApiKeyPlace> = reader.setting(scope, &table::API_KEY_IN);
    let name: Setting<String> = reader.setting(scope, &table::API_KEY_NAME);
    let is_cookie = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    let place = match *kind {
        ApiKeyPlace::Header => HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|name| !FRAMING.contains(&name.as_str()))
            .map(Place::Header),
        ApiKeyPlace::Query => Some(Place::Query(name.value().clone())),
        ApiKeyPlace::Cookie => is_cookie.then(|| Place::Cookie(name.value().clone())),
    };
    if place.is_none() {
        let words = format!("API key cannot be sent in a {} of this name", *kind);
        reader.wrong_value(scope, &table::API_KEY_NAME, &words);
    }
    Some(Setting::new(place?, kind.origin().clone()))
}

/// Headers that the client writes itself: a key in one of them would break every request.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn check(
    reader: &mut Reader<'_>,
    scope: &Scope,
    variable: &Variable,
    secret: &Secret,
    fits: fn(&str) -> bool,
) -> Option<()> {
    if fits(secret.expose()) {
        return Some(());
    }
    let words = format!("{} holds characters that cannot be sent", variable.rule);
    reader.wrong_secret(scope, variable, scope.message(&words));
    None
}

fn is_token(secret: &str) -> bool {
    secret.bytes().all(|byte| byte.is_ascii_graphic())
}

fn fits_header(secret: &str) -> bool {
    secret
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The octets of a cookie's value in
/// [RFC 6265, section 4.1.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1).
fn fits_cookie(secret: &str) -> bool {
    secret
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte))
}

pub(crate) struct Scopes(pub(crate) Vec<String>);

impl Value for Scopes {
    /// Scopes as [RFC 6749, section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)
    /// writes them.
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let scopes: Vec<_> = items(text, &[',', ' ']).map(str::to_owned).collect();
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        if scopes.iter().all(|scope| scope.bytes().all(allowed)) {
            Ok(Self(scopes))
        } else {
            Err(Fault::must(
                "hold scopes of visible ASCII without quotes and backslashes",
            ))
        }
    }
}
