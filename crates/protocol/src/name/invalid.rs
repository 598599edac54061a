use thiserror::Error;

/// A name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// It is empty.
    #[error("a name must not be empty")]
    Empty,
    /// It holds a character that the protocol does not allow.
    #[error("a name may only hold ascii letters, digits, `_`, `.` and `-`")]
    Characters,
    /// It is too long.
    #[error("a name must not be longer than {max} characters")]
    TooLong {
        /// The most characters there may be.
        max: usize,
    },
    /// The service's name holds the separator, or ends as it begins, so that a joined name could
    /// be split in two ways.
    #[error("the service's name must not contain `{separator}` or run into it")]
    Ambiguous {
        /// The separator.
        separator: Box<str>,
    },
    /// The separator is empty or holds a character that names may not hold.
    #[error("the separator must be of ascii letters, digits, `_`, `.` and `-`")]
    Separator,
    /// The length limit leaves no room, or is longer than the protocol allows.
    #[error("the length limit must be from {min} to 128 characters")]
    Limit {
        /// The smallest limit.
        min: usize,
    },
}
