use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_protocol::sse;
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};

use super::{HostError, connection::Usage};
use crate::link::{Exchange, LinkError, Unsolicited};

/// The body of an answer: one JSON value, or server-sent events as the server's messages arrive.
///
/// # Cancellation
///
/// Dropping it before the response has come cancels the request.
pub struct HostBody(Kind);

enum Kind {
    Whole(Bytes),
    // Boxed, since most answers are whole and would be as large as this otherwise.
    Events(Box<Events>),
}

struct Events {
    /// What has arrived already.
    first: VecDeque<Result<Bytes, LinkError>>,
    /// None once it has ended. Before the usage, so that a cancellation still finds its way.
    source: Option<Source>,
    usage: Option<Usage>,
}

pub(super) enum Source {
    /// Ends with the response.
    Exchange(Exchange),
    /// Ends with the connection.
    Unsolicited(Unsolicited),
}

impl HostBody {
    pub(super) fn whole(json: Bytes) -> Self {
        Self(Kind::Whole(json))
    }

    pub(super) fn events(
        first: impl IntoIterator<Item = Result<Bytes, LinkError>>,
        source: Option<(Source, Usage)>,
    ) -> Self {
        let (source, usage) = source.unzip();
        Self(Kind::Events(Box::new(Events {
            first: first.into_iter().collect(),
            source,
            usage,
        })))
    }
}

impl Events {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, LinkError>>> {
        if let Some(first) = self.first.pop_front() {
            return Poll::Ready(Some(first));
        }
        let item = match &mut self.source {
            None => None,
            Some(Source::Exchange(exchange)) => ready!(Pin::new(exchange).poll_next(cx)),
            Some(Source::Unsolicited(unsolicited)) => {
                ready!(Pin::new(unsolicited).poll_next(cx)).map(Ok)
            }
        };
        if !matches!(item, Some(Ok(_))) {
            self.source = None;
            self.usage = None;
        }
        Poll::Ready(item)
    }
}

impl Body for HostBody {
    type Data = Bytes;
    type Error = HostError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HostError>>> {
        let events = match &mut self.0 {
            Kind::Whole(json) if json.is_empty() => return Poll::Ready(None),
            Kind::Whole(json) => {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(json)))));
            }
            Kind::Events(events) => events,
        };
        Poll::Ready(match ready!(events.poll_message(cx)) {
            Some(Ok(message)) => Some(Ok(Frame::data(sse::message(&message)))),
            // The client took the request back, and expects no response.
            Some(Err(LinkError::Cancelled)) | None => None,
            Some(Err(error)) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(json) => json.is_empty(),
            Kind::Events(events) => events.first.is_empty() && events.source.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(json) => SizeHint::with_exact(json.len() as u64),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for HostBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.0 {
            Kind::Whole(_) => "whole",
            Kind::Events(_) => "events",
        };
        f.debug_struct("HostBody").field("form", &form).finish()
    }
}
