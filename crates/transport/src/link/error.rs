use super::WireError;

/// Why an exchange failed, or was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The message to send is not what the call is for, or cannot be read.
    #[error("message cannot be sent: {0}")]
    Invalid(&'static str),
    /// A request with this id is under way, or was cancelled and may still be answered.
    #[error("a request with this id is under way")]
    Duplicate,
    /// Too many requests are under way.
    #[error("{limit} requests are under way, which is the limit")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// More arrived than the reader of the exchange took, and none of it could be left out.
    #[error("messages of the server were not read in time")]
    Slow,
    /// The request was taken back.
    #[error("request was cancelled")]
    Cancelled,
    /// The connection has ended.
    #[error("connection ended: {reason}")]
    Closed {
        /// Why.
        reason: WireError,
        /// Whether the request had been handed to the wire, so that the server may have seen it,
        /// and was not what the server refused.
        sent: bool,
    },
}
