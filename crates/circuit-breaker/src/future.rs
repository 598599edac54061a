use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_classify::Classify;
use pin_project::pin_project;

use crate::{CircuitOpen, Error, Permit};

/// The response of a [`CircuitBreakerService`](crate::CircuitBreakerService).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, C> {
    #[pin]
    progress: Progress<F, C>,
}

#[pin_project(project = ProgressProjection)]
#[derive(Debug)]
enum Progress<F, C> {
    Calling {
        /// Before the permit, so that it is dropped first.
        #[pin]
        future: F,
        permit: Option<Permit>,
        classifier: C,
    },
    Rejected(CircuitOpen),
}

impl<F, C> ResponseFuture<F, C> {
    #[inline]
    pub(crate) fn calling(future: F, permit: Permit, classifier: C) -> Self {
        Self {
            progress: Progress::Calling {
                future,
                permit: Some(permit),
                classifier,
            },
        }
    }

    pub(crate) fn rejected(open: CircuitOpen) -> Self {
        Self {
            progress: Progress::Rejected(open),
        }
    }
}

impl<F, C, Res, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Res, E>>,
    C: Classify<Res, E>,
{
    type Output = Result<Res, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().progress.project() {
            ProgressProjection::Calling {
                future,
                permit,
                classifier,
            } => {
                let result = ready!(future.poll(cx));
                if let Some(permit) = permit {
                    permit.settle(classifier.classify(result.as_ref()));
                }
                *permit = None;
                Poll::Ready(result.map_err(Error::Inner))
            }
            ProgressProjection::Rejected(open) => Poll::Ready(Err(Error::Open(*open))),
        }
    }
}
