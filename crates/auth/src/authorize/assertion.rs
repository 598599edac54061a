use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
        RsaKeyPair,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{AuthorizeError, InvalidAuthorize, pkce::nonce};
use crate::Secret;

/// How a client signs what proves who it is, as [RFC 7518][rfc] names the algorithms.
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// ECDSA with P-256, which every issuer that takes assertions is likely to know.
    #[default]
    Es256,
    /// ECDSA with P-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// RSA with PKCS #1 padding.
    Rs256,
    /// RSA with PSS padding.
    Ps256,
}

impl SigningAlgorithm {
    /// The name, such as `ES256`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }
}

/// A key with which a client proves who it is: `private_key_jwt`, as
/// [RFC 7523](https://www.rfc-editor.org/rfc/rfc7523) has it.
///
/// It does not print itself.
pub struct PrivateKey {
    key: Key,
    algorithm: SigningAlgorithm,
    id: Option<String>,
}

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// An assertion is made for one request; clocks may differ by some of this.
const LIFETIME_SECONDS: u64 = 120;

impl PrivateKey {
    /// The key in `pem`, which is PKCS #8 (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    ///
    /// When it is not, or is not a key for `algorithm`.
    pub fn from_pem(pem: &Secret, algorithm: SigningAlgorithm) -> Result<Self, InvalidAuthorize> {
        let der = der(pem.expose()).ok_or(InvalidAuthorize::PrivateKey)?;
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, &der).map(Key::Ecdsa)
        };
        let rsa = |padding| RsaKeyPair::from_pkcs8(&der).map(|key| Key::Rsa(key, padding));
        let key = match algorithm {
            SigningAlgorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            SigningAlgorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            SigningAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8(&der).map(Key::Ed25519),
            SigningAlgorithm::Rs256 => rsa(&RSA_PKCS1_SHA256),
            SigningAlgorithm::Ps256 => rsa(&RSA_PSS_SHA256),
        };
        Ok(Self {
            key: key.map_err(|_| InvalidAuthorize::PrivateKey)?,
            algorithm,
            id: None,
        })
    }

    /// The name of the key at the issuer, for the assertion's `kid`. Default: none.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// A signed assertion that `client` is the client, for nobody but `issuer`.
    pub(crate) fn assertion(
        &self,
        client: &str,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Zeroizing<String>, AuthorizeError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = json!({ "alg": self.algorithm.as_str(), "typ": "JWT" });
        if let Some(id) = &self.id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": client,
            "sub": client,
            "aud": issuer,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": nonce()?,
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = Zeroizing::new(format!("{}.{}", encode(&header), encode(&claims)));
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AuthorizeError> {
        let random = SystemRandom::new();
        let signed = match &self.key {
            Key::Ecdsa(key) => key.sign(&random, message).map(|it| it.as_ref().to_vec()),
            Key::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Key::Rsa(key, padding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*padding, &random, message, &mut signature)
                    .map(|()| signature)
            }
        };
        signed.map_err(|_| AuthorizeError::Crypto)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}: [redacted])", self.algorithm.as_str())
    }
}

/// What is between the lines that say it is a private key.
fn der(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        signature::{
            ECDSA_P256_SHA256_FIXED, ED25519, KeyPair, RSA_PKCS1_2048_8192_SHA256,
            RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
        },
    };

    use super::*;

    fn pem(der: &[u8]) -> Secret {
        let body = STANDARD.encode(der);
        let (first, second) = body.split_at(body.len() / 2);
        Secret::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{first}\r\n{second}\n-----END PRIVATE KEY-----\n"
        ))
    }

    fn claims(token: &str) -> [Value; 2] {
        let mut parts = token.split('.');
        [(); 2].map(|()| {
            let part = URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
            serde_json::from_slice(&part).unwrap()
        })
    }

    fn split(token: &str) -> (&[u8], Vec<u8>) {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        (message.as_bytes(), signature)
    }

    #[test]
    fn an_assertion_is_for_one_issuer_and_soon_over() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        let key = PrivateKey::from_pem(&pem(der.as_ref()), SigningAlgorithm::Es256)
            .unwrap()
            .with_id("k1");
        let now = UNIX_EPOCH + std::time::Duration::from_secs(1000);
        let token = key.assertion("gate", "https://as.example", now).unwrap();
        let [header, claims] = claims(&token);
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}));
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("gate"), &json!("gate"))
        );
        assert_eq!(claims["aud"], "https://as.example");
        assert_eq!(
            (&claims["iat"], &claims["exp"]),
            (&json!(1000), &json!(1120))
        );
        let again = key.assertion("gate", "https://as.example", now).unwrap();
        assert_ne!(*token, *again);
        let (message, signature) = split(&token);
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        public.verify(message, &signature).unwrap();
        assert!(!format!("{key:?}").contains("k1"));
    }

    #[test]
    fn other_algorithms_sign_too() {
        let ed = Ed25519KeyPair::generate().unwrap();
        let der = ed.to_pkcs8v1().unwrap();
        let key = PrivateKey::from_pem(&pem(der.as_ref()), SigningAlgorithm::EdDsa).unwrap();
        let token = key.assertion("c", "i", UNIX_EPOCH).unwrap();
        let (message, signature) = split(&token);
        let public = UnparsedPublicKey::new(&ED25519, ed.public_key().as_ref());
        public.verify(message, &signature).unwrap();

        let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
        for (algorithm, verify) in [
            (SigningAlgorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
            (SigningAlgorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
        ] {
            let key = PrivateKey::from_pem(&pem(der.as_ref()), algorithm).unwrap();
            let token = key.assertion("c", "i", UNIX_EPOCH).unwrap();
            let (message, signature) = split(&token);
            let public = UnparsedPublicKey::new(verify, rsa.public_key().as_ref());
            public.verify(message, &signature).unwrap();
        }
    }

    #[test]
    fn a_key_that_cannot_sign_is_refused() {
        let ed = Ed25519KeyPair::generate().unwrap();
        let der = ed.to_pkcs8v1().unwrap();
        let good = pem(der.as_ref());
        assert!(PrivateKey::from_pem(&good, SigningAlgorithm::Es256).is_err());
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----",
        ] {
            let key = PrivateKey::from_pem(&Secret::new(bad), SigningAlgorithm::EdDsa);
            assert_eq!(key.unwrap_err(), InvalidAuthorize::PrivateKey);
        }
    }
}
