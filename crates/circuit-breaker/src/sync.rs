//! The atomics of `word.rs` and `window.rs`, which tests replace by loom's and by counting ones.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
