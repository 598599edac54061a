//! Servers behind other transports, made to look as if they spoke Streamable HTTP.
//!
//! A [`Host`] takes what one would send to the endpoint of a server of Streamable HTTP and gives
//! the answer that one would get, while the server is a child process or speaks HTTP+SSE. Whoever
//! sits above needs to know one transport only.
//!
//! ```
//! use bartizan_clock::Clock;
//! use bartizan_transport::{
//!     host::{Connect, Host, HostLimits},
//!     stdio::{Command, Limits, RestartPolicy},
//! };
//! use bytes::Bytes;
//! use http::{Request, StatusCode};
//! use http_body_util::BodyExt;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
//! # .block_on(async {
//! let server = r#"read line; echo '{"jsonrpc":"2.0","id":1,"result":{}}'; read line"#;
//! let command = Command::new("sh").args(["-c", server]);
//! let connect = Connect::stdio(command, Limits::default(), RestartPolicy::default());
//! let host = Host::new(connect, HostLimits::default(), Clock::default());
//!
//! let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
//! let begun = host.call(Request::post("/").body(Bytes::from(body))?, 0).await?;
//! let session = begun.headers()["mcp-session-id"].clone();
//! assert_eq!(
//!     begun.into_body().collect().await?.to_bytes(),
//!     r#"{"jsonrpc":"2.0","id":1,"result":{}}"#
//! );
//!
//! let end = Request::delete("/").header("mcp-session-id", session).body(Bytes::new())?;
//! assert_eq!(host.call(end, 0).await?.status(), StatusCode::OK);
//! host.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # What connections there are
//!
//! | message | connection |
//! |---|---|
//! | `initialize` | a new one, which belongs to the session that begins with the answer |
//! | with `Mcp-Session-Id` | that of the session; 404 if it has ended, so that the client begins another |
//! | of 2026-07-28 | one for each owner, opened when it is needed |
//!
//! A connection ends when nobody used it for [`HostLimits::idle`], after [`HostLimits::lifetime`],
//! with its session, and with the host. One on which no request ever had a result, such as that
//! to a server of an older revision which was asked for `server/discover`, ends as soon as nobody
//! uses it.
//!
//! # Owners
//!
//! An owner is whoever pays for a connection, as a number: a hash of principal and credential.
//! Connections are never shared between owners, and a session of another does not exist.
//!
//! # Whose questions the server asks
//!
//! A server that is a process, or speaks HTTP+SSE, does not say which request a question of its
//! own is about. It goes to one that is under way, sooner to one without the header [`QUIET`] than to
//! one with it, or to who listens ([`link`](crate::link) has the whole rule).
//!
//! # When not to use it
//!
//! For servers that speak Streamable HTTP themselves, and for a client that has one server: a
//! [`Link`](crate::link::Link) is simpler.

mod answer;
mod body;
mod capacity;
mod connect;
mod connection;
mod error;
#[expect(
    clippy::module_inception,
    reason = "the type gives the module its name"
)]
mod host;
mod keeper;
mod limits;
mod pace;
mod ping;
mod process;
mod session;
mod sessionless;
mod state;
mod stream;
mod table;

use http::HeaderName;

pub use body::HostBody;
pub use capacity::Capacity;
pub use connect::Connect;
pub use error::HostError;
pub use host::Host;
pub use limits::HostLimits;

/// A header for the host alone, which goes no further: the server is not known to ask anything
/// about this request, so its questions belong to others that are under way.
pub const QUIET: HeaderName = HeaderName::from_static("bartizan-quiet");
