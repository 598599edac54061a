use std::{sync::Arc, time::Duration};

use url::Url;

use super::{
    AuthorizationFile, Callback, Identity, InvalidAuthorize, PrivateKey, UserAgent,
    address::Address, challenge::is_scope,
};
use crate::{Grant, OAuth2Config, Secret};

/// Long enough to log in somewhere and read what is asked; the default of many command lines.
const USER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Some servers are slow, and up to eight exchanges are needed; a person is slower anyway.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Without word from the issuer, a token is good until the service refuses it.
const UNTIL_REFUSED: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How to find out who authorizes access to a resource, and to become authorized.
///
/// Nothing is asked before the resource has refused a request. What it says then leads to its
/// description ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)), that to an authorization
/// server ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414) or OpenID Connect Discovery), and
/// there a client is found or registered and a token asked for, in the name of the resource
/// ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)). Made into a
/// [`TokenCache`](crate::TokenCache::authorize).
///
/// ```
/// use bartizan_auth::{Authorize, Secret};
///
/// let authorize = Authorize::client_credentials("https://api.example/mcp")
///     .client_id("gate")
///     .client_secret(Secret::new("s3cr3t"))
///     .build()?;
/// assert!(!format!("{authorize:?}").contains("s3cr3t"));
/// assert!(Authorize::client_credentials("http://api.example/").build().is_err());
/// # Ok::<(), bartizan_auth::InvalidAuthorize>(())
/// ```
#[derive(Debug)]
pub struct Authorize {
    pub(crate) oauth2: OAuth2Config,
    pub(crate) resource: Address,
    pub(crate) way: Way,
    pub(crate) client: Option<Known>,
    pub(crate) key: Option<Arc<PrivateKey>>,
    pub(crate) metadata_url: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) client_name: String,
    pub(crate) file: Option<AuthorizationFile>,
    pub(crate) user_timeout: Duration,
}

/// For whom authorization is asked.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// The client itself.
    Client,
    /// Whoever an identity provider says we are, or act for.
    Identity(Identity),
    /// Whoever answers in the browser.
    User {
        callback: Arc<dyn Callback>,
        user_agent: Arc<dyn UserAgent>,
    },
}

/// A client that is registered already.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) secret: Option<Secret>,
}

impl Authorize {
    /// What access is asked for, for logs.
    pub(crate) fn service(&self) -> Option<&str> {
        self.oauth2.name.as_deref()
    }

    /// Whether what a user granted to `before` is granted to this as well.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        let id = |it: &Self| it.client.as_ref().map(|client| client.id.clone());
        let is_elsewhere = self.file.is_some() && before.file.is_some() && self.file != before.file;
        let is_user = |it: &Self| matches!(it.way, Way::User { .. });
        (is_user(self) && is_user(before))
            && self.resource == before.resource
            && self.issuer == before.issuer
            && self.metadata_url == before.metadata_url
            && id(self) == id(before)
            && !is_elsewhere
    }

    /// Asks a user, by the authorization code grant with PKCE: `user_agent` shows the page of the
    /// authorization server, `callback` takes what comes back.
    pub fn authorization_code(
        resource: impl Into<String>,
        callback: impl Callback,
        user_agent: impl UserAgent,
    ) -> AuthorizeBuilder {
        let (callback, user_agent) = (Arc::new(callback), Arc::new(user_agent));
        AuthorizeBuilder::new(
            resource.into(),
            Way::User {
                callback,
                user_agent,
            },
        )
    }

    /// Asks for the client itself, by the client credentials grant: for services, where there is
    /// no user to ask.
    pub fn client_credentials(resource: impl Into<String>) -> AuthorizeBuilder {
        AuthorizeBuilder::new(resource.into(), Way::Client)
    }

    /// Asks on the word of an identity provider, by the JWT bearer grant: for workloads, and for
    /// enterprises that manage what their users may reach. The client may be nobody in
    /// particular.
    ///
    /// Without a [provider](Identity::exchanged_at) the JWT itself is shown, and only to the
    /// first issuer that the resource names, unless [`issuer`](AuthorizeBuilder::issuer) says which.
    pub fn identity(resource: impl Into<String>, identity: Identity) -> AuthorizeBuilder {
        AuthorizeBuilder::new(resource.into(), Way::Identity(identity))
    }
}

/// Builds an [`Authorize`].
#[derive(Debug)]
#[must_use]
pub struct AuthorizeBuilder {
    name: Option<Arc<str>>,
    resource: String,
    way: Way,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    key: Option<PrivateKey>,
    metadata_url: Option<String>,
    issuer: Option<String>,
    scopes: Vec<String>,
    client_name: String,
    file: Option<AuthorizationFile>,
    user_timeout: Duration,
    load_timeout: Duration,
}

impl AuthorizeBuilder {
    fn new(resource: String, way: Way) -> Self {
        Self {
            name: None,
            resource,
            way,
            client_id: None,
            client_secret: None,
            key: None,
            metadata_url: None,
            issuer: None,
            scopes: Vec::new(),
            client_name: "bartizan".into(),
            file: None,
            user_timeout: USER_TIMEOUT,
            load_timeout: LOAD_TIMEOUT,
        }
    }

    /// The service that is asked for, as lines of the log name it. Default: they do not.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The id of a client that is registered already. It is shown to one issuer only: that of
    /// [`AuthorizeBuilder::issuer`], or else the first that the resource names.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// That client's secret, which is sent the way the issuer asks for it.
    pub fn client_secret(mut self, secret: Secret) -> Self {
        self.client_secret = Some(secret);
        self
    }

    /// That client's key, to sign assertions with.
    pub fn private_key(mut self, key: PrivateKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The URL of a document that describes the client, by which issuers that support it know
    /// the client without a registration (draft-ietf-oauth-client-id-metadata-document). It has
    /// to list the address of the callback.
    pub fn client_metadata_url(mut self, url: impl Into<String>) -> Self {
        self.metadata_url = Some(url.into());
        self
    }

    /// The only issuer to deal with, exactly as it writes itself. Default: whichever the resource
    /// names, and another one when the resource names another one.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Scopes to ask for whatever the resource says. Default: those that it asks for when it
    /// refuses a request, else those that its description lists, else none.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// What users read when they are asked, if the client is registered with the issuer on the
    /// way. Default: `bartizan`.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = name.into();
        self
    }

    /// Keeps the authorization over a restart. Default: memory only.
    pub fn store(mut self, file: AuthorizationFile) -> Self {
        self.file = Some(file);
        self
    }

    /// How long a user has to answer. Default: 5 min.
    pub fn user_timeout(mut self, timeout: Duration) -> Self {
        self.user_timeout = timeout;
        self
    }

    /// How long callers wait for an authorization. It goes on when they are gone, and is there
    /// for those who come later. Default: 30 s.
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// The finished configuration.
    ///
    /// # Errors
    ///
    /// When something in it could never work, or would send secrets in the clear.
    pub fn build(self) -> Result<Authorize, InvalidAuthorize> {
        let resource = Address::resource(&self.resource).ok_or(InvalidAuthorize::Resource)?;
        let uri = resource.uri().map_err(|_| InvalidAuthorize::Resource)?;
        if self.client_id.is_none() && (self.client_secret.is_some() || self.key.is_some()) {
            return Err(InvalidAuthorize::SecretWithoutId);
        }
        let proof = self.client_secret.is_some() || self.key.is_some();
        if matches!(self.way, Way::Client) && !(self.client_id.is_some() && proof) {
            return Err(InvalidAuthorize::NoClient);
        }
        let empty_id = self.client_id.as_deref() == Some("");
        let mut secret = self.client_secret.iter();
        if empty_id || self.client_name.is_empty() || secret.any(|it| it.expose().is_empty()) {
            return Err(InvalidAuthorize::Empty);
        }
        if !self.metadata_url.iter().all(|url| is_client_metadata(url)) {
            return Err(InvalidAuthorize::MetadataUrl);
        }
        if !self.issuer.iter().all(|issuer| Url::parse(issuer).is_ok()) {
            return Err(InvalidAuthorize::Issuer);
        }
        if !self.scopes.iter().all(|scope| is_scope(scope)) {
            return Err(InvalidAuthorize::Scope);
        }
        if self.user_timeout.is_zero() || self.load_timeout.is_zero() {
            return Err(InvalidAuthorize::ZeroDuration);
        }
        // What the cache needs to know; it asks the flow for everything else.
        let mut oauth2 = OAuth2Config::builder(uri, Grant::ClientCredentials)
            .client_id(&self.client_name)
            .default_lifetime(UNTIL_REFUSED)
            .load_timeout(self.load_timeout)
            .build()
            .map_err(|_| InvalidAuthorize::Resource)?;
        oauth2.name = self.name;
        let secret = self.client_secret;
        Ok(Authorize {
            oauth2,
            resource,
            way: self.way,
            client: self.client_id.map(|id| Known { id, secret }),
            key: self.key.map(Arc::new),
            metadata_url: self.metadata_url,
            issuer: self.issuer,
            scopes: self.scopes,
            client_name: self.client_name,
            file: self.file,
            user_timeout: self.user_timeout,
        })
    }
}

/// Whether a URL can be a client's id: `https`, with a path, and nothing that could be written
/// in two ways.
fn is_client_metadata(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        url.as_str() == text
            && url.scheme() == "https"
            && url.path() != "/"
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogAddress;

    #[derive(Debug)]
    struct Nowhere;

    impl Callback for Nowhere {
        fn listen<'a>(
            &'a self,
            _: &'a str,
            _: Option<&'a str>,
        ) -> super::super::CallbackFuture<'a, super::super::Listening> {
            Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
        }
    }

    fn user() -> AuthorizeBuilder {
        Authorize::authorization_code("https://api.example/mcp", Nowhere, LogAddress)
    }

    fn refused(builder: AuthorizeBuilder) -> InvalidAuthorize {
        builder.build().unwrap_err()
    }

    #[test]
    fn what_could_not_work_is_refused() {
        let client = || Authorize::client_credentials("https://api.example/mcp");
        let secret = || Secret::new("s");
        assert!(user().build().is_ok());
        assert_eq!(refused(client()), InvalidAuthorize::NoClient);
        assert_eq!(refused(client().client_id("c")), InvalidAuthorize::NoClient);
        assert!(
            client()
                .client_id("c")
                .client_secret(secret())
                .build()
                .is_ok()
        );
        assert_eq!(
            refused(user().client_secret(secret())),
            InvalidAuthorize::SecretWithoutId
        );
        assert_eq!(refused(user().client_id("")), InvalidAuthorize::Empty);
        assert_eq!(refused(user().client_name("")), InvalidAuthorize::Empty);
        assert_eq!(
            refused(user().issuer("as.example")),
            InvalidAuthorize::Issuer
        );
        assert_eq!(refused(user().scopes(["a b"])), InvalidAuthorize::Scope);
        let zero = user().user_timeout(Duration::ZERO);
        assert_eq!(refused(zero), InvalidAuthorize::ZeroDuration);
        for resource in [
            "api.example",
            "http://api.example/",
            "https://u:p@h/",
            "https://h/#f",
        ] {
            let refused = refused(Authorize::authorization_code(resource, Nowhere, LogAddress));
            assert_eq!(refused, InvalidAuthorize::Resource, "{resource}");
        }
    }

    #[test]
    fn a_client_is_known_by_a_plain_url() {
        assert!(
            user()
                .client_metadata_url("https://gate.example/client.json")
                .build()
                .is_ok()
        );
        for url in [
            "http://gate.example/c",
            "https://gate.example",
            "https://gate.example/",
            "https://gate.example/#c",
            "https://u@gate.example/c",
            "https://gate.example/a/../c",
        ] {
            let refused = refused(user().client_metadata_url(url));
            assert_eq!(refused, InvalidAuthorize::MetadataUrl, "{url}");
        }
    }
}
