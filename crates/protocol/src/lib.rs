//! MCP messages: read in one borrowing pass, edited without touching the rest.

pub mod edit;
pub mod envelope;
pub mod error;
pub mod headers;
pub mod lines;
pub mod method;
pub mod name;
mod scan;
pub mod sse;
mod syntax_error;
pub mod version;

pub use edit::{Edit, EditError};
pub use envelope::{Batch, Envelope, Id, InvalidEnvelope, InvalidEnvelopeReason, Kind, is_batch};
pub use error::ErrorMessage;
pub use headers::{
    Accepted, HeaderMismatch, HeaderMismatchReason, InvalidHeader, InvalidParamHeader, Param,
};
pub use name::{InvalidName, Namespace};
pub use syntax_error::{SyntaxError, SyntaxErrorReason};
pub use version::{Era, Version};
