use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use thiserror::Error;

/// A body that fails instead of giving more than a number of bytes.
///
/// A body that says beforehand that it is longer fails before its first byte. What fails is dropped
/// at once, and with it whatever still sends.
#[pin_project]
#[derive(Debug)]
pub struct Capped<B> {
    /// None once it has failed.
    #[pin]
    body: Option<B>,
    cap: u64,
    left: u64,
}

/// Why a [`Capped`] body failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CappedError<E> {
    /// It is longer than it may be.
    #[error("the body is longer than the {cap} bytes that it may have")]
    TooLong {
        /// How many bytes it may have.
        cap: u64,
    },
    /// What the body inside failed with, untouched.
    #[error(transparent)]
    Inner(E),
}

impl<B: Body> Capped<B> {
    /// Gives at most `cap` bytes of this body.
    pub fn new(body: B, cap: u64) -> Self {
        Self {
            body: Some(body),
            cap,
            left: cap,
        }
    }
}

impl<B: Body> Body for Capped<B> {
    type Data = B::Data;
    type Error = CappedError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let announced = body.size_hint().lower();
        if announced <= *this.left {
            let Some(frame) = ready!(body.poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            let frame = frame.map_err(CappedError::Inner)?;
            let len = frame.data_ref().map_or(0, |data| data.remaining() as u64);
            if let Some(left) = this.left.checked_sub(len) {
                *this.left = left;
                return Poll::Ready(Some(Ok(frame)));
            }
        }
        this.body.set(None);
        Poll::Ready(Some(Err(CappedError::TooLong { cap: *this.cap })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}
