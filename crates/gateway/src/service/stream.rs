use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_balance::{Busy, TrackCompletion};
use bartizan_client::{ClientError, ResponseBody};
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::Payload;

/// The answer to a message while it arrives. Its instance is busy until it has ended.
#[derive(Debug)]
pub(crate) struct Stream {
    body: ResponseBody,
    busy: Option<Busy>,
}

impl Stream {
    pub(super) fn new(body: ResponseBody) -> Self {
        Self { body, busy: None }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = ClientError;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Lets an instance count a call as over when the answer is here as a whole, or its stream has
/// ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UntilStreamEnd;

impl TrackCompletion<Busy, Response<Payload>> for UntilStreamEnd {
    type Output = Response<Payload>;

    #[inline]
    fn track(&self, busy: Busy, mut response: Response<Payload>) -> Response<Payload> {
        if let Some(stream) = &mut response.body_mut().stream {
            stream.busy = Some(busy);
        }
        response
    }
}
