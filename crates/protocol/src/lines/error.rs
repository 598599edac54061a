/// A line is longer than the decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line exceeds {limit} bytes")]
#[non_exhaustive]
pub struct TooLong {
    /// What the decoder accepts, in bytes.
    pub limit: usize,
}
