//! MCP messages: read in one borrowing pass, edited without touching the rest.
//!
//! A gateway looks at a few members of a message, changes fewer, and understands almost none of the
//! rest: vendors and revisions to come put there what they like. So messages stay the bytes they
//! arrived as. [`Envelope`] notes where the interesting members stand, [`Edit`] replaces single
//! values, and nothing is ever decoded and encoded again. What is unknown survives, and so do
//! numbers of thirty digits, `1.10`, and the order of members.
//!
//! | module | idea |
//! |---|---|
//! | [`envelope`] | what a message is, and what policy and routing must know of it |
//! | [`edit`] | finding, setting and removing values in place |
//! | [`version`], [`method`], [`error`] | what revisions, methods and error codes mean |
//! | [`headers`] | the HTTP headers of 2026-07-28, which must say what the body says |
//! | [`name`] | names of tools, and how many services share one name space |
//! | [`sse`], [`lines`] | framing |
//!
//! ```
//! use bartizan_protocol::{Edit, Envelope, Namespace, edit};
//!
//! let body = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call",
//!     "params":{"name":"git__log","arguments":{"since":1.10},"x-vendor":true}}"#;
//!
//! let envelope = Envelope::read(body)?;
//! assert_eq!(envelope.method(), Some("tools/call"));
//! let joined = envelope.subject().unwrap();
//! let (service, name) = Namespace::default().split(&joined).unwrap();
//! assert_eq!((service, name), ("git", "log"));
//!
//! let mut edit = Edit::new(body);
//! edit.set(&["id"], r#""gateway-1""#).set(&["params", "name"], &edit::string(name));
//! assert_eq!(
//!     edit.finish()?,
//!     &br#"{"jsonrpc":"2.0","id":"gateway-1","method":"tools/call",
//!     "params":{"name":"log","arguments":{"since":1.10},"x-vendor":true}}"#[..]
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! Nothing here reads from anywhere: the size of a message is bounded by whoever read it. Nesting
//! is bounded by [`SyntaxError::MAX_DEPTH`], batches by [`Batch::DEFAULT_LIMIT`], and what decoders
//! keep by the limit they are made with.
//!
//! # When not to use it
//!
//! To write a server or a client of your own. There messages are made and understood as a whole,
//! and typed structures as those of the official SDKs are the better tool. To reformat JSON or to
//! look at every value of it, parse it with serde_json.

mod byte_order_mark;
pub mod edit;
pub mod envelope;
pub mod error;
pub mod headers;
pub mod lines;
pub mod method;
pub mod name;
mod scan;
mod skipped;
pub mod sse;
mod syntax_error;
pub mod version;

pub use byte_order_mark::unmarked;
pub use edit::{Edit, EditError};
pub use envelope::{Batch, Envelope, Id, InvalidEnvelope, InvalidEnvelopeReason, Kind, is_batch};
pub use error::ErrorMessage;
pub use headers::{
    Accepted, HeaderMismatch, HeaderMismatchReason, InvalidHeader, InvalidParamHeader, Param,
};
pub use name::{InvalidName, Namespace};
pub use syntax_error::{SyntaxError, SyntaxErrorReason};
pub use version::{Era, Version};
