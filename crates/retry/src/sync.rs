//! The atomics of the budget, in one place so that `tests/loom.rs` can put loom's here.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
