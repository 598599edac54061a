use std::fmt;

use http::{HeaderName, HeaderValue, Request, header::COOKIE};

use crate::{InvalidCredential, Place, Secret, Unplaceable, cookie, query};

/// A credential that never changes, encoded once and ready to be put into requests.
#[derive(Clone)]
pub struct Prepared(Form);

#[derive(Clone)]
enum Form {
    Header(HeaderName, HeaderValue),
    /// The decoded name, and the encoded `name=value`.
    Query(String, Secret),
    /// The name, and `name=value` as a header.
    Cookie(String, HeaderValue),
}

impl Prepared {
    pub(crate) fn header(name: HeaderName, text: &str) -> Result<Self, InvalidCredential> {
        Ok(Self(Form::Header(name, sensitive(text)?)))
    }

    pub(crate) fn api_key(place: Place, key: &Secret) -> Result<Self, InvalidCredential> {
        let text = key.expose();
        if text.is_empty() {
            return Err(InvalidCredential::Empty);
        }
        match place {
            Place::Header(name) => Self::header(name, text),
            Place::Query(name) if name.is_empty() => Err(InvalidCredential::Name),
            Place::Query(name) => {
                let pair = Secret::new(query::pair(&name, text));
                Ok(Self(Form::Query(name, pair)))
            }
            Place::Cookie(name) if !cookie::is_name(&name) => Err(InvalidCredential::Name),
            Place::Cookie(_) if !cookie::is_value(text) => Err(InvalidCredential::Character),
            Place::Cookie(name) => {
                let pair = sensitive(&format!("{name}={text}"))?;
                Ok(Self(Form::Cookie(name, pair)))
            }
        }
    }

    /// Puts the credential where it belongs, in place of what the request had there.
    #[inline]
    pub(crate) fn apply<B>(&self, request: &mut Request<B>) -> Result<(), Unplaceable> {
        if let Form::Header(name, value) = &self.0 {
            request.headers_mut().insert(name, value.clone());
            return Ok(());
        }
        self.merge(request)
    }

    /// Joins the credential with what the request has in the same place.
    fn merge<B>(&self, request: &mut Request<B>) -> Result<(), Unplaceable> {
        match &self.0 {
            Form::Header(..) => {}
            Form::Query(name, pair) => {
                *request.uri_mut() = query::with(request.uri(), name, pair.expose())?;
            }
            Form::Cookie(name, pair) => {
                let cookies = cookie::with(request.headers(), name, pair)?;
                request.headers_mut().insert(COOKIE, cookies);
            }
        }
        Ok(())
    }

    /// The header that the credential replaces as a whole.
    pub(crate) fn replaces(&self) -> Option<&HeaderName> {
        match &self.0 {
            Form::Header(name, _) => Some(name),
            Form::Query(..) | Form::Cookie(..) => None,
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Header(name, _) => write!(f, "{name}: [redacted]"),
            Form::Query(name, _) => write!(f, "?{name}=[redacted]"),
            Form::Cookie(name, _) => write!(f, "cookie {name}=[redacted]"),
        }
    }
}

/// A header value that hyper keeps out of HPACK's tables and `Debug` does not print.
pub(crate) fn sensitive(text: &str) -> Result<HeaderValue, InvalidCredential> {
    if text.trim_ascii().len() != text.len() {
        return Err(InvalidCredential::Character);
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| InvalidCredential::Character)?;
    value.set_sensitive(true);
    // The first clone allocates the counter that all clones share. Not on the first request.
    drop(value.clone());
    Ok(value)
}
