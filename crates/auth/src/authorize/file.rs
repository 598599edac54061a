use std::{io, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    challenge::is_scope,
    client::{Client, Proof},
    document::{object, text},
};
use crate::{
    Secret,
    oauth2::{about, blocking, read_file, replace_file},
};

/// Keeps an authorization over a restart, in a file of its own that its owner only can read:
/// which issuer gave it, the client that was registered there, and the newest refresh token.
///
/// It is written as a [`RefreshTokenFile`](crate::RefreshTokenFile) is, and like that belongs to
/// one resource and one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationFile {
    path: Arc<PathBuf>,
}

/// What outlives a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saved {
    /// The resource that all this is for.
    pub(crate) resource: String,
    pub(crate) issuer: String,
    /// The issuer that the operator's client, or identity token, is shown to.
    pub(crate) bound: Option<String>,
    /// The client that was registered with the issuer.
    pub(crate) client: Option<Client>,
    pub(crate) refresh: Option<Secret>,
    pub(crate) scopes: Vec<String>,
}

impl Saved {
    /// Whether this is the issuer that gets to see what the operator has.
    pub(crate) fn is_bound_to(&self, issuer: &str) -> bool {
        self.bound.as_deref() == Some(issuer)
    }
}

impl AuthorizationFile {
    /// The file at `path`, which need not exist yet. Its directory must, and be writable.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Arc::new(path.into()),
        }
    }

    pub(crate) async fn load(&self) -> io::Result<Option<Saved>> {
        let path = Arc::clone(&self.path);
        let loaded = blocking(move || {
            let Some(bytes) = read_file(&path).map_err(|error| about(&path, &error))? else {
                return Ok(None);
            };
            let saved = object(&bytes).and_then(|object| Saved::read(&object));
            saved.map(Some).ok_or_else(|| {
                let error = io::Error::new(io::ErrorKind::InvalidData, "not a saved authorization");
                about(&path, &error)
            })
        });
        loaded.await
    }

    pub(crate) async fn save(&self, saved: &Saved) -> io::Result<()> {
        let path = Arc::clone(&self.path);
        let text = Zeroizing::new(saved.write().to_string());
        blocking(move || replace_file(&path, text.as_bytes()).map_err(|error| about(&path, &error)))
            .await
    }
}

impl Saved {
    fn write(&self) -> Value {
        let client = self.client.as_ref().map(|client| {
            let (method, secret) = client.proof.parts();
            json!({
                "client_id": client.id,
                "client_secret": secret.map(Secret::expose),
                "token_endpoint_auth_method": method,
                "redirect_uri": client.redirect_uri,
            })
        });
        json!({
            "resource": self.resource,
            "issuer": self.issuer,
            "bound": self.bound,
            "client": client,
            "refresh_token": self.refresh.as_ref().map(Secret::expose),
            "scope": self.scopes.join(" "),
        })
    }

    fn read(object: &Value) -> Option<Self> {
        let owned = |name| text(object, name).map(str::to_owned);
        let client = object.get("client").filter(|client| client.is_object());
        let client = client.map(|client| {
            let method = text(client, "token_endpoint_auth_method")?;
            Some(Client {
                id: text(client, "client_id")?.to_owned(),
                proof: Proof::registered(method, text(client, "client_secret"))?,
                redirect_uri: text(client, "redirect_uri").map(str::to_owned),
            })
        });
        Some(Self {
            resource: owned("resource")?,
            issuer: owned("issuer")?,
            bound: owned("bound"),
            client: match client {
                Some(client) => Some(client?),
                None => None,
            },
            refresh: text(object, "refresh_token").map(Secret::new),
            scopes: text(object, "scope")
                .unwrap_or_default()
                .split(' ')
                .filter(|scope| is_scope(scope))
                .map(str::to_owned)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_saved_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = AuthorizationFile::new(directory.path().join("authorization"));
        assert!(file.load().await.unwrap().is_none());
        let mut saved = Saved {
            resource: "https://r/".into(),
            issuer: "https://as".into(),
            ..Saved::default()
        };
        file.save(&saved).await.unwrap();
        let loaded = file.load().await.unwrap().unwrap();
        assert_eq!(loaded.write(), saved.write());
        saved.bound = Some("https://as".into());
        saved.refresh = Some(Secret::new("r"));
        saved.scopes = (0..100).map(|number| format!("scope{number}")).collect();
        saved.client = Some(Client {
            id: "c".into(),
            proof: Proof::Body(Secret::new("s")),
            redirect_uri: Some("http://127.0.0.1:1/callback".into()),
        });
        file.save(&saved).await.unwrap();
        let loaded = file.load().await.unwrap().unwrap();
        assert_eq!(loaded.write(), saved.write());
    }

    #[tokio::test]
    async fn as_much_comes_back_as_others_may_have_sent() {
        let directory = tempfile::tempdir().unwrap();
        let file = AuthorizationFile::new(directory.path().join("authorization"));
        let secret = || Secret::new("\u{1f}".repeat(10_000));
        let saved = Saved {
            resource: "https://r/".into(),
            issuer: "https://as".into(),
            bound: None,
            client: Some(Client {
                id: "c".repeat(2048),
                proof: Proof::Body(secret()),
                redirect_uri: None,
            }),
            refresh: Some(secret()),
            scopes: (0..128).map(|number| format!("{number:0256}")).collect(),
        };
        file.save(&saved).await.unwrap();
        let loaded = file.load().await.unwrap().unwrap();
        assert_eq!(loaded.write(), saved.write());
    }

    #[tokio::test]
    async fn a_broken_file_is_an_error_that_quotes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authorization");
        for content in [
            "",
            "s3cr3t",
            r#"{"refresh_token":"s3cr3t"}"#,
            r#"{"resource":"r","issuer":"i","client":{"client_secret":"s3cr3t"}}"#,
        ] {
            std::fs::write(&path, content).unwrap();
            let error = AuthorizationFile::new(&path).load().await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(
                text.contains("authorization") && !text.contains("s3cr3t"),
                "{text}"
            );
        }
    }
}
