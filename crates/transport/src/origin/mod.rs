//! Protection from pages that make a browser talk to this server.
//!
//! A server on the loopback address is behind no firewall for the pages in its user's browser: a
//! page whose name is made to resolve to `127.0.0.1` (DNS rebinding) talks to it like to its own
//! server. Two headers give it away, which a page cannot change: `Host` still names the page's
//! server, and `Origin` the page. [`OriginCheck`] looks at both, on every request.
//!
//! ```
//! use bartizan_transport::origin::{OriginCheck, Refused};
//! use http::HeaderMap;
//!
//! let check = OriginCheck::new([""; 0], [""; 0], true)?;
//! let mut headers = HeaderMap::new();
//! headers.insert("host", "localhost:8080".parse()?);
//! assert_eq!(check.check(&headers, None), Ok(()));
//!
//! headers.insert("host", "evil.example".parse()?);
//! assert_eq!(check.check(&headers, None), Err(Refused::Host));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When not to use it
//!
//! It is no authentication: programs other than browsers send what they like. And without a list
//! of hosts it cannot protect a server on another address than loopback from rebinding, as there
//! it does not know its own names: give the list.

mod check;
mod error;
mod host;
mod page;

pub use check::OriginCheck;
pub use error::{InvalidOriginCheck, Refused};
