//! Connections that carry MCP, whoever is at the other end and whatever revision they speak.

pub mod bridge;
pub mod front;
pub mod host;
pub mod link;
pub mod origin;
mod query;
pub mod seal;
pub mod sessions;
pub mod sse;
pub mod stdio;
pub mod stream;

pub use query::with_query;
