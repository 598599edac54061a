//! Sessions in memory.

mod id;

pub use id::SessionId;
