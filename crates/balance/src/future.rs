use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bartizan_classify::Classify;
use pin_project::pin_project;
use tower_service::Service;

use crate::{Busy, Error, NoEndpoints, TrackCompletion, claim::Claim};

/// The response of a [`Balance`](crate::Balance) service.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<T: Service<Req>, Req, C, K> {
    #[pin]
    state: State<T, Req, T::Future, T::Error>,
    /// Present from the pick to the response.
    claim: Option<Claim<T>>,
    classify: C,
    track: K,
}

#[pin_project(project = StateProjection)]
enum State<T, Req, F, E> {
    Calling {
        #[pin]
        response: F,
    },
    /// The endpoint was not ready when it was picked. Boxed, because most are, and room for a
    /// request in every future would be carried through every layer outside.
    Unready(Box<Unready<T, Req, E>>),
    Rejected(NoEndpoints),
}

enum Unready<T, Req, E> {
    /// Waiting for the endpoint's service, which is the clone that will be called.
    Waiting {
        service: T,
        request: Option<Req>,
    },
    Failed(Option<E>),
}

impl<T, Req, E> Unready<T, Req, E>
where
    T: Service<Req, Error = E>,
{
    #[cold]
    fn boxed(service: T, request: Req, readiness: Poll<Result<(), E>>) -> Box<Self> {
        Box::new(match readiness {
            Poll::Ready(Err(error)) => Self::Failed(Some(error)),
            _ => Self::Waiting {
                service,
                request: Some(request),
            },
        })
    }

    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Result<T::Future, E>> {
        match self {
            Self::Waiting { service, request } => {
                ready!(service.poll_ready(cx))?;
                let request = request.take().expect("polled after completion");
                Poll::Ready(Ok(service.call(request)))
            }
            Self::Failed(error) => Poll::Ready(Err(error.take().expect("polled after completion"))),
        }
    }
}

impl<T: Service<Req> + Clone, Req, C, K> ResponseFuture<T, Req, C, K> {
    /// Calls the endpoint at once if it is ready.
    #[inline(always)]
    pub(crate) fn new(
        claim: Claim<T>,
        mut service: T,
        request: Req,
        classify: C,
        track: K,
    ) -> Self {
        // Nobody is woken by this waker: an endpoint that is not ready is asked again when the
        // future is polled, with the task's own.
        let state = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => State::Calling {
                response: service.call(request),
            },
            unready => State::Unready(Unready::boxed(service, request, unready)),
        };
        Self {
            state,
            claim: Some(claim),
            classify,
            track,
        }
    }

    #[inline(always)]
    pub(crate) fn rejected(error: NoEndpoints, classify: C, track: K) -> Self {
        Self {
            state: State::Rejected(error),
            claim: None,
            classify,
            track,
        }
    }
}

impl<T, Req, C, K> Future for ResponseFuture<T, Req, C, K>
where
    T: Service<Req> + Send + Sync + 'static,
    C: Classify<T::Response, T::Error>,
    K: TrackCompletion<Busy, T::Response>,
{
    type Output = Result<K::Output, Error<T::Error>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            match this.state.as_mut().project() {
                StateProjection::Calling { response } => break ready!(response.poll(cx)),
                StateProjection::Unready(unready) => match ready!(unready.poll_call(cx)) {
                    Ok(response) => this.state.set(State::Calling { response }),
                    Err(error) => break Err(error),
                },
                StateProjection::Rejected(error) => return Poll::Ready(Err((*error).into())),
            }
        };
        let claim = this.claim.as_mut().expect("present until the response");
        claim.record(this.classify.classify(result.as_ref()));
        let busy = claim.take_busy();
        Poll::Ready(match result {
            Ok(response) => Ok(this.track.track(busy, response)),
            Err(error) => Err(Error::Inner(error)),
        })
    }
}

impl<T: Service<Req>, Req, C, K> fmt::Debug for ResponseFuture<T, Req, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("endpoint", &self.claim.as_ref().map(Claim::endpoint))
            .finish_non_exhaustive()
    }
}
