use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use zeroize::Zeroizing;

use super::{
    InvalidKeys, InvalidToken, Opened, Purpose,
    aad::Binding,
    text::{
        self, EXPIRES_BYTES, FORMAT, HEADER_BYTES, NONCE_BYTES, OVERHEAD_BYTES, PAYLOAD_AT,
        SEALED_AT, TAG_BYTES,
    },
};

/// The keys that tokens are sealed and opened with.
///
/// The first seals, all open. Clones share them; nothing prints them.
#[derive(Clone)]
pub struct Keys(Arc<[Key]>);

struct Key {
    /// Stands in every token in the clear. Derived from the secret, of which it tells nothing.
    id: [u8; KEY_ID_BYTES],
    key: LessSafeKey,
}

const KEY_ID_BYTES: usize = HEADER_BYTES - 1;

/// A random text has more even if it is hexadecimal; a placeholder mostly has fewer.
const MIN_DISTINCT_BYTES: usize = 8;

impl Keys {
    /// How many secrets there may be: the one in use, and more old ones than anybody rotates.
    pub const MAX: usize = 16;

    /// How long a secret must be: as long as the key that is made of it.
    pub const MIN_SECRET_BYTES: usize = 32;

    /// Keys made of secrets that all replicas share, the newest first.
    ///
    /// Each key is derived here, once, with HKDF-SHA-256 (RFC 5869). A secret may be bytes or
    /// text of any form; it is the randomness of it that counts.
    ///
    /// # Errors
    ///
    /// When there is no secret or there are too many of them, or one is too short, obviously not
    /// random, or there twice.
    pub fn from_secrets(secrets: &[&[u8]]) -> Result<Self, InvalidKeys> {
        if secrets.is_empty() {
            return Err(InvalidKeys::None);
        }
        if secrets.len() > Self::MAX {
            return Err(InvalidKeys::TooMany);
        }
        let mut keys = Vec::<Key>::with_capacity(secrets.len());
        for (secret, position) in secrets.iter().zip(1..) {
            if secret.len() < Self::MIN_SECRET_BYTES {
                return Err(InvalidKeys::TooShort { position });
            }
            if distinct_bytes(secret) < MIN_DISTINCT_BYTES {
                return Err(InvalidKeys::Regular { position });
            }
            let key = Key::derive(secret);
            if keys.iter().any(|known| known.id == key.id) {
                return Err(InvalidKeys::Repeated { position });
            }
            keys.push(key);
        }
        Ok(Self(keys.into()))
    }

    /// A random key that nobody else has: tokens are good for this process, as long as it runs.
    #[must_use]
    pub fn random() -> Self {
        let mut secret = Zeroizing::new([0; Self::MIN_SECRET_BYTES]);
        fill_random(secret.as_mut());
        Self(Arc::new([Key::derive(secret.as_ref())]))
    }

    /// Seals a payload for one purpose and one principal, until it expires.
    ///
    /// The token is visible ASCII without padding, of about 4/3 × (41 + the payload) bytes, and
    /// fit for a header. `expires` is in seconds since 1970. `bound_to` is not in the token; whoever
    /// opens it must present the same bytes.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, bound_to: &[u8], expires: u64, payload: &[u8]) -> String {
        let Key { id, key } = &self.0[0];
        let mut header = [FORMAT; HEADER_BYTES];
        header[1..].copy_from_slice(id);
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce);

        let (mut buffer, start) = text::room(OVERHEAD_BYTES + payload.len());
        let token = &mut buffer[start..];
        token[..HEADER_BYTES].copy_from_slice(&header);
        token[HEADER_BYTES..SEALED_AT].copy_from_slice(&nonce);
        token[SEALED_AT..PAYLOAD_AT].copy_from_slice(&expires.to_le_bytes());
        let (sealed, tag_place) = token[SEALED_AT..].split_at_mut(EXPIRES_BYTES + payload.len());
        sealed[EXPIRES_BYTES..].copy_from_slice(payload);
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Binding::new(header, purpose, bound_to).aad(),
                sealed,
            )
            .expect("AES-GCM seals everything below 64 GiB");
        tag_place.copy_from_slice(tag.as_ref());
        text::write(buffer, start)
    }

    /// Opens a token for a purpose and a principal, if it has not expired at `now`, in seconds
    /// since 1970.
    ///
    /// # Errors
    ///
    /// [`InvalidToken::Forged`] for everything that was not sealed with one of these keys for
    /// just this purpose and principal. [`InvalidToken::Expired`] only for what was.
    pub fn open(
        &self,
        purpose: Purpose,
        bound_to: &[u8],
        now: u64,
        token: &str,
    ) -> Result<Opened, InvalidToken> {
        let mut bytes = text::read(token).ok_or(InvalidToken::Forged)?;
        if bytes.len() < OVERHEAD_BYTES {
            return Err(InvalidToken::Forged);
        }
        let (in_clear, sealed) = bytes.split_at_mut(SEALED_AT);
        let (header, nonce) = in_clear.split_at(HEADER_BYTES);
        let header = <[u8; HEADER_BYTES]>::try_from(header).expect("split there");
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("split there");
        // The header is authenticated, so that an unknown key or format fails with any key, and
        // takes as long as every other forgery.
        let known = |known: &&Key| header[0] == FORMAT && header[1..] == known.id;
        let key = self.0.iter().find(known).unwrap_or(&self.0[0]);
        key.key
            .open_in_place(nonce, Binding::new(header, purpose, bound_to).aad(), sealed)
            .map_err(|_| InvalidToken::Forged)?;
        let expires = sealed[..EXPIRES_BYTES].try_into().expect("sliced so");
        let expires = u64::from_le_bytes(expires);
        if expires <= now {
            return Err(InvalidToken::Expired);
        }
        let end = bytes.len() - TAG_BYTES;
        Ok(Opened::new(bytes, PAYLOAD_AT, end, expires))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Key {
    fn derive(secret: &[u8]) -> Self {
        let expanded = "HKDF gives up to 255 blocks, these are one";
        let random = Salt::new(HKDF_SHA256, b"bartizan sealed token 1").extract(secret);
        let key = random.expand(&[b"key"], &AES_256_GCM).expect(expanded);
        let key = LessSafeKey::new(UnboundKey::from(key));
        let mut id = [0; KEY_ID_BYTES];
        random
            .expand(&[b"id"], KeyId)
            .and_then(|bytes| bytes.fill(&mut id))
            .expect(expanded);
        Self { id, key }
    }
}

struct KeyId;

impl KeyType for KeyId {
    fn len(&self) -> usize {
        KEY_ID_BYTES
    }
}

/// Asks the kernel each time, which is once a session. aws-lc's own generator would first gather
/// entropy from the processor's jitter for some 20 ms, all of it between start and first answer.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

fn distinct_bytes(secret: &[u8]) -> usize {
    let mut seen = [false; 256];
    secret
        .iter()
        .for_each(|&byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|&&seen| seen).count()
}

#[cfg(test)]
mod tests;
