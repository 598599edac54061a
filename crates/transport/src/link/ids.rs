use bartizan_protocol::{Id, edit};
use bytes::Bytes;

/// What becomes of a request's id and progress token on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Both stay: the message goes out byte for byte. For a link with one user, whose ids are
    /// unique by themselves.
    Keep,
    /// Fresh numbers replace both, and are mapped back in whatever belongs to the exchange. For
    /// a link that several users share.
    Remap,
}

/// What ids and tokens are looked up by: the same for every spelling of one value.
///
/// Servers decode and encode what they are to send back, so escapes may differ, and `1.0`
/// comes back as `1` from those that know only floating point.
pub(super) fn key(raw: &str) -> Bytes {
    if raw.contains('\\')
        && let Some(text) = edit::text(raw)
    {
        return edit::string(&text).into();
    }
    if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && raw.contains(['.', 'e', 'E'])
        && let Ok(number) = raw.parse::<f64>()
        && number.fract() == 0.0
        && number.abs() < 9_007_199_254_740_992.0
    {
        return format!("{number:.0}").into();
    }
    Bytes::copy_from_slice(raw.as_bytes())
}

/// [`key`] of an id.
pub(super) fn id_key(id: Id<'_>) -> Bytes {
    key(id.as_raw())
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn spellings_of_one_value_share_a_key() {
        assert_eq!(key(r#""a\/\u0062""#), key(r#""a/b""#));
        assert_eq!(key("1.0"), key("1"));
        assert_eq!(key("1e2"), key("100"));
        assert_ne!(key("1"), key("\"1\""));
        assert_ne!(key("1.5"), key("1"));
        assert_ne!(key(r#""a\"b""#), key(r#""a""#));
        let large = "123456789012345678901234567890";
        assert_eq!(key(large), large);
    }
}
