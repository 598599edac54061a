use thiserror::Error;

/// Text that is not JSON, or is nested deeper than [`MAX_DEPTH`](SyntaxError::MAX_DEPTH).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{reason} at byte {offset}")]
pub struct SyntaxError {
    offset: usize,
    reason: SyntaxErrorReason,
}

impl SyntaxError {
    /// The most arrays and objects that may be open at once: 127, as in serde_json, so that
    /// whatever is accepted here can also be parsed fully.
    pub const MAX_DEPTH: u32 = 127;

    pub(crate) fn new(offset: usize, reason: SyntaxErrorReason) -> Self {
        Self { offset, reason }
    }

    /// Where reading stopped, in bytes from the start of the text.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What was wrong there.
    #[must_use]
    pub fn reason(&self) -> SyntaxErrorReason {
        self.reason
    }
}

/// What is wrong with text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SyntaxErrorReason {
    /// The text ends inside a value.
    #[error("unexpected end")]
    End,
    /// The bytes are not UTF-8.
    #[error("invalid utf-8")]
    Utf8,
    /// No value begins here.
    #[error("expected a value")]
    Value,
    /// A member's name must stand here.
    #[error("expected a string as member name")]
    Key,
    /// A colon must stand between a member's name and its value.
    #[error("expected `:`")]
    Colon,
    /// A comma or the end of the array or object must stand here.
    #[error("expected `,` or the end of the array or object")]
    Comma,
    /// An object must begin here.
    #[error("expected an object")]
    Object,
    /// An array must begin here.
    #[error("expected an array")]
    Array,
    /// A number that JSON does not know, as `01`, `1.` or `+1`.
    #[error("invalid number")]
    Number,
    /// An escape that JSON does not know.
    #[error("invalid escape")]
    Escape,
    /// A raw control character inside a string.
    #[error("control character in a string")]
    Control,
    /// Nested deeper than [`SyntaxError::MAX_DEPTH`].
    #[error("nested deeper than 127 levels")]
    Depth,
    /// Something follows the value.
    #[error("trailing characters")]
    Trailing,
}
