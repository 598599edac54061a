use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower_service::Service;

use crate::{Acquire, Error, RateLimited};

/// The response of a [`RateLimit`](crate::RateLimit) service.
///
/// # Cancellation
///
/// Dropping it while it waits gives up the place in the queue, and the inner service is not
/// called.
#[pin_project]
pub struct ResponseFuture<S, Req>
where
    S: Service<Req>,
{
    #[pin]
    state: State<S, S::Future, Req>,
}

#[pin_project(project = StateProj)]
enum State<S, F, Req> {
    Calling {
        #[pin]
        response: F,
    },
    /// Boxed, so that a call that need not wait is not made to carry room for its request, a
    /// service and a place in the queue.
    Waiting {
        call: Box<WaitingCall<S, Req>>,
    },
    Refused {
        limited: RateLimited,
    },
}

struct WaitingCall<S, Req> {
    acquire: Acquire,
    /// The instance that was made ready for this call.
    service: S,
    /// There until the service is called.
    request: Option<Req>,
}

impl<S: Service<Req>, Req> ResponseFuture<S, Req> {
    #[inline]
    pub(crate) fn calling(response: S::Future) -> Self {
        Self {
            state: State::Calling { response },
        }
    }

    pub(crate) fn waiting(acquire: Acquire, service: S, request: Req) -> Self {
        let call = Box::new(WaitingCall {
            acquire,
            service,
            request: Some(request),
        });
        Self {
            state: State::Waiting { call },
        }
    }

    pub(crate) fn refused(limited: RateLimited) -> Self {
        Self {
            state: State::Refused { limited },
        }
    }
}

impl<S: Service<Req>, Req> Future for ResponseFuture<S, Req> {
    type Output = Result<S::Response, Error<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let response = match state.as_mut().project() {
                StateProj::Calling { response } => {
                    return response.poll(cx).map_err(Error::Inner);
                }
                StateProj::Refused { limited } => return Poll::Ready(Err((*limited).into())),
                StateProj::Waiting { call } => {
                    ready!(Pin::new(&mut call.acquire).poll(cx))?;
                    let request = call.request.take().expect("a call is made once");
                    call.service.call(request)
                }
            };
            state.set(State::Calling { response });
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for ResponseFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Waiting { .. } => "waiting",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
