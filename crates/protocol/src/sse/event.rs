use std::time::Duration;

use bytes::Bytes;

/// One event of a stream: a block of lines that ends with an empty one.
///
/// Text is kept as the bytes that arrived. Whether they are UTF-8 is for the reader of the data
/// to find out, which for JSON happens anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The type of the event; none stands for `message`.
    pub event: Option<Bytes>,
    /// The data, its lines joined by `\n`.
    pub data: Bytes,
    /// The id that this event itself set; empty if it took the last id back. A later event
    /// without an id of its own keeps the last one that was set.
    pub id: Option<Bytes>,
    /// How long the server asks clients to wait before they reconnect.
    pub retry: Option<Duration>,
    /// Whether there was a `data` line at all. An event without one is not for the reader of
    /// messages, but its `id` and `retry` count.
    pub has_data: bool,
}

impl Event {
    /// An event of the default type.
    pub fn message(data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            has_data: true,
            ..Self::default()
        }
    }

    /// The same event with a type.
    #[must_use]
    pub fn with_event(mut self, event: impl Into<Bytes>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// The same event with an id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Bytes>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same event with a delay for reconnecting, which is sent in whole milliseconds.
    #[must_use]
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The type of the event, `message` unless it says otherwise.
    pub fn kind(&self) -> &[u8] {
        self.event.as_deref().unwrap_or(b"message")
    }
}
