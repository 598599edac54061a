//! Server-sent events, read incrementally and written.
