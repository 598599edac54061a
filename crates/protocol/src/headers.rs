//! The headers that accompany a message over HTTP, and the rules of 2026-07-28 that tie them to
//! the body.
//!
//! ```
//! use bartizan_protocol::{Envelope, headers};
//! use http::HeaderMap;
//!
//! let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"größe","_meta":
//!     {"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
//! let envelope = Envelope::read(body.as_bytes())?;
//!
//! let mut map = HeaderMap::new();
//! map.insert(headers::MCP_PROTOCOL_VERSION, headers::encode("2026-07-28"));
//! map.insert(headers::MCP_METHOD, headers::encode("tools/call"));
//! map.insert(headers::MCP_NAME, headers::encode("größe"));
//! assert_eq!(map[headers::MCP_NAME], "=?base64?Z3LDtsOfZQ==?=");
//! assert!(headers::check(&map, &envelope).is_ok());
//!
//! map.insert(headers::MCP_NAME, headers::encode("other"));
//! assert!(headers::check(&map, &envelope).is_err());
//! # Ok::<(), bartizan_protocol::InvalidEnvelope>(())
//! ```

mod accept;
mod check;
mod media;
mod param;
mod schema;
mod value;

use http::HeaderName;

pub use accept::{Accepted, accepts};
pub use check::{HeaderMismatch, HeaderMismatchReason, check};
pub use media::is_media;
pub use param::{Param, check_params};
pub use schema::InvalidParamHeader;
pub use value::{InvalidHeader, decode, encode};

/// The revision that a message is written in.
pub const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The session of the revisions up to 2025-11-25.
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The method of the message in the body.
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// What the method is applied to: a tool, prompt, resource or task.
pub const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The last event that a client of a legacy stream has seen.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How the names of headers begin that mirror arguments of a tool.
pub const MCP_PARAM_PREFIX: &str = "mcp-param-";
