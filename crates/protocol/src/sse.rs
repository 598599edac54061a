//! Server-sent events: the framing of Streamable HTTP and of the older HTTP+SSE transport.
//!
//! [`Decoder`] reads a stream as it arrives, in the way of the [WHATWG algorithm][whatwg], and
//! hands out data as slices of the chunks it was given. [`encode`], [`message`] and [`comment`]
//! write what it reads.
//!
//! ```
//! use bartizan_protocol::sse::{self, Decoder, Event};
//! use bytes::Bytes;
//!
//! let mut events = Decoder::new(1024);
//! events.push(sse::message(br#"{"jsonrpc":"2.0","method":"ping","id":1}"#));
//! events.push(Bytes::from_static(b": keep-alive\n\nid: 7\nda"));
//! let first = events.next().unwrap()?;
//! assert_eq!(first.data, r#"{"jsonrpc":"2.0","method":"ping","id":1}"#);
//! assert!(events.next().is_none(), "the second event is not complete yet");
//!
//! events.push(Bytes::from_static(b"ta: {}\n\n"));
//! assert_eq!(events.next().unwrap()?, Event::message("{}").with_id("7"));
//! # Ok::<(), sse::TooLarge>(())
//! ```
//!
//! [whatwg]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

mod decoder;
mod encode;
mod error;
mod event;

pub use decoder::Decoder;
pub use encode::{comment, encode, message};
pub use error::TooLarge;
pub use event::Event;
