use thiserror::Error;

use crate::syntax_error::SyntaxError;

/// Why a document could not be edited.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EditError {
    /// The document is not JSON.
    #[error("not json: {0}")]
    Syntax(#[from] SyntaxError),
    /// The new value is not JSON.
    #[error("the new value is not json: {0}")]
    Value(SyntaxError),
    /// A member was to be set in something that has none.
    #[error("`{0}` cannot be set: its parent is not an object")]
    Parent(Box<str>),
    /// An element was to be set beyond the end of an array.
    #[error("`{0}` cannot be set: there is no such element")]
    Element(Box<str>),
    /// A part to replace does not lie in the document, or overlaps with another.
    #[error("the part to replace is not a part of the document")]
    Part,
}
