//! The atomics of the words that `tests/loom.rs` checks with loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
