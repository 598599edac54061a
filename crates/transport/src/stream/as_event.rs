use bartizan_protocol::sse::{self, Event};
use bytes::Bytes;

/// What an [`EventStream`](super::EventStream) can write.
pub trait AsEvent {
    /// The bytes of the event, with the empty line that ends it.
    fn as_event(&self) -> Bytes;
}

impl AsEvent for Bytes {
    /// An event that carries these bytes, one message, and nothing else.
    fn as_event(&self) -> Bytes {
        sse::message(self)
    }
}

impl AsEvent for Event {
    fn as_event(&self) -> Bytes {
        sse::encode(self)
    }
}
