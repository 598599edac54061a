use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;

/// How much a counter has of a total that is counted elsewhere.
///
/// What counts the total may be replaced by something that begins at zero, and the counter goes
/// on: each has a reading of its own, and adds what it came to.
#[derive(Debug, Default)]
pub struct Reading(AtomicU64);

impl Reading {
    /// Adds to `counter` what `total` has grown by since it was read last.
    pub fn take(&self, total: u64, counter: &Counter) {
        // Two that read at once may come in any order; together they add the larger total.
        let before = self.0.fetch_max(total, Ordering::Relaxed);
        counter.increment(total.saturating_sub(before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn totals_that_begin_anew_are_added() {
        let metrics = Metrics::new();
        let service = metrics.service("s");
        let retries = &service.retries;
        let (first, second) = (Reading::default(), Reading::default());
        for total in [3, 5, 5, 4] {
            first.take(total, retries);
        }
        second.take(2, retries);
        first.take(6, retries);
        let page = metrics.render();
        assert!(
            page.contains(r#"bartizan_retries_total{service="s"} 8"#),
            "{page}"
        );
    }
}
