//! The atomics of `word.rs`, `window.rs` and `stripes.rs`, which tests replace by loom's and by counting ones.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};
