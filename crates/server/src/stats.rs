use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many connections there are and were.
#[derive(Debug, Default)]
pub struct Stats {
    current: AtomicUsize,
    total: AtomicU64,
    cut: AtomicU64,
}

impl Stats {
    /// Connections that are open now, those in a TLS handshake among them.
    #[must_use]
    pub fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Connections cut because the client was too slow with a handshake or a header, or took nothing
    /// of an answer.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    pub(crate) fn opened(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.current.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn cut_one(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }
}
