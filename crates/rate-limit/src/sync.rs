//! The atomics, in one place, so that `tests/loom.rs` can put loom's in theirs.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
