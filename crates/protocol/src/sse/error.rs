/// An event is larger than the decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server-sent event exceeds {limit} bytes")]
#[non_exhaustive]
pub struct TooLarge {
    /// What the decoder accepts, in bytes.
    pub limit: usize,
}
