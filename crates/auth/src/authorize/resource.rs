use parking_lot::Mutex;

use super::{
    AuthorizeError,
    address::Address,
    challenge::{Challenge, scopes},
    document::{fetch, text, texts},
};
use crate::{TokenClient, TokenErrorKind};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// So many authorization servers are read from a resource's description.
const MAX_SERVERS: usize = 8;

/// What a resource says about itself: [RFC 9728](https://www.rfc-editor.org/rfc/rfc9728).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Its name, exactly as it was published. Tokens are asked for in this name.
    pub(crate) identifier: String,
    /// The issuers that authorize access to it, exactly as they were published.
    pub(crate) servers: Vec<String>,
    pub(crate) scopes: Vec<String>,
}

impl Resource {
    /// Finds the description of the resource at `home`: where the challenge says, else at the
    /// well-known place for its path, else at that of the host.
    ///
    /// A host that has none authorizes access itself, as it did before there were descriptions.
    pub(crate) async fn discover<S: TokenClient>(
        client: &Mutex<S>,
        home: &Address,
        challenge: &Challenge,
    ) -> Result<Self, TokenErrorKind> {
        if let Some(named) = &challenge.resource_metadata {
            let address = Address::named(named, home)?;
            return match fetch(client, &address).await? {
                Some(document) => Ok(Self::read(&document, home)?),
                None => Err(AuthorizeError::Resource.into()),
            };
        }
        let root = home.with_path(WELL_KNOWN);
        let below = home.with_path(&format!("{WELL_KNOWN}{}", home.path()));
        let places = if below == root {
            vec![root]
        } else {
            vec![below, root]
        };
        for place in places {
            if let Some(document) = fetch(client, &place).await? {
                return Ok(Self::read(&document, home)?);
            }
        }
        Ok(Self {
            identifier: home.url().as_str().to_owned(),
            servers: vec![home.origin()],
            scopes: Vec::new(),
        })
    }

    fn read(document: &serde_json::Value, home: &Address) -> Result<Self, AuthorizeError> {
        let identifier = text(document, "resource").ok_or(AuthorizeError::Resource)?;
        let named = Address::named(identifier, home);
        if !named.is_ok_and(|named| named.covers(home)) {
            return Err(AuthorizeError::ResourceMismatch);
        }
        let servers = texts(document, "authorization_servers", MAX_SERVERS).unwrap_or_default();
        if servers.is_empty() {
            return Err(AuthorizeError::Resource);
        }
        let supported = texts(document, "scopes_supported", usize::MAX).unwrap_or_default();
        Ok(Self {
            identifier: identifier.to_owned(),
            servers,
            scopes: scopes(&supported.join(" ")),
        })
    }
}
