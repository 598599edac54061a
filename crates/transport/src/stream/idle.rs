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

/// A body that fails when its sender falls silent.
///
/// There is no limit on how long the whole takes: a stream that says something now and then may
/// last for days. Only the sender's silence counts; while the reader does not ask for more,
/// because its own reader is slow, no time passes. What fails is dropped at once.
#[pin_project]
#[derive(Debug)]
pub struct Idle<B> {
    /// None once it has failed.
    #[pin]
    body: Option<B>,
    /// The first byte has come.
    begun: bool,
    limits: IdleLimits,
    #[pin]
    silence: Silence,
}

/// How long the sender of a body may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleLimits {
    /// Before the first byte. A limit of nothing waits for nothing.
    pub first_byte: Duration,
    /// Between two frames after it, keep-alive comments included.
    pub between: Duration,
}

impl Default for IdleLimits {
    /// Five minutes each: what most gateways wait, and twelve times what a sender with keep-alive
    /// comments needs at most.
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(300),
            between: Duration::from_secs(300),
        }
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
    /// What the body inside failed with, untouched.
    #[error(transparent)]
    Inner(E),
}

impl<B: Body> Idle<B> {
    /// Ends the wait for this body when a limit is reached.
    pub fn new(body: B, limits: IdleLimits, clock: Clock) -> Self {
        Self {
            body: Some(body),
            begun: false,
            limits,
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
            if *this.begun {
                this.silence.broken();
            } else {
                *this.begun = true;
                this.silence.restart();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(IdleError::Inner)));
        }
        let limit = if *this.begun {
            this.limits.between
        } else {
            this.limits.first_byte
        };
        this.silence.poll_lasts(limit, cx).map(|()| {
            this.body.set(None);
            Some(Err(IdleError::Silent { limit }))
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
