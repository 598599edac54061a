//! Fronts for clients that do not speak Streamable HTTP, in front of a service that does.
//!
//! Desktop programs write lines to a child process; clients of 2024-11-05 hold one event stream
//! and post beside it. Both are one thing: messages come in one by one, and messages go out one by
//! one. [`relay`] makes HTTP requests of the former and the latter of their answers, in process,
//! so that a service need speak one transport only. [`serve`] is the relay between a pair of
//! pipes; the event stream is for an HTTP server to write.
//!
//! What the relay knows so that neither client nor service must:
//!
//! | of | what |
//! |---|---|
//! | sessions | the id that `initialize` brings goes with what follows; one that is lost is begun again, once, and what was not done is repeated |
//! | order | nothing overtakes `initialize` and `notifications/initialized`; requests do not wait for each other |
//! | unasked messages | the `GET` stream is opened, kept open, and resumed |
//! | 2026-07-28 | a message that says so in its `_meta` stands alone, and headers say what it says, arguments of tools included; unless the [`Target`] is older |
//! | cancelling | `notifications/cancelled` is sent in a session, and hangs up without one |
//! | failing | every request is answered exactly once, unless it is cancelled or the client goes |
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bartizan_transport::front::{self, FrontLimits};
//! use bytes::Bytes;
//! use http::{Request, Response, Uri};
//! use http_body_util::Full;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let pong = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
//! let service = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(pong)))
//! });
//!
//! let input = &br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#[..];
//! let mut output = Vec::new();
//! let path = Uri::from_static("/mcp");
//! let limits = FrontLimits::default();
//! front::serve(service, path, input, &mut output, limits, std::future::pending()).await?;
//! assert_eq!(output, format!("{pong}\n").as_bytes());
//! # Ok::<(), std::io::Error>(())
//! # }).unwrap();
//! ```
//!
//! # When not to use it
//!
//! For a client that can speak Streamable HTTP: every message costs it a hop more. And to reach a
//! server that speaks one of these transports: that is what [`stdio`](crate::stdio) and
//! [`sse`](crate::sse) are for.

mod again;
mod call;
mod courier;
mod exchange;
mod limits;
mod messages;
mod news;
mod params;
mod relay;
mod session;
mod stdio;
mod target;
mod upstream;

pub use limits::FrontLimits;
pub use relay::{End, relay};
pub use stdio::serve;
pub use target::Target;
