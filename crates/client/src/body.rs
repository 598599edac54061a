use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::ClientError;

/// A response body as it arrives.
///
/// Ends with [`ClientError::Interrupted`] when the connection breaks before the announced length
/// or the last chunk. The one end that nobody can tell from a broken connection is that of a
/// response which announces neither; HTTP/1.0 servers send such. Dropping it early closes the
/// connection, or resets the HTTP/2 stream.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
}

impl ResponseBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        Self { incoming }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ClientError;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        Pin::new(&mut self.incoming)
            .poll_frame(cx)
            .map_err(ClientError::interrupted)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
