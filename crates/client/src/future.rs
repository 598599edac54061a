use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use hyper_util::client::legacy;

use crate::{ClientError, ResponseBody};

/// The response to come of a [`Client`](crate::Client).
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture {
    state: State,
}

enum State {
    Sent(legacy::ResponseFuture),
    InvalidUri(&'static str),
}

impl ResponseFuture {
    pub(crate) fn new(response: legacy::ResponseFuture) -> Self {
        Self {
            state: State::Sent(response),
        }
    }

    pub(crate) fn invalid_uri(reason: &'static str) -> Self {
        Self {
            state: State::InvalidUri(reason),
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, ClientError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut self.state {
            State::Sent(response) => match ready!(Pin::new(response).poll(cx)) {
                Ok(response) => Ok(response.map(ResponseBody::new)),
                Err(error) => Err(error.into()),
            },
            State::InvalidUri(reason) => Err(ClientError::InvalidUri { reason }),
        })
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
