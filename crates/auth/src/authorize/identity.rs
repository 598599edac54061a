use std::path::{Path, PathBuf};

use super::{AuthorizeError, InvalidAuthorize, address::Address};
use crate::Secret;

/// What an identity provider says about us or about a user, which other authorization servers
/// believe: [RFC 7523, section 2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1).
#[derive(Clone, Debug)]
pub struct Identity {
    token: PathBuf,
    pub(crate) provider: Option<IdentityProvider>,
}

/// Where a token about a user is exchanged for one that is meant for an authorization server.
#[derive(Clone, Debug)]
pub(crate) struct IdentityProvider {
    pub(crate) token_endpoint: Address,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Secret>,
}

impl Identity {
    /// The JWT in this file is shown to the authorization server as it is, as a workload's is
    /// that its platform vouches for. The file is read anew for each token: platforms replace
    /// what is in it.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self {
            token: path.into(),
            provider: None,
        }
    }

    /// The ID token in the file is first exchanged at this token endpoint of the user's identity
    /// provider for a grant to the authorization server (an identity assertion authorization
    /// grant, ID-JAG, by way of [RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)).
    ///
    /// # Errors
    ///
    /// When the endpoint is not `https` and not on this machine, or the id or secret is empty.
    pub fn exchanged_at(
        mut self,
        token_endpoint: &str,
        client_id: impl Into<String>,
        client_secret: Option<Secret>,
    ) -> Result<Self, InvalidAuthorize> {
        let token_endpoint = Address::resource(token_endpoint);
        let token_endpoint = token_endpoint.ok_or(InvalidAuthorize::IdentityProvider)?;
        let client_id = client_id.into();
        let mut secret = client_secret.iter();
        if client_id.is_empty() || secret.any(|secret| secret.expose().is_empty()) {
            return Err(InvalidAuthorize::Empty);
        }
        self.provider = Some(IdentityProvider {
            token_endpoint,
            client_id,
            client_secret,
        });
        Ok(self)
    }

    /// The token as it is now, to be shown for this service.
    pub(crate) async fn token(&self, service: Option<&str>) -> Result<Secret, AuthorizeError> {
        let path = self.token.clone();
        let read = tokio::task::spawn_blocking(move || Secret::from_file(Path::new(&path)));
        match read.await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => {
                tracing::error!(service, %error, "the identity token cannot be read");
                Err(AuthorizeError::Identity)
            }
            Err(_) => Err(AuthorizeError::Identity),
        }
    }
}
