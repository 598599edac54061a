//! The server that the official MCP conformance suite expects to find.
//!
//! The suite asks for tools, prompts and resources by name, with answers that it knows. No package
//! ships such a server, so this crate is one: everything the suite names, over Streamable HTTP and
//! over standard input and output, for every revision of the protocol or for those before or from
//! 2026-07-28 alone. Run through the gateway it must score what it scores without it.
//!
//! It is built on rmcp, which the gateway itself is not, so that the two cannot share a mistake.
//!
//! ```
//! use bartizan_mcp_fixture::{Eras, HttpFixture};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let fixture = HttpFixture::bind(0, Eras::Both).await?;
//! assert!(fixture.url().ends_with("/mcp"));
//! # Ok(())
//! # }
//! ```
//!
//! # When not to use it
//!
//! Outside tests: its answers are fixed, its state is bounded only by what a test does to it, and
//! the key of its request states is printed in its source.
// The 2026-07-28 revision deprecates sampling, roots and logging; gateways still carry them, and
// so must the server that gateways are tested with.
#![expect(
    deprecated,
    reason = "older revisions have these and the fixture speaks them"
)]

mod asks;
mod catalog;
mod eras;
mod http;
mod prompts;
mod resources;
mod server;
mod stdio;
mod subscribers;
mod tasks;
mod tools;
mod typed;

pub use eras::Eras;
pub use http::HttpFixture;
pub use server::Fixture;
pub use stdio::serve_stdio;
