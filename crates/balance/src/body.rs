use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::Busy;

/// A response body that keeps its endpoint busy until it ends or is dropped.
#[pin_project]
#[derive(Debug)]
pub struct BusyBody<B> {
    #[pin]
    body: B,
    busy: Option<Busy>,
}

impl<B: Body> BusyBody<B> {
    pub(crate) fn new(body: B, busy: Busy) -> Self {
        // Of an empty body nobody may ever ask for a frame.
        let busy = (!body.is_end_stream()).then_some(busy);
        Self { body, busy }
    }
}

impl<B: Body> Body for BusyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        // A server that knows the length does not ask again after the last frame.
        if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
            *this.busy = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
