use parking_lot::Mutex;
use serde_json::Value;

use super::{
    AuthorizeError,
    address::Address,
    document::{fetch, text, texts},
};
use crate::{TokenClient, TokenErrorKind};

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Lists in a description are read this far.
const MAX_ITEMS: usize = 256;

/// What an authorization server says about itself:
/// [RFC 8414](https://www.rfc-editor.org/rfc/rfc8414) and OpenID Connect Discovery 1.0.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Its name, which is compared character by character and never normalized.
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Option<Address>,
    pub(crate) token_endpoint: Address,
    pub(crate) registration_endpoint: Option<Address>,
    /// How clients may prove themselves to the token endpoint.
    pub(crate) auth_methods: Vec<String>,
    /// Whether it announces PKCE with S256.
    pub(crate) pkce: bool,
    /// Whether a client may be known by the URL of its description.
    pub(crate) metadata_documents: bool,
    /// Whether its redirects name it: [RFC 9207](https://www.rfc-editor.org/rfc/rfc9207).
    pub(crate) names_itself: bool,
    pub(crate) scopes: Vec<String>,
}

impl Server {
    /// Finds the description of the issuer that a resource at `home` named.
    pub(crate) async fn discover<S: TokenClient>(
        client: &Mutex<S>,
        issuer: &str,
        home: &Address,
    ) -> Result<Self, TokenErrorKind> {
        let address = Address::named(issuer, home)?;
        let mut failure = None;
        for place in places(&address) {
            match fetch(client, &place).await {
                Ok(Some(document)) => return Ok(Self::read(&document, issuer, home)?),
                Ok(None) => {}
                // Servers fail on paths that they do not know; another may still be there.
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(AuthorizeError::Server.into()))
    }

    fn read(document: &Value, issuer: &str, home: &Address) -> Result<Self, AuthorizeError> {
        if text(document, "issuer") != Some(issuer) {
            return Err(AuthorizeError::IssuerMismatch);
        }
        let endpoint = |name| {
            let endpoint = text(document, name).map(|text| Address::named(text, home));
            endpoint.transpose()
        };
        let list = |name| texts(document, name, MAX_ITEMS);
        let flag = |name: &str| document.get(name).and_then(Value::as_bool) == Some(true);
        let pkce = list("code_challenge_methods_supported").unwrap_or_default();
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?.ok_or(AuthorizeError::Server)?,
            registration_endpoint: endpoint("registration_endpoint")?,
            // The default of RFC 8414, section 2.
            auth_methods: list("token_endpoint_auth_methods_supported")
                .unwrap_or_else(|| vec!["client_secret_basic".into()]),
            pkce: pkce.iter().any(|method| method == "S256"),
            metadata_documents: flag("client_id_metadata_document_supported"),
            names_itself: flag("authorization_response_iss_parameter_supported"),
            scopes: list("scopes_supported").unwrap_or_default(),
        })
    }
}

/// Where the description may be, in the order in which it is looked for.
fn places(issuer: &Address) -> Vec<Address> {
    let path = issuer.path();
    let mut places = vec![
        issuer.with_path(&format!("{OAUTH}{path}")),
        issuer.with_path(&format!("{OPENID}{path}")),
    ];
    if !path.is_empty() {
        places.push(issuer.with_path(&format!("{path}{OPENID}")));
    }
    places
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value) -> Result<Server, AuthorizeError> {
        let home = Address::resource("https://api.example/").unwrap();
        Server::read(document, "https://login.example/t", &home)
    }

    #[test]
    fn descriptions_are_looked_for_in_order() {
        let places = |issuer| -> Vec<_> {
            let places = places(&Address::resource(issuer).unwrap());
            places
                .iter()
                .map(|it| it.url().as_str().to_owned())
                .collect()
        };
        let deep = [
            "https://h/.well-known/oauth-authorization-server/a/b",
            "https://h/.well-known/openid-configuration/a/b",
            "https://h/a/b/.well-known/openid-configuration",
        ];
        assert_eq!(places("https://h/a/b"), deep);
        assert_eq!(places("https://h/a/b/"), deep);
        let root = [
            "https://h/.well-known/oauth-authorization-server",
            "https://h/.well-known/openid-configuration",
        ];
        assert_eq!(places("https://h"), root);
    }

    #[test]
    fn only_the_exact_issuer_will_do() {
        let of = |issuer: &str| json!({"issuer": issuer, "token_endpoint": "https://t.example/"});
        assert!(read(&of("https://login.example/t")).is_ok());
        for other in [
            "https://login.example/t/",
            "HTTPS://login.example/t",
            "https://login.example:443/t",
            "",
        ] {
            let error = read(&of(other)).unwrap_err();
            assert_eq!(error, AuthorizeError::IssuerMismatch, "{other}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_assumed() {
        let mut document =
            json!({"issuer": "https://login.example/t", "token_endpoint": "https://t.example/"});
        let server = read(&document).unwrap();
        assert!(!server.pkce && !server.metadata_documents && !server.names_itself);
        assert_eq!(server.auth_methods, ["client_secret_basic"]);
        document["code_challenge_methods_supported"] = json!(["plain"]);
        assert!(!read(&document).unwrap().pkce);
        document["authorization_endpoint"] = json!("javascript:alert(1)");
        assert_eq!(read(&document).unwrap_err(), AuthorizeError::Address);
    }
}
