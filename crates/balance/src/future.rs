use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_classify::Classify;
use pin_project::pin_project;
use tower_service::Service;

use crate::{Busy, Error, NoEndpoints, Picked, TrackCompletion};

/// The response of a [`Balance`](crate::Balance) service.
#[pin_project]
pub struct ResponseFuture<T: Service<Req>, Req, C, K> {
    #[pin]
    state: State<T, Req, T::Future>,
    /// Present from the pick to the response.
    picked: Option<Picked<T>>,
    classify: C,
    track: K,
}

#[pin_project(project = StateProjection)]
enum State<T, Req, F> {
    /// Waiting for the endpoint's service, which is the clone that will be called.
    Readying {
        service: T,
        request: Option<Req>,
    },
    Calling {
        #[pin]
        response: F,
    },
    Rejected(NoEndpoints),
}

impl<T: Service<Req> + Clone, Req, C, K> ResponseFuture<T, Req, C, K> {
    #[inline]
    pub(crate) fn new(picked: Picked<T>, request: Req, classify: C, track: K) -> Self {
        Self {
            state: State::Readying {
                service: picked.service().clone(),
                request: Some(request),
            },
            picked: Some(picked),
            classify,
            track,
        }
    }

    pub(crate) fn rejected(error: NoEndpoints, classify: C, track: K) -> Self {
        Self {
            state: State::Rejected(error),
            picked: None,
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            match this.state.as_mut().project() {
                StateProjection::Readying { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        break Err(error);
                    }
                    let request = request.take().expect("polled after completion");
                    let response = service.call(request);
                    this.state.set(State::Calling { response });
                }
                StateProjection::Calling { response } => break ready!(response.poll(cx)),
                StateProjection::Rejected(error) => return Poll::Ready(Err((*error).into())),
            }
        };
        let picked = this.picked.as_mut().expect("present until the response");
        picked.record(this.classify.classify(result.as_ref()));
        let busy = picked.take_busy();
        Poll::Ready(match result {
            Ok(response) => Ok(this.track.track(busy, response)),
            Err(error) => Err(Error::Inner(error)),
        })
    }
}

impl<T: Service<Req>, Req, C, K> fmt::Debug for ResponseFuture<T, Req, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("picked", &self.picked)
            .finish_non_exhaustive()
    }
}
