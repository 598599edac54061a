//! The atomics of `usage.rs`, in one place so that `tests/sessions_loom.rs` can put loom's in theirs.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
