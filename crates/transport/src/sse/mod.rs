//! The client side of the HTTP+SSE transport of 2024-11-05.
//!
//! The server's messages come as one endless event stream, whose first event names the
//! `endpoint` to which the client's messages are posted, one request each. [`connect`] opens the
//! stream and makes a [`Wire`](crate::link::Wire) of both.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{HeaderMap, Request, Response, Uri};
//! # use http_body_util::Full;
//! use bartizan_transport::{link::{Link, LinkLimits}, sse::{self, SseError, SseLimits}};
//!
//! # async fn example<S>(client: S) -> Result<(), SseError<S::Error>>
//! # where
//! #     S: tower_service::Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>>,
//! #     S: Clone + Send + 'static,
//! #     S::Future: Send + 'static,
//! #     S::Error: bartizan_classify::Fault + std::fmt::Display + Send + 'static,
//! # {
//! // `client` is any service that takes HTTP requests.
//! let url = Uri::from_static("http://127.0.0.1:3001/sse");
//! let wire = sse::connect(client, &url, HeaderMap::new(), SseLimits::default()).await?;
//! let link = Link::new(wire, LinkLimits::default());
//! # drop(link);
//! # Ok(())
//! # }
//! ```
//!
//! # Where messages go
//!
//! The server chooses the endpoint, so a hostile one could have this client send its messages,
//! credentials included, to any host that it can reach. Only an endpoint of the stream's own
//! origin is accepted: same scheme, host and port, and no user name.
//!
//! # What fails what
//!
//! A request that is not accepted fails alone, as does one whose answer is above the limit and has
//! its id first or last (or is the only one under way): an error with its id arrives in its place.
//! If the server has forgotten the session (404), or the stream ends or breaks, the wire ends. It
//! is not opened again: requests under way are lost, and whether to repeat them is not for a
//! transport to say.
//!
//! The stream may be idle for any length of time. Some servers accept a request only when they
//! have answered it, so that takes as long as it takes, too.
//!
//! # When not to use it
//!
//! Where the server speaks a later revision: Streamable HTTP took this transport's place in
//! 2025-03-26.

mod carrier;
mod connect;
mod endpoint;
mod error;
mod limits;
mod post;

pub use connect::connect;
pub use error::SseError;
pub use limits::SseLimits;
