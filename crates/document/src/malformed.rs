use std::{error::Error, fmt};

use crate::Place;

/// A text that is not what it should be.
///
/// The message does not repeat the text, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where.
    pub place: Place,
    /// Why.
    pub text: String,
}

impl Malformed {
    pub(crate) fn new(place: Place, text: impl Into<String>) -> Self {
        Self {
            place,
            text: text.into(),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl Error for Malformed {}
