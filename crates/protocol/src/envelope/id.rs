use std::{
    fmt,
    hash::{Hash, Hasher},
};

use crate::edit;

/// The id of a request: a string or a number, kept as it was sent.
///
/// Numbers stay what they are, however large, and floats stay floats. Strings are equal if they
/// say the same, whatever escapes they use; numbers are equal if they are written the same.
#[derive(Clone, Copy)]
pub struct Id<'a> {
    raw: &'a str,
}

impl<'a> Id<'a> {
    /// The id whose JSON text is `raw`; `None` unless that is one string or number.
    #[must_use]
    pub fn new(raw: &'a str) -> Option<Self> {
        let mut scanner = crate::scan::Scanner::new(raw);
        match raw.as_bytes().first()? {
            b'"' | b'-' | b'0'..=b'9' => {}
            _ => return None,
        }
        (scanner.value().ok()?.len() == raw.len()).then_some(Self { raw })
    }

    /// The JSON text of the id: quotes and escapes included.
    #[must_use]
    pub fn as_raw(&self) -> &'a str {
        self.raw
    }

    /// Whether the id is a string, not a number.
    #[must_use]
    pub fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    fn escaped(&self) -> bool {
        self.raw.contains('\\')
    }
}

impl PartialEq for Id<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.raw == other.raw {
            return true;
        }
        if !self.escaped() && !other.escaped() {
            return false;
        }
        match (edit::text(self.raw), edit::text(other.raw)) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        }
    }
}

impl Eq for Id<'_> {}

impl Hash for Id<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.is_string().hash(state);
        match edit::text(self.raw) {
            Some(text) => text.hash(state),
            None => self.raw.hash(state),
        }
    }
}

impl fmt::Debug for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw)
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn strings_and_numbers_only() {
        for raw in [
            "1",
            "-0.5e9",
            "123456789012345678901234567890",
            "\"\"",
            "\"a\\\"b\"",
        ] {
            assert_eq!(Id::new(raw).unwrap().as_raw(), raw);
        }
        for raw in [
            "", "null", "true", "[1]", "{}", " 1", "1 ", "1,2", "\"a", "01",
        ] {
            assert!(Id::new(raw).is_none(), "{raw}");
        }
    }

    #[test]
    fn strings_compare_by_what_they_say_and_numbers_by_how_they_are_written() {
        let id = |raw| Id::new(raw).unwrap();
        let state = RandomState::new();
        let (plain, escaped) = (id("\"a/1\""), id("\"\\u0061\\/1\""));
        assert_eq!(plain, escaped);
        assert_eq!(state.hash_one(plain), state.hash_one(escaped));
        assert_ne!(id("1"), id("\"1\""));
        assert_ne!(id("1"), id("1.0"));
        assert_ne!(id("\"\\ud800\""), id("\"\\ud801\""));
    }
}
