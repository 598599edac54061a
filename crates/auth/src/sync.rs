//! The atomics of this crate. `tests/loom.rs` puts loom's in their place.

pub(crate) use std::sync::atomic;
