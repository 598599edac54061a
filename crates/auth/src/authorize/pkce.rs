use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::AuthorizeError;
use crate::Secret;

/// The proof that whoever redeems a code is who asked for it, by S256:
/// [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636).
pub(crate) struct Pkce {
    pub(crate) verifier: Secret,
    pub(crate) challenge: String,
}

impl Pkce {
    pub(crate) fn new() -> Result<Self, AuthorizeError> {
        Ok(Self::of(Secret::new(nonce()?)))
    }

    fn of(verifier: Secret) -> Self {
        let digest = digest(&SHA256, verifier.expose().as_bytes());
        Self {
            challenge: URL_SAFE_NO_PAD.encode(digest),
            verifier,
        }
    }
}

/// 256 random bits that fit everywhere.
pub(crate) fn nonce() -> Result<String, AuthorizeError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| AuthorizeError::Crypto)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let pkce = Pkce::of(Secret::new(verifier));
        assert_eq!(
            pkce.challenge,
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn no_two_are_alike() {
        let (one, other) = (Pkce::new().unwrap(), Pkce::new().unwrap());
        assert_ne!(one.verifier, other.verifier);
        assert_eq!(one.verifier.expose().len(), 43);
    }
}
