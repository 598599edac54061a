use thiserror::Error;

use crate::{error, syntax_error::SyntaxError};

use super::Id;

/// A message that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct InvalidEnvelope {
    reason: InvalidEnvelopeReason,
    id: Option<Box<str>>,
    has_method: bool,
}

impl InvalidEnvelope {
    pub(super) fn new(reason: InvalidEnvelopeReason, id: Option<Id<'_>>, has_method: bool) -> Self {
        Self {
            reason,
            id: id.map(|id| id.as_raw().into()),
            has_method,
        }
    }

    /// The JSON-RPC code that says so: −32700 for what is not JSON, −32600 for what is not a
    /// message.
    #[must_use]
    pub fn code(&self) -> i64 {
        match self.reason {
            InvalidEnvelopeReason::Syntax(_) => error::PARSE_ERROR,
            _ => error::INVALID_REQUEST,
        }
    }

    /// The raw JSON of the message's id, if it had been read and there was only one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether a method had been read: then the message was no answer, and its id is one of its
    /// sender's own.
    #[must_use]
    pub fn has_method(&self) -> bool {
        self.has_method
    }

    /// What was wrong.
    #[must_use]
    pub fn reason(&self) -> InvalidEnvelopeReason {
        self.reason
    }
}

/// Why a message cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidEnvelopeReason {
    /// Not JSON.
    #[error("not json: {0}")]
    Syntax(#[from] SyntaxError),
    /// JSON, but not an object.
    #[error("a message must be an object")]
    NotAnObject,
    /// `jsonrpc` is missing or another version.
    #[error("`jsonrpc` must be \"2.0\"")]
    JsonRpc,
    /// The id is neither a string nor a number, or is missing where one must be.
    #[error("`id` must be a string or a number")]
    Id,
    /// The method is not a text.
    #[error("`method` must be a string")]
    Method,
    /// The parameters are not an object.
    #[error("`params` must be an object")]
    Params,
    /// The error is not an object.
    #[error("`error` must be an object")]
    Error,
    /// Not exactly one of method, result and error.
    #[error("a message must have either a method, a result or an error")]
    Shape,
    /// A member stands twice, so that two readers may see two different messages.
    #[error("`{0}` is given more than once")]
    Duplicate(&'static str),
    /// A member differs from a known one in letter case only; some readers take it for that one.
    #[error("`{0}` is spelled in another letter case")]
    Case(&'static str),
    /// A batch without a message.
    #[error("a batch must not be empty")]
    EmptyBatch,
    /// A batch of too many messages.
    #[error("a batch must not hold more than {0} messages")]
    LargeBatch(usize),
}
