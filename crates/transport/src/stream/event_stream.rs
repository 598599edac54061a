use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_clock::Clock;
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{AsEvent, COMMENT, KeepAliveInterval, silence::Silence};

/// A response body that writes each message of a stream as one server-sent event.
///
/// Nothing is kept back: a message that is ready is a frame. While there is none, a comment goes
/// out after each interval, from the very first one on, so that the headers may be sent long
/// before the first message. The body ends with the stream, which should end after the final
/// message.
///
/// ```
/// use bartizan_clock::Clock;
/// use bartizan_transport::stream::{EventStream, KeepAliveInterval};
/// use bytes::Bytes;
/// use futures_util::stream;
/// use http_body_util::BodyExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let messages = stream::iter([Bytes::from_static(b"{}")]);
/// let body = EventStream::new(messages, KeepAliveInterval::default(), Clock::default());
/// assert_eq!(body.collect().await.unwrap().to_bytes(), "data: {}\n\n");
/// # });
/// ```
///
/// # Cancellation
///
/// Dropping the body drops the stream, as does its end.
#[pin_project]
#[derive(Debug)]
pub struct EventStream<S> {
    /// None once it has ended.
    #[pin]
    messages: Option<S>,
    interval: KeepAliveInterval,
    #[pin]
    silence: Silence,
}

impl<S: Stream<Item: AsEvent>> EventStream<S> {
    /// A body of these messages.
    pub fn new(messages: S, interval: KeepAliveInterval, clock: Clock) -> Self {
        Self {
            messages: Some(messages),
            interval,
            silence: Silence::new(clock),
        }
    }
}

impl<S: Stream<Item: AsEvent>> Body for EventStream<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        let Some(messages) = this.messages.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let data = match messages.poll_next(cx) {
            Poll::Ready(Some(message)) => message.as_event(),
            Poll::Ready(None) => {
                this.messages.set(None);
                return Poll::Ready(None);
            }
            Poll::Pending => {
                let interval = this.interval.duration();
                ready!(this.silence.as_mut().poll_lasts(interval, cx));
                COMMENT
            }
        };
        this.silence.broken();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        // A stream that knows its length saves the server the last, empty read.
        self.messages
            .as_ref()
            .is_none_or(|messages| messages.size_hint().1 == Some(0))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
