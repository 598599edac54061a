//! What goes out as `text/event-stream`, and what keeps any streaming body within its bounds.
//!
//! Programs and proxies between a client and a slow tool close connections on which nothing
//! moves: after a minute without a first byte, or five minutes in between. [`EventStream`] writes
//! messages as server-sent events, and [`KeepAlive`] passes on events that somebody else wrote;
//! both send a comment, which readers ignore, whenever nothing else moved for a while.
//! [`Idle`] ends a body whose sender fell silent, and [`Capped`] one that is too long. They nest:
//!
//! ```
//! use bartizan_clock::Clock;
//! use bartizan_transport::stream::{Capped, Idle, IdleLimits, KeepAlive, KeepAliveInterval};
//! use http_body_util::Empty;
//!
//! # let upstream = Empty::<bytes::Bytes>::new();
//! let clock = Clock::default();
//! let body = Idle::new(upstream, IdleLimits::default(), clock);
//! let body = Capped::new(body, 64 << 20);
//! let body = KeepAlive::new(body, KeepAliveInterval::default(), clock);
//! ```
//!
//! Timers are armed when a body has nothing to give and not before, and no body has a task of its
//! own. Dropping a body drops what it reads from, and with it the exchange behind it.
//!
//! # When not to use it
//!
//! On a body with a content encoding: a comment amid compressed bytes destroys them. And for a
//! limit on all the time that a request takes: that one belongs to the request, as long streams
//! have none.

mod as_event;
mod boundary;
mod capped;
mod event_stream;
mod headers;
mod idle;
mod interval;
mod keep_alive;
mod silence;

pub use as_event::AsEvent;
pub use capped::{Capped, CappedError};
pub use event_stream::EventStream;
pub use headers::set_headers;
pub use idle::{Idle, IdleError, IdleLimits};
pub use interval::{InvalidInterval, KeepAliveInterval};
pub use keep_alive::KeepAlive;

use bytes::Bytes;

/// What is sent when nothing else is.
const COMMENT: Bytes = Bytes::from_static(b": keepalive\n\n");
