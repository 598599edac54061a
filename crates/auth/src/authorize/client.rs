use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    AuthorizeError, PrivateKey,
    address::Address,
    document::{exchange, object, post, text},
    server::Server,
};
use crate::{
    Secret, TokenClient, TokenErrorKind,
    oauth2::{Form, client_authorization},
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who we are to one authorization server, and to no other.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) proof: Proof,
    /// Where it was registered to be sent back to, if it was registered by us.
    pub(crate) redirect_uri: Option<String>,
}

/// How a client proves who it is to the token endpoint.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Not at all: by PKCE and the redirect alone.
    None,
    /// There is no client that could be named.
    Nobody,
    Basic(Secret),
    Body(Secret),
    Key(Arc<PrivateKey>),
}

impl Proof {
    /// The proof for a server, from what the operator gave us.
    pub(crate) fn choose(
        server: &Server,
        secret: Option<&Secret>,
        key: Option<&Arc<PrivateKey>>,
    ) -> Result<Self, AuthorizeError> {
        let takes = |method: &str| server.auth_methods.iter().any(|it| it == method);
        match (secret, key) {
            (None, None) => Ok(Self::None),
            (_, Some(key)) if takes("private_key_jwt") => Ok(Self::Key(Arc::clone(key))),
            (Some(secret), _) if takes("client_secret_basic") => Ok(Self::Basic(secret.clone())),
            (Some(secret), _) if takes("client_secret_post") => Ok(Self::Body(secret.clone())),
            _ if takes("none") => Ok(Self::None),
            _ => Err(AuthorizeError::ClientAuth),
        }
    }

    /// The name of the method, and the secret if it is one.
    pub(crate) fn parts(&self) -> (&'static str, Option<&Secret>) {
        match self {
            Self::None | Self::Nobody => ("none", None),
            Self::Basic(secret) => ("client_secret_basic", Some(secret)),
            Self::Body(secret) => ("client_secret_post", Some(secret)),
            Self::Key(_) => ("private_key_jwt", None),
        }
    }

    /// What a registered client's method means.
    pub(crate) fn registered(method: &str, secret: Option<&str>) -> Option<Self> {
        match (method, secret) {
            ("none", _) => Some(Self::None),
            ("client_secret_basic", Some(secret)) => Some(Self::Basic(Secret::new(secret))),
            ("client_secret_post", Some(secret)) => Some(Self::Body(Secret::new(secret))),
            _ => None,
        }
    }
}

impl Client {
    /// Registers a client: [RFC 7591](https://www.rfc-editor.org/rfc/rfc7591).
    pub(crate) async fn register<S: TokenClient>(
        client: &Mutex<S>,
        server: &Server,
        name: &str,
        redirect_uri: &str,
    ) -> Result<Self, TokenErrorKind> {
        let Some(endpoint) = &server.registration_endpoint else {
            return Err(AuthorizeError::NoClient.into());
        };
        let known = ["none", "client_secret_basic", "client_secret_post"];
        let takes = |method: &&str| server.auth_methods.iter().any(|it| it == method);
        let Some(method) = known.into_iter().find(takes) else {
            return Err(AuthorizeError::ClientAuth.into());
        };
        let wish = json!({
            "client_name": name,
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            // Its redirect goes to a loopback address.
            "application_type": "native",
            "token_endpoint_auth_method": method,
        });
        let response = exchange(client, post(endpoint, &wish)?).await?;
        let granted = matches!(response.status(), StatusCode::OK | StatusCode::CREATED);
        let answer = granted.then(|| object(response.body())).flatten();
        let registered = answer.and_then(|answer| Self::read(&answer, method, redirect_uri));
        Ok(registered.ok_or(AuthorizeError::Registration)?)
    }

    fn read(answer: &Value, method: &str, redirect_uri: &str) -> Option<Self> {
        let id = text(answer, "client_id").filter(|id| is_id(id))?;
        let method = text(answer, "token_endpoint_auth_method").unwrap_or(method);
        Some(Self {
            id: id.to_owned(),
            proof: Proof::registered(method, text(answer, "client_secret"))?,
            redirect_uri: Some(redirect_uri.to_owned()),
        })
    }

    /// A request to the token endpoint, proven to be this client's.
    pub(crate) fn token_request(
        &self,
        server: &Server,
        mut form: Form,
        now: SystemTime,
    ) -> Result<Request<Full<Bytes>>, AuthorizeError> {
        let mut authorization = None;
        match &self.proof {
            Proof::Basic(secret) => {
                let header = client_authorization(&self.id, secret);
                authorization = Some(header.map_err(|_| AuthorizeError::ClientAuth)?);
            }
            Proof::None => form.add("client_id", &self.id),
            Proof::Nobody => {}
            Proof::Body(secret) => {
                form.add("client_id", &self.id);
                form.add("client_secret", secret.expose());
            }
            Proof::Key(key) => {
                form.add("client_id", &self.id);
                form.add("client_assertion_type", JWT_BEARER);
                let assertion = key.assertion(&self.id, &server.issuer, now)?;
                form.add("client_assertion", &assertion);
            }
        }
        let mut request = post_form(&server.token_endpoint, form)?;
        if let Some(authorization) = authorization {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}

/// A form for a token endpoint.
pub(crate) fn post_form(
    endpoint: &Address,
    form: Form,
) -> Result<Request<Full<Bytes>>, AuthorizeError> {
    let mut request = Request::new(Full::from(form.into_text()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.uri()?;
    let headers = request.headers_mut();
    let encoded = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::CONTENT_TYPE, encoded);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    Ok(request)
}

/// The syntax of a client's id in [RFC 6749, appendix A.1][rfc], and no longer than a URL.
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc6749#appendix-A.1
fn is_id(id: &str) -> bool {
    id.len() <= 2048 && id.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_decides_on_the_proof() {
        let read = |answer: Value| Client::read(&answer, "none", "http://127.0.0.1:1/callback");
        let secret = json!({"client_id": "c", "client_secret": "s3cr3t"});
        let client = read(secret.clone()).unwrap();
        assert!(matches!(client.proof, Proof::None), "as it was asked for");
        let mut named = secret;
        for method in ["client_secret_basic", "client_secret_post"] {
            named["token_endpoint_auth_method"] = json!(method);
            let client = read(named.clone()).unwrap();
            assert_eq!(client.proof.parts().0, method);
            assert!(!format!("{client:?}").contains("s3cr3t"));
        }
        named["client_secret"] = Value::Null;
        assert!(read(named).is_none());
        assert!(read(json!({"client_id": "a\nb"})).is_none());
        assert!(read(json!({"client_id": ""})).is_none());
        assert!(read(json!({"client_id": "x".repeat(2049)})).is_none());
        let unknown = json!({"client_id": "c", "token_endpoint_auth_method": "tls_client_auth"});
        assert!(read(unknown).is_none());
    }
}
