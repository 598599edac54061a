use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use thiserror::Error;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// A header value that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// It holds bytes other than printable ASCII.
    #[error("characters other than printable ascii")]
    Characters,
    /// It is marked as base64 and is none, or what it encodes is not UTF-8.
    #[error("invalid base64")]
    Base64,
}

/// The header value for a text: the text itself where that can travel, else
/// `=?base64?…?=` around its base64.
///
/// Printable ASCII travels as it is, unless it begins or ends with a space, which would be
/// trimmed on the way, or begins like an encoded value.
#[must_use]
pub fn encode(text: &str) -> HeaderValue {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.starts_with(PREFIX);
    let value = if plain {
        HeaderValue::from_str(text)
    } else {
        HeaderValue::try_from(format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text)))
    };
    value.expect("printable ascii is a header value")
}

/// The text that a header value stands for.
///
/// # Errors
///
/// [`InvalidHeader`] if it is not printable ASCII, or is marked as base64 and is not the standard,
/// padded base64 of UTF-8.
pub fn decode(value: &HeaderValue) -> Result<Cow<'_, str>, InvalidHeader> {
    let text = value
        .to_str()
        .ok()
        .filter(|text| !text.contains('\t'))
        .ok_or(InvalidHeader::Characters)?;
    let encoded = text
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    match encoded {
        None => Ok(Cow::Borrowed(text)),
        Some(encoded) => STANDARD
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Cow::Owned)
            .ok_or(InvalidHeader::Base64),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_travel_is_not_encoded() {
        for text in [
            "",
            "a",
            "us-west1",
            "two words",
            "=?base64",
            "?=",
            "a=?base64?YQ==?=",
        ] {
            assert_eq!(encode(text), text);
        }
        for (text, encoded) in [
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("a\tb", "=?base64?YQli?="),
            ("\u{7f}", "=?base64?fw==?="),
        ] {
            assert_eq!(encode(text), encoded, "{text:?}");
            assert_eq!(decode(&encode(text)).unwrap(), text);
        }
    }

    #[test]
    fn malformed_values() {
        let of =
            |bytes: &[u8]| decode(&HeaderValue::from_bytes(bytes).unwrap()).map(Cow::into_owned);
        for bytes in [&b"caf\xc3\xa9"[..], b"a\tb", b"\xff"] {
            assert_eq!(of(bytes), Err(InvalidHeader::Characters));
        }
        for text in [
            "=?base64?!?=",
            "=?base64?YQ?=",
            "=?base64?YQ==YQ==?=",
            "=?base64?/w==?=",
        ] {
            assert_eq!(of(text.as_bytes()), Err(InvalidHeader::Base64), "{text}");
        }
        for literal in ["=?base64?=", "=?base64?YQ==", "=?BASE64?YQ==?="] {
            assert_eq!(of(literal.as_bytes()).as_deref(), Ok(literal));
        }
        assert_eq!(of(b"=?base64??=").as_deref(), Ok(""));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }

        #[test]
        fn decoding_undoes_encoding_of_look_alikes(text in "=\\?base64\\?[ -~]{0,8}(\\?=)?") {
            let encoded = encode(&text);
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }
    }
}
