//! Accepts connections for a tower service.
//!
//! [`Server::bind`] takes addresses, a [`ServerConfig`] and perhaps a certificate;
//! [`Bound::serve`] takes any tower service over hyper's requests (an axum `Router` is one) and
//! runs until it is told to stop. Between the two stand the things that a public socket needs:
//!
//! * **A bounded number of connections.** At the bound the server stops accepting; the kernel's
//!   backlog holds the rest.
//! * **Slow and silent clients are cut off**, by one sweep over all connections every second or
//!   so instead of timers that every request would have to set and cancel.
//! * **A client that leaves cancels its exchange**: the service's future is dropped. One that only
//!   closes its sending side is taken for one that leaves, since TCP does not tell them apart until
//!   something is written; it hears what is answered at once.
//! * **A drain that ends.** On shutdown nothing new is accepted, idle connections close at once,
//!   the others after the exchange they are in, and what is left after
//!   [`drain_timeout`](ServerConfig::drain_timeout) is cut and counted.
//! * **TLS** by rustls, with ALPN for HTTP/2, and certificates that can be
//!   [read again](Tls::reload) while it runs.
//!
//! For the front doors there is [`collect`], which reads a request body within a size and a
//! time, and [`RemoteAddr`], which every request bears.
//!
//! ```
//! use bartizan_server::{Server, ServerConfig};
//! use http::{Request, Response};
//! use hyper::body::Incoming;
//! use http_body_util::Full;
//! use bytes::Bytes;
//! use std::convert::Infallible;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
//! # .block_on(async {
//! let service = tower::service_fn(async |_: Request<Incoming>| {
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//! });
//! let bound = Server::bind(&["127.0.0.1:0".parse().unwrap()], &ServerConfig::default(), None)?;
//! println!("listening on {}", bound.local_addr());
//! # let ctrl_c = async {};
//! let drained = bound.serve(service, ctrl_c).await;
//! assert_eq!(drained.aborted, 0);
//! # Ok::<_, bartizan_server::BindError>(()) }).unwrap();
//! ```
//!
//! # When not to use it
//!
//! It speaks HTTP/1.1 and HTTP/2 over TCP: no HTTP/3, no Unix sockets, no WebSocket upgrades. The
//! times and sizes of *exchanges* are for layers; only what happens before a request exists, and
//! after the last response, is this crate's business.

mod accept;
mod activity;
mod bound;
mod collect;
mod config;
mod connection;
mod connections;
mod error;
mod exchange;
mod remote_addr;
mod stats;
mod streams;
mod tls;
mod transport;
mod watch;

pub use bound::{Bound, Drained, Server};
pub use collect::{Collect, CollectError, collect};
pub use config::ServerConfig;
pub use error::{BindError, InvalidServer, InvalidTls};
pub use remote_addr::RemoteAddr;
pub use stats::Stats;
pub use tls::Tls;
