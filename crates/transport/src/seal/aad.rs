use aws_lc_rs::{aead::Aad, digest};

use super::{Purpose, text::HEADER_BYTES};

/// What a token is bound to without carrying it: its header, its purpose and its principal.
pub(super) struct Binding {
    bytes: [u8; BINDING_BYTES],
    len: usize,
}

/// Subjects and tenants fit by far; what does not is hashed.
const BINDING_BYTES: usize = 256;

/// Marks a principal that stands there as its hash, so that no other has the same bytes.
const HASHED: u8 = 0x80;

impl Binding {
    pub(super) fn new(header: [u8; HEADER_BYTES], purpose: Purpose, bound_to: &[u8]) -> Self {
        let mut bytes = [0; BINDING_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        let start = HEADER_BYTES + 1;
        if let Some(place) = bytes.get_mut(start..start + bound_to.len()) {
            place.copy_from_slice(bound_to);
            bytes[HEADER_BYTES] = purpose as u8;
            let len = start + bound_to.len();
            return Self { bytes, len };
        }
        let hash = digest::digest(&digest::SHA256, bound_to);
        let len = start + hash.as_ref().len();
        bytes[start..len].copy_from_slice(hash.as_ref());
        bytes[HEADER_BYTES] = purpose as u8 | HASHED;
        Self { bytes, len }
    }

    pub(super) fn aad(&self) -> Aad<&[u8]> {
        Aad::from(&self.bytes[..self.len])
    }
}
