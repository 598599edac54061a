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
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, Req>
where
    S: Service<Req>,
{
    /// Written where it stays, which is why it is not in `state`: moving what was just written
    /// stalls for about as long as an atomic operation takes.
    #[pin]
    pub(crate) response: Option<S::Future>,
    pub(crate) state: State<S, Req>,
}

pub(crate) enum State<S, Req> {
    Calling,
    /// Boxed, so that a call that need not wait is not made to carry room for its request, a
    /// service and a place in the queue.
    Waiting {
        call: Box<WaitingCall<S, Req>>,
    },
    Refused {
        limited: RateLimited,
    },
}

pub(crate) struct WaitingCall<S, Req> {
    acquire: Acquire,
    /// The instance that was made ready for this call.
    service: S,
    /// There until the service is called.
    request: Option<Req>,
}

impl<S, Req> WaitingCall<S, Req> {
    #[cold]
    pub(crate) fn boxed(acquire: Acquire, service: S, request: Req) -> Box<Self> {
        Box::new(Self {
            acquire,
            service,
            request: Some(request),
        })
    }
}

impl<S: Service<Req>, Req> Future for ResponseFuture<S, Req> {
    type Output = Result<S::Response, Error<S::Error>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(response) = this.response.as_mut().as_pin_mut() {
                return response.poll(cx).map_err(Error::Inner);
            }
            let response = ready!(this.state.poll_call(cx))?;
            this.response.set(Some(response));
            *this.state = State::Calling;
        }
    }
}

impl<S: Service<Req>, Req> State<S, Req> {
    #[cold]
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::Future, RateLimited>> {
        match self {
            Self::Waiting { call } => {
                ready!(Pin::new(&mut call.acquire).poll(cx))?;
                let request = call.request.take().expect("a call is made once");
                Poll::Ready(Ok(call.service.call(request)))
            }
            Self::Refused { limited } => Poll::Ready(Err(*limited)),
            Self::Calling => unreachable!("the response is there"),
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for ResponseFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling => "calling",
            State::Waiting { .. } => "waiting",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
