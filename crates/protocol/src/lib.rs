//! MCP messages: read in one borrowing pass, edited without touching the rest.

pub mod lines;
pub mod sse;
