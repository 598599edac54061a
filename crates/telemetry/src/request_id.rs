use std::fmt;

use http::HeaderValue;

/// The name of one request: 128 random bits, written as 32 hexadecimal digits.
///
/// Not a secret: the generator is fast, not cryptographic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// Longest id accepted from a caller, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// A new id.
    #[must_use]
    pub fn random() -> Self {
        Self(fastrand::u128(..))
    }

    /// Whether a caller's own id may be used as it is: visible ASCII, neither empty nor longer
    /// than [`MAX_LENGTH`](Self::MAX_LENGTH).
    #[must_use]
    pub fn accepts(id: &[u8]) -> bool {
        (1..=Self::MAX_LENGTH).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    }

    /// The id as a header.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        let digits = hex::<32>(self.0);
        HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("0"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The last `N` hexadecimal digits of `value`.
pub(crate) fn hex<const N: usize>(value: u128) -> [u8; N] {
    let mut digits = [b'0'; N];
    for (index, digit) in digits.iter_mut().rev().enumerate() {
        let nibble = (value >> (4 * index)) & 0xf;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn only_short_visible_ids_are_accepted() {
        for good in ["a", "request-123", "~!@#", &"x".repeat(128)] {
            assert!(RequestId::accepts(good.as_bytes()), "{good}");
        }
        for bad in ["", "a b", "a\n", "é", "\0", &"x".repeat(129)] {
            assert!(!RequestId::accepts(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn ids_differ() {
        assert_ne!(RequestId::random(), RequestId::random());
    }

    proptest! {
        #[test]
        fn header_and_text_agree(value in any::<u128>()) {
            let id = RequestId(value);
            let header = id.to_header();
            prop_assert_eq!(header.to_str().unwrap(), id.to_string());
            prop_assert_eq!(u128::from_str_radix(&id.to_string(), 16).unwrap(), value);
        }
    }
}
