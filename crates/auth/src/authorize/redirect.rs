use std::{fmt, future::Future, io, pin::Pin};

use url::form_urlencoded;

use super::{AuthorizeError, server::Server};
use crate::{Secret, oauth2::error_code};

/// A place that an authorization server sends the user's browser back to.
///
/// [`LoopbackCallback`](crate::LoopbackCallback) is one, with the feature `callback`.
pub trait Callback: fmt::Debug + Send + Sync + 'static {
    /// Begins to wait for the one redirect whose `state` is this one; redirects with another are
    /// to be refused and not to end the waiting. `preferred` is the address that was used before,
    /// which the authorization server knows already.
    ///
    /// # Errors
    ///
    /// When there is no such place now.
    fn listen<'a>(
        &'a self,
        state: &'a str,
        preferred: Option<&'a str>,
    ) -> CallbackFuture<'a, Listening>;
}

/// What a [`Callback`] does. Boxed so that one can be chosen at run time; it is awaited once an
/// authorization.
pub type CallbackFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A [`Callback`] that waits.
pub struct Listening {
    /// Where the browser is to be sent.
    pub redirect_uri: String,
    /// The query that it brings, still encoded. Dropping it ends the waiting.
    pub query: CallbackFuture<'static, String>,
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// The code in an answer that is the server's, to the request with this `state`.
pub(crate) fn code(query: &str, state: &str, server: &Server) -> Result<Secret, AuthorizeError> {
    let answer = Answer::read(query).ok_or(AuthorizeError::Answer)?;
    let expected = Secret::new(state);
    if answer
        .state
        .is_none_or(|state| Secret::new(state) != expected)
    {
        return Err(AuthorizeError::Answer);
    }
    // RFC 9207, section 2.4: also before an error is believed, and character by character.
    let is_theirs = match answer.issuer {
        Some(issuer) => issuer == server.issuer,
        None => !server.names_itself,
    };
    if !is_theirs {
        return Err(AuthorizeError::Answer);
    }
    if let Some(error) = answer.error {
        let code = error_code(&error);
        return Err(AuthorizeError::Declined { code });
    }
    let code = answer.code.filter(|code| !code.is_empty());
    code.map(Secret::new).ok_or(AuthorizeError::Answer)
}

/// What a redirect says.
#[derive(Default)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    issuer: Option<String>,
    error: Option<String>,
}

impl Answer {
    /// `None` if something that matters is said twice.
    fn read(query: &str) -> Option<Self> {
        let mut answer = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "code" => &mut answer.code,
                "state" => &mut answer.state,
                "iss" => &mut answer.issuer,
                "error" => &mut answer.error,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(answer)
    }
}

/// The `state` of a redirect, if there is exactly one.
#[cfg(feature = "callback")]
pub(crate) fn state(query: &str) -> Option<String> {
    Answer::read(query)?.state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::address::Address;

    fn server(names_itself: bool) -> Server {
        let token_endpoint = Address::resource("https://as.example/token").unwrap();
        Server {
            issuer: "https://as.example".into(),
            authorization_endpoint: None,
            token_endpoint,
            registration_endpoint: None,
            auth_methods: Vec::new(),
            pkce: true,
            metadata_documents: false,
            names_itself,
            scopes: Vec::new(),
        }
    }

    /// The table of RFC 9207, section 2.4: whether it is announced, what comes, what follows.
    #[test]
    fn the_issuer_of_an_answer_is_checked() {
        let right = Some("https://as.example");
        let table = [
            (true, right, true),
            (true, None, false),
            (true, Some("https://evil.example"), false),
            (false, None, true),
            (false, right, true),
            (false, Some("https://evil.example"), false),
            (true, Some("https://as.example/"), false),
            (true, Some("https://AS.example"), false),
            (true, Some("https://as.example:443"), false),
            (true, Some(""), false),
        ];
        for (announced, issuer, is_fine) in table {
            for tail in ["code=c", "error=access_denied"] {
                let mut query = format!("state=s&{tail}");
                if let Some(issuer) = issuer {
                    let encoded: String =
                        form_urlencoded::byte_serialize(issuer.as_bytes()).collect();
                    query.push_str(&format!("&iss={encoded}"));
                }
                let refused = code(&query, "s", &server(announced))
                    .is_err_and(|error| error == AuthorizeError::Answer);
                assert_eq!(!refused, is_fine, "{announced} {issuer:?} {tail}");
            }
        }
    }

    #[test]
    fn only_the_answer_to_this_request_counts() {
        let read = |query: &str| code(query, "s t", &server(false));
        assert_eq!(read("code=a%2Bb&state=s+t").unwrap().expose(), "a+b");
        for other in [
            "code=a",
            "code=a&state=s",
            "code=a&state=",
            "",
            "state=s+t",
            "code=&state=s+t",
            "code=a&code=b&state=s+t",
            "code=a&state=x&state=s+t",
        ] {
            assert_eq!(read(other).unwrap_err(), AuthorizeError::Answer, "{other}");
        }
    }

    #[test]
    fn an_error_is_quoted_only_if_it_is_a_code() {
        let declined = |error: &str| {
            code(&format!("state=s&error={error}"), "s", &server(false))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            declined("access_denied"),
            "authorization was declined: access_denied"
        );
        assert_eq!(declined("S3CR3T"), "authorization was declined");
    }
}
