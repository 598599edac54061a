use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::{self, HeaderName};
use zeroize::Zeroizing;

use crate::{InvalidCredential, NoClient, Place, Prepared, Secret, TokenCache};

/// What a service is shown to prove who is asking.
///
/// `S` is the HTTP client by which OAuth2 tokens are fetched; a program that uses none leaves it
/// out. Static credentials are checked and encoded once, when they are made.
///
/// ```
/// use bartizan_auth::{Credential, Place, Secret};
///
/// let credential: Credential = Credential::bearer(&Secret::new("s3cr3t"))?;
/// assert_eq!(format!("{credential:?}"), "Bearer(authorization: [redacted])");
///
/// let place = Place::Query("api_key".into());
/// let credential: Credential = Credential::api_key(place, &Secret::new("s3cr3t"))?;
/// assert_eq!(format!("{credential:?}"), "ApiKey(?api_key=[redacted])");
/// # Ok::<(), bartizan_auth::InvalidCredential>(())
/// ```
pub enum Credential<S = NoClient> {
    /// Nothing. What the caller sent is still stripped.
    None,
    /// `Authorization: Bearer`, as of [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750).
    Bearer(Prepared),
    /// A key in a header, the query or a cookie.
    ApiKey(Prepared),
    /// `Authorization: Basic`, as of [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617).
    Basic(Prepared),
    /// `Authorization: Bearer` with a token that is fetched and renewed.
    OAuth2(TokenCache<S>),
}

impl<S> Credential<S> {
    /// A bearer token.
    ///
    /// # Errors
    ///
    /// When the token is empty or holds anything but visible ASCII.
    pub fn bearer(token: &Secret) -> Result<Self, InvalidCredential> {
        let value = bearer_text(token)?;
        Prepared::header(header::AUTHORIZATION, &value).map(Self::Bearer)
    }

    /// An API key.
    ///
    /// # Errors
    ///
    /// When the key is empty, or holds characters that its place cannot carry: a header takes
    /// printable ASCII without blanks at its ends, a cookie what RFC 6265 allows, a query
    /// everything. Also when there can be no parameter or cookie with the name.
    pub fn api_key(place: Place, key: &Secret) -> Result<Self, InvalidCredential> {
        Prepared::api_key(place, key).map(Self::ApiKey)
    }

    /// A user name and a password, which may be empty.
    ///
    /// # Errors
    ///
    /// When the user name holds a colon, or either of them a control character.
    pub fn basic(user: &str, password: &Secret) -> Result<Self, InvalidCredential> {
        if user.contains(':') {
            return Err(InvalidCredential::ColonInUser);
        }
        let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
        if pair.chars().any(char::is_control) {
            return Err(InvalidCredential::Character);
        }
        let value = basic_text(&pair);
        Prepared::header(header::AUTHORIZATION, &value).map(Self::Basic)
    }

    /// A token from an OAuth2 token endpoint.
    pub fn oauth2(cache: TokenCache<S>) -> Self {
        Self::OAuth2(cache)
    }

    /// What kind it is, for logs and metrics: `none`, `bearer`, `api_key`, `basic` or `oauth2`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer(_) => "bearer",
            Self::ApiKey(_) => "api_key",
            Self::Basic(_) => "basic",
            Self::OAuth2(_) => "oauth2",
        }
    }

    /// The header that it replaces as a whole.
    pub(crate) fn replaces(&self) -> Option<&HeaderName> {
        match self {
            Self::None => None,
            Self::Bearer(prepared) | Self::ApiKey(prepared) | Self::Basic(prepared) => {
                prepared.replaces()
            }
            Self::OAuth2(_) => Some(&header::AUTHORIZATION),
        }
    }
}

// By hand, because a derived one would ask the same of the client.
impl<S> Clone for Credential<S> {
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Bearer(prepared) => Self::Bearer(prepared.clone()),
            Self::ApiKey(prepared) => Self::ApiKey(prepared.clone()),
            Self::Basic(prepared) => Self::Basic(prepared.clone()),
            Self::OAuth2(cache) => Self::OAuth2(cache.clone()),
        }
    }
}

impl<S> fmt::Debug for Credential<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bearer(prepared) => f.debug_tuple("Bearer").field(prepared).finish(),
            Self::ApiKey(prepared) => f.debug_tuple("ApiKey").field(prepared).finish(),
            Self::Basic(prepared) => f.debug_tuple("Basic").field(prepared).finish(),
            Self::OAuth2(cache) => f.debug_tuple("OAuth2").field(cache).finish(),
        }
    }
}

/// The value of an `Authorization` header for a bearer token.
pub(crate) fn bearer_text(token: &Secret) -> Result<Zeroizing<String>, InvalidCredential> {
    let text = token.expose();
    if text.is_empty() {
        Err(InvalidCredential::Empty)
    } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
        Err(InvalidCredential::Character)
    } else {
        Ok(Zeroizing::new(format!("Bearer {text}")))
    }
}

/// The value of an `Authorization` header for `user:password`.
pub(crate) fn basic_text(pair: &str) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(pair));
    Zeroizing::new(format!("Basic {}", *encoded))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn applied(credential: &Credential) -> Request<()> {
        let mut request = Request::get("http://host/x?q=1").body(()).unwrap();
        match credential {
            Credential::Bearer(p) | Credential::ApiKey(p) | Credential::Basic(p) => {
                p.apply(&mut request).unwrap();
            }
            other => panic!("{other:?} is not static"),
        }
        request
    }

    #[test]
    fn each_kind_in_each_place() {
        let secret = Secret::new("k+y/=");
        let bearer = applied(&Credential::bearer(&secret).unwrap());
        assert_eq!(bearer.headers()["authorization"], "Bearer k+y/=");
        let header = applied(&Credential::api_key(Place::default(), &secret).unwrap());
        assert_eq!(header.headers()["x-api-key"], "k+y/=");
        let query = Place::Query("a key".into());
        let query = applied(&Credential::api_key(query, &secret).unwrap());
        assert_eq!(query.uri(), "http://host/x?q=1&a%20key=k%2By%2F%3D");
        let cookie = Place::Cookie("key".into());
        let cookie = applied(&Credential::api_key(cookie, &secret).unwrap());
        assert_eq!(cookie.headers()["cookie"], "key=k+y/=");
        for request in [bearer, header, cookie] {
            assert!(request.headers().values().all(HeaderValue::is_sensitive));
        }
    }

    #[test]
    fn basic_is_that_of_the_standard() {
        let basic = Credential::basic("Aladdin", &Secret::new("open sesame")).unwrap();
        let basic = applied(&basic);
        assert_eq!(
            basic.headers()["authorization"],
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        let umlaut: Credential = Credential::basic("test", &Secret::new("123£")).unwrap();
        assert_eq!(
            applied(&umlaut).headers()["authorization"],
            "Basic dGVzdDoxMjPCow=="
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let refused = |result: Result<Credential, _>| result.unwrap_err();
        for token in ["a b", "a\n", "é", " a"] {
            let token = Secret::new(token);
            assert_eq!(
                refused(Credential::bearer(&token)),
                InvalidCredential::Character
            );
        }
        let empty = Secret::new("");
        assert_eq!(
            refused(Credential::bearer(&empty)),
            InvalidCredential::Empty
        );
        let key = |place, key| refused(Credential::api_key(place, &Secret::new(key)));
        let (header, cookie) = (Place::default(), Place::Cookie("k".into()));
        assert_eq!(key(header.clone(), ""), InvalidCredential::Empty);
        assert_eq!(key(header.clone(), "a\r\nb"), InvalidCredential::Character);
        assert_eq!(key(header, "a "), InvalidCredential::Character);
        assert_eq!(key(cookie, "a;b"), InvalidCredential::Character);
        let unnamed = [Place::Cookie("a b".into()), Place::Query(String::new())];
        for place in unnamed {
            assert_eq!(key(place, "v"), InvalidCredential::Name);
        }
        let secret = Secret::new("a");
        assert_eq!(
            refused(Credential::basic("a:b", &secret)),
            InvalidCredential::ColonInUser
        );
        assert_eq!(
            refused(Credential::basic("a\0", &secret)),
            InvalidCredential::Character
        );
    }
}
