use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_clock::Clock;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{COMMENT, KeepAliveInterval, boundary::Boundary, silence::Silence};

/// A body of server-sent events, passed on byte for byte with comments in its silences.
///
/// A comment goes out only between two events, never within one, and only after an interval in
/// which nothing came. The body is longer than the one inside: whoever sends it must not send
/// the length of that one.
#[pin_project]
#[derive(Debug)]
pub struct KeepAlive<B> {
    #[pin]
    body: B,
    boundary: Boundary,
    begun: Begun,
    interval: KeepAliveInterval,
    #[pin]
    silence: Silence,
}

/// What went out so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Nothing,
    Comments,
    Data,
}

/// Text may begin with it, and only begin.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<B: Body<Data = Bytes>> KeepAlive<B> {
    /// Keeps this body of server-sent events alive.
    pub fn new(body: B, interval: KeepAliveInterval, clock: Clock) -> Self {
        Self {
            body,
            boundary: Boundary::START,
            begun: Begun::Nothing,
            interval,
            silence: Silence::new(clock),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for KeepAlive<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Poll::Ready(frame) = this.body.poll_frame(cx) else {
            if !this.boundary.is_between_events() {
                return Poll::Pending;
            }
            let interval = this.interval.duration();
            ready!(this.silence.as_mut().poll_lasts(interval, cx));
            this.silence.broken();
            if *this.begun == Begun::Nothing {
                *this.begun = Begun::Comments;
            }
            return Poll::Ready(Some(Ok(Frame::data(COMMENT))));
        };
        this.silence.broken();
        let frame = frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(mut data) => {
                    // Behind a comment the mark would be a part of the first field's name.
                    if *this.begun == Begun::Comments && data.starts_with(BYTE_ORDER_MARK) {
                        data = data.slice(BYTE_ORDER_MARK.len()..);
                    }
                    if !data.is_empty() {
                        *this.begun = Begun::Data;
                    }
                    this.boundary.advance(&data);
                    Frame::data(data)
                }
                Err(trailers) => trailers,
            })
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.body.size_hint().lower());
        hint
    }
}
