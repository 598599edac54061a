use thiserror::Error;

/// Why a token was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It was not sealed like this: damaged, made up, sealed with a key that is not known here,
    /// for another purpose or for another principal. Which of them is not told.
    #[error("the token is not valid")]
    Forged,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
}

/// Secrets that no keys are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidKeys {
    /// There is none.
    #[error("no secret is given to seal tokens with")]
    None,
    /// There are more than [`Keys::MAX`](super::Keys::MAX).
    #[error("more than {} secrets are given to seal tokens with", super::Keys::MAX)]
    TooMany,
    /// One is shorter than [`Keys::MIN_SECRET_BYTES`](super::Keys::MIN_SECRET_BYTES).
    #[error(
        "secret {position} to seal tokens with is shorter than {} bytes; \
         `openssl rand -base64 32` makes a good one",
        super::Keys::MIN_SECRET_BYTES
    )]
    TooShort {
        /// Which secret of the list, counted from one.
        position: usize,
    },
    /// One repeats a few characters, as placeholders do.
    #[error(
        "secret {position} to seal tokens with is too regular to be random; \
         `openssl rand -base64 32` makes a good one"
    )]
    Regular {
        /// Which secret of the list, counted from one.
        position: usize,
    },
    /// One is there twice.
    #[error("secret {position} to seal tokens with repeats an earlier one")]
    Repeated {
        /// Which secret of the list, counted from one.
        position: usize,
    },
}
