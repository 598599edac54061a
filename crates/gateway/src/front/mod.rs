//! The front doors: one module for each dialect. A front door reads a request, hands on a
//! call, and renders the answer and the errors in its own words; it decides nothing.

pub(crate) mod mcp;
pub(crate) mod probes;
pub(crate) mod request;
