//! One HTTP exchange with one instance.
//!
//! [`Client`] is the innermost service of every stack that speaks HTTP: a pooled connection, the
//! request, the response. It adds three things to the client of [hyper-util] beneath it:
//!
//! * **It is honest about what was sent.** [`ClientError`] implements [`Fault`]: an error is
//!   [`NotSent`](bartizan_classify::FaultKind::NotSent) only where it is certain that no byte of
//!   the request left, so that a retry layer may repeat even a request that must not run twice.
//! * **It is bounded.** Connecting (name, TCP and TLS together) takes at most
//!   [`connect_timeout`](ClientConfig::connect_timeout); idle connections are limited in number
//!   and age; [`Buffered`] collects no more than
//!   [`max_response_bytes`](ClientConfig::max_response_bytes).
//! * **It does only what it is told.** No redirect is followed, no proxy is read from the
//!   environment, no certificate error can be ignored.
//!
//! ```
//! use bartizan_client::{Client, ClientConfig};
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
//! # .block_on(async {
//! # let upstream = bartizan_testkit::Upstream::start().await;
//! # let url = upstream.url();
//! let client = Client::new(&ClientConfig::default()).unwrap().buffered();
//! let request = Request::post(url).body(Full::new(Bytes::from("{}"))).unwrap();
//! let response = client.send(request).await.unwrap();
//! assert_eq!(response.body(), "{}");
//! # });
//! ```
//!
//! # When not to use it
//!
//! It does not limit how long an answer may take, and it never repeats a request that was
//! written: those are the timeout layer's and the retry layer's decisions. The former is not
//! optional, as [`Client`] explains. It sends bodies that
//! are complete in memory; a client that streams uploads should use hyper-util directly.
//!
//! [`Fault`]: bartizan_classify::Fault
//! [hyper-util]: https://docs.rs/hyper-util

mod body;
mod buffered;
mod client;
mod config;
mod connect_error;
mod connector;
mod error;
mod future;
mod pem;
mod reason;
mod tls;
mod transport;

pub use body::ResponseBody;
pub use buffered::{Buffered, BufferedFuture};
pub use client::Client;
pub use config::{ClientCertificate, ClientConfig, TlsRoots};
pub use connect_error::{ConnectError, ConnectStage};
pub use error::{ClientError, InvalidClient};
pub use future::ResponseFuture;
pub use pem::Pem;
