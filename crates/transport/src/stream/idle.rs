use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_clock::Clock;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use thiserror::Error;

use super::silence::Silence;

/// A body that fails when its sender falls silent, or keeps its reader waiting for too long in all.
///
/// A stream that says something now and then may last for days: without a limit in all only the
/// silence counts. While the reader does not ask for more, because its own reader is slow, no time
/// passes. What fails is dropped at once.
#[pin_project]
#[derive(Debug)]
pub struct Idle<B> {
    /// None once it has failed.
    #[pin]
    body: Option<B>,
    limits: IdleLimits,
    /// How long the reader has waited for the frames that came.
    waited: Duration,
    #[pin]
    silence: Silence,
}

/// How long the sender of a body may keep its reader waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleLimits {
    /// For one frame, keep-alive comments included. A limit of nothing waits for nothing.
    pub silence: Duration,
    /// For all of them together.
    pub in_all: Duration,
}

impl IdleLimits {
    /// A sender may be silent for so long, any number of times.
    #[must_use]
    pub fn silence(limit: Duration) -> Self {
        Self {
            silence: limit,
            in_all: Duration::MAX,
        }
    }
}

impl Default for IdleLimits {
    /// Silent for five minutes: what most gateways wait, and twelve times what a sender with
    /// keep-alive comments needs at most. In all, for ever.
    fn default() -> Self {
        Self::silence(Duration::from_secs(300))
    }
}

/// Why an [`Idle`] body failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdleError<E> {
    /// Nothing came for this long.
    #[error("nothing came for {limit:?}")]
    Silent {
        /// How long the sender may be silent.
        limit: Duration,
    },
    /// The frames that came took this long, and there were more to come.
    #[error("not all came within {limit:?}")]
    Slow {
        /// How long the sender may take in all.
        limit: Duration,
    },
    /// What the body inside failed with, untouched.
    #[error(transparent)]
    Inner(E),
}

impl<B: Body> Idle<B> {
    /// Ends the wait for this body when a limit is reached.
    pub fn new(body: B, limits: IdleLimits, clock: Clock) -> Self {
        Self {
            body: Some(body),
            limits,
            waited: Duration::ZERO,
            silence: Silence::new(clock),
        }
    }
}

impl<B: Body> Body for Idle<B> {
    type Data = B::Data;
    type Error = IdleError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = body.poll_frame(cx) {
            *this.waited += this.silence.as_ref().lasted();
            this.silence.broken();
            return Poll::Ready(frame.map(|frame| frame.map_err(IdleError::Inner)));
        }
        let IdleLimits { silence, in_all } = *this.limits;
        let left = in_all.saturating_sub(*this.waited);
        this.silence.poll_lasts(silence.min(left), cx).map(|()| {
            this.body.set(None);
            Some(Err(if silence <= left {
                IdleError::Silent { limit: silence }
            } else {
                IdleError::Slow { limit: in_all }
            }))
        })
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
