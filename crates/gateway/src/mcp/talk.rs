use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_protocol::headers::accepts;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use tokio::sync::mpsc;

/// How many messages may wait for a client to read them before their source is held up.
const WAITING: usize = 64;

/// What a client hears in answer to one request: messages, and the response that ends them
/// unless the client cancelled it.
///
/// The future that writes them is polled by whoever reads, so a client that goes away takes it
/// along, and everything it waits for.
pub(crate) struct Talk {
    // Boxed: what a conversation is depends on two eras, and one is held per request.
    writer: Option<Pin<Box<dyn Future<Output = Option<Bytes>> + Send>>>,
    said: mpsc::Receiver<Bytes>,
    response: Option<Bytes>,
}

/// Something that a client hears.
#[derive(Debug)]
pub(crate) enum Said {
    Message(Bytes),
    Response(Bytes),
}

/// Where messages before the response go.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    said: mpsc::Sender<Bytes>,
}

impl Outgoing {
    /// For an answer whose caller wants nothing but the response.
    pub(crate) fn nowhere() -> Self {
        Self {
            said: mpsc::channel(1).0,
        }
    }

    /// Whether nobody hears what is said.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.said.is_closed()
    }

    /// Says a message, once there is room.
    pub(crate) async fn say(&self, message: Bytes) {
        // Nobody reads any more: then this future is about to be dropped.
        let _ = self.said.send(message).await;
    }
}

impl Talk {
    pub(crate) fn new<F>(write: impl FnOnce(Outgoing) -> F) -> Self
    where
        F: Future<Output = Option<Bytes>> + Send + 'static,
    {
        let (sender, said) = mpsc::channel(WAITING);
        Self {
            writer: Some(Box::pin(write(Outgoing { said: sender }))),
            said,
            response: None,
        }
    }

    /// The same with a client that hears nothing but the response, unless it says that it reads
    /// streams.
    pub(crate) fn with<F>(headers: &HeaderMap, write: impl FnOnce(Outgoing) -> F) -> Self
    where
        F: Future<Output = Option<Bytes>> + Send + 'static,
    {
        if accepts(headers).event_stream {
            return Self::new(write);
        }
        Self::new(|_| write(Outgoing::nowhere()))
    }

    /// What is said next; nothing after the response.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost by dropping the future.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        poll_fn(|cx| self.poll_said(cx)).await
    }

    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Option<Said>> {
        loop {
            // Everything said before the response comes before it.
            if let Poll::Ready(Some(message)) = self.said.poll_recv(cx) {
                return Poll::Ready(Some(Said::Message(message)));
            }
            if let Some(response) = self.response.take() {
                return Poll::Ready(Some(Said::Response(response)));
            }
            let Some(writer) = &mut self.writer else {
                return Poll::Ready(None);
            };
            match writer.as_mut().poll(cx) {
                Poll::Ready(response) => {
                    self.response = response;
                    self.writer = None;
                }
                // It may have said something just now.
                Poll::Pending => {
                    return match self.said.poll_recv(cx) {
                        Poll::Ready(Some(message)) => Poll::Ready(Some(Said::Message(message))),
                        Poll::Ready(None) | Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }
}

impl Stream for Talk {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_said(cx).map(|said| match said {
            Some(Said::Message(message) | Said::Response(message)) => Some(message),
            None => None,
        })
    }
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk").finish_non_exhaustive()
    }
}
