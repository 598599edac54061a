use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use crate::{Client, ClientError, ResponseBody, ResponseFuture};

/// Sends requests and collects each response body before it answers.
///
/// The body counts as part of the exchange: a layer around this service sees a body cut short as
/// the failed exchange that it is. Trailers are dropped.
///
/// Made by [`Client::buffered`].
#[derive(Clone, Debug)]
pub struct Buffered {
    client: Client,
    limit: usize,
}

impl Buffered {
    pub(crate) fn new(client: Client, limit: usize) -> Self {
        Self { client, limit }
    }

    /// The same service with another limit.
    #[must_use]
    pub fn max_response_bytes(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sends a request with an absolute URI; the future ends when the whole response is here.
    ///
    /// A response whose announced length is over the limit is refused before a byte of its body
    /// is read; any other, as soon as it passes the limit. Either closes the connection.
    pub fn send(&self, request: Request<Full<Bytes>>) -> BufferedFuture {
        BufferedFuture {
            limit: self.limit,
            state: State::Sent(self.client.send(request)),
        }
    }
}

impl Service<Request<Full<Bytes>>> for Buffered {
    type Response = Response<Bytes>;
    type Error = ClientError;
    type Future = BufferedFuture;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        self.send(request)
    }
}

/// The collected response to come of a [`Buffered`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct BufferedFuture {
    limit: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Sent(ResponseFuture),
    Reading(Response<ResponseBody>, Collected),
    Done,
}

impl Future for BufferedFuture {
    type Output = Result<Response<Bytes>, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let limit = self.limit;
        if let State::Sent(response) = &mut self.state {
            let response = ready!(Pin::new(response).poll(cx))?;
            let announced = response.body().size_hint().lower();
            if announced > limit as u64 {
                return Poll::Ready(Err(ClientError::ResponseTooLarge { limit }));
            }
            self.state = State::Reading(response, Collected::default());
        }
        if let State::Reading(response, collected) = &mut self.state {
            ready!(collected.poll_all(cx, response.body_mut(), limit))?;
        }
        match mem::replace(&mut self.state, State::Done) {
            State::Reading(response, collected) => {
                Poll::Ready(Ok(response.map(|_| collected.into_bytes())))
            }
            State::Sent(_) | State::Done => unreachable!("polled after completion"),
        }
    }
}

/// What has come of a body: nothing, one piece as hyper read it, or a copy of several.
#[derive(Debug, Default)]
struct Collected {
    first: Bytes,
    all: BytesMut,
}

impl Collected {
    fn poll_all(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut ResponseBody,
        limit: usize,
    ) -> Poll<Result<(), ClientError>> {
        // Asking first saves polling a body once more only to hear that it has ended.
        while !body.is_end_stream() {
            let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)?) else {
                break;
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if data.len() > limit - self.len() {
                return Poll::Ready(Err(ClientError::ResponseTooLarge { limit }));
            }
            self.push(data, body.size_hint().lower());
        }
        Poll::Ready(Ok(()))
    }

    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    /// `remaining` is what is known to follow; it is within the limit, which was checked when the
    /// response came.
    fn push(&mut self, data: Bytes, remaining: u64) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            let remaining = usize::try_from(remaining).unwrap_or(0);
            self.all.reserve(self.first.len() + data.len() + remaining);
            self.all.extend_from_slice(&mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}
