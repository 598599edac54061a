//! Error codes.

/// The message is not JSON.
pub const PARSE_ERROR: i64 = -32700;

/// The message is JSON, but no JSON-RPC message.
pub const INVALID_REQUEST: i64 = -32600;
