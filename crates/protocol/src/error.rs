//! Error codes, the HTTP statuses they travel with, and messages made from scratch.
//!
//! JSON-RPC reserves −32768 to −32000; of these MCP keeps −32020 to −32099 to itself and has
//! retired −32000 to −32019. Codes of our own are therefore positive: the HTTP status that says
//! nearly the same, then two digits. They are seen by clients and documented here:
//!
//! | code | name | a client should |
//! |---|---|---|
//! | 40101 | [`UNAUTHENTICATED`] | present a credential |
//! | 40301 | [`FORBIDDEN`] | not try again |
//! | 41301 | [`TOO_LARGE`] | send less, or ask for less |
//! | 42901 | [`RATE_LIMITED`] | wait for `data.retryAfter` seconds |
//! | 50201 | [`UNREACHABLE`] | try again later |
//! | 50202 | [`CREDENTIAL`] | tell the operator: the gateway's credential failed |
//! | 50203 | [`BAD_ANSWER`] | tell the operator: the service's answer is no MCP |
//! | 50301 | [`CIRCUIT_OPEN`] | wait for `data.retryAfter` seconds |
//! | 50302 | [`OVERLOADED`] | wait for `data.retryAfter` seconds |
//! | 50401 | [`TIMED_OUT`] | assume that the call may have run |
//! | 50101 | [`NOT_BRIDGED`] | not try again: this client and this service cannot do it |
//!
//! ```
//! use bartizan_protocol::error::{self, ErrorMessage};
//!
//! let message = ErrorMessage {
//!     id: Some("7"),
//!     code: error::RATE_LIMITED,
//!     message: "rate limited, retry in 3 s",
//!     data: Some(r#"{"retryAfter":3}"#),
//! };
//! assert_eq!(
//!     message.to_bytes(),
//!     r#"{"jsonrpc":"2.0","id":7,"error":{"code":42901,"message":"rate limited, retry in 3 s","data":{"retryAfter":3}}}"#
//! );
//! ```

mod message;
mod status;

pub use message::{ErrorMessage, notification, request, response};
pub use status::{
    http_status, is_modern_error, is_session_lost, is_session_unknown, names_request,
};

/// The message is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The message is JSON, but no JSON-RPC message.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters are wrong; in 2026-07-28 also an unknown tool or resource.
pub const INVALID_PARAMS: i64 = -32602;
/// The server failed.
pub const INTERNAL: i64 = -32603;
/// There is no such resource; revisions up to 2025-11-25 only.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// A header is missing, malformed or says otherwise than the body.
pub const HEADER_MISMATCH: i64 = -32020;
/// The client did not declare a capability that the answer needs.
pub const MISSING_CAPABILITY: i64 = -32021;
/// The server does not speak that revision.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// The user must visit an address first; revision 2025-11-25.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;
/// What several servers say, besides other things, of a session they do not know.
pub const SESSION_NOT_FOUND: i64 = -32001;
/// What other servers say of a session they do not know.
pub const SESSION_NOT_FOUND_ALTERNATIVE: i64 = -32015;

/// Nobody said who is calling, or the proof was no good.
pub const UNAUTHENTICATED: i64 = 40101;
/// The caller may not do that.
pub const FORBIDDEN: i64 = 40301;
/// The message or its answer is larger than allowed; `data` tells the limit in bytes.
pub const TOO_LARGE: i64 = 41301;
/// The caller, or all callers together, called too often.
pub const RATE_LIMITED: i64 = 42901;
/// The client and the service are of different eras, and this cannot be carried from one to the
/// other.
pub const NOT_BRIDGED: i64 = 50101;
/// The service could not be reached, or broke off.
pub const UNREACHABLE: i64 = 50201;
/// The gateway's own credential for the service could not be had or was refused.
pub const CREDENTIAL: i64 = 50202;
/// The service's answer is no message of the protocol.
pub const BAD_ANSWER: i64 = 50203;
/// The service has failed too often and is left alone for a while.
pub const CIRCUIT_OPEN: i64 = 50301;
/// The gateway has no room for the call, now.
pub const OVERLOADED: i64 = 50302;
/// The service took too long; the call may have run.
pub const TIMED_OUT: i64 = 50401;
