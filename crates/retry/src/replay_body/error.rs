use thiserror::Error;

/// Why a [`ReplayBody`](crate::ReplayBody) broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The body itself failed.
    #[error("the request body failed")]
    Body(#[source] E),
    /// The beginning of the body is gone, so this clone cannot be sent.
    #[error("the request body is no longer replayable")]
    NotReplayable,
    /// A later attempt has begun to send the body.
    #[error("a later attempt sends the request body")]
    Superseded,
}
