use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_balance::{Busy, TrackCompletion};
use bartizan_client::{ClientError, ResponseBody};
use bartizan_transport::host::{HostBody, HostError};
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::Payload;

/// The answer to a message while it arrives. Its instance is busy until it has ended, unless
/// somebody only listens: that is no work, and an instance that leaves does not wait for it.
#[derive(Debug)]
pub(crate) struct Stream {
    source: Source,
    listens: bool,
    busy: Option<Busy>,
}

impl Stream {
    /// The same, for somebody who only listens if `listens`.
    pub(super) fn listening(mut self, listens: bool) -> Self {
        self.listens = listens;
        self
    }

    /// Whether it is of somebody who only listens.
    pub(super) fn listens(&self) -> bool {
        self.listens
    }

    /// Whether it is that of a host, which speaks for a server of another transport.
    pub(crate) fn is_hosted(&self) -> bool {
        matches!(self.source, Source::Host(_))
    }
}

/// Where an answer comes from.
#[derive(Debug)]
enum Source {
    Http(ResponseBody),
    Host(HostBody),
}

/// An answer that broke off.
#[derive(Debug, Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Http(#[from] ClientError),
    #[error(transparent)]
    Host(#[from] HostError),
}

impl From<ResponseBody> for Stream {
    fn from(body: ResponseBody) -> Self {
        Self {
            source: Source::Http(body),
            listens: false,
            busy: None,
        }
    }
}

impl From<HostBody> for Stream {
    fn from(body: HostBody) -> Self {
        Self {
            source: Source::Host(body),
            listens: false,
            busy: None,
        }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = StreamError;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match &mut self.source {
            Source::Http(body) => Pin::new(body).poll_frame(cx).map_err(StreamError::Http),
            Source::Host(body) => Pin::new(body).poll_frame(cx).map_err(StreamError::Host),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Http(body) => body.is_end_stream(),
            Source::Host(body) => body.is_end_stream(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Http(body) => body.size_hint(),
            Source::Host(body) => body.size_hint(),
        }
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
        if let Some(stream) = &mut response.body_mut().stream
            && !stream.listens
        {
            stream.busy = Some(busy);
        }
        response
    }
}
