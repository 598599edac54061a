use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bartizan_clock::Instant;

/// Says how many of a number of parts are due for a look, so that each is looked at once in a while,
/// without anybody whose task it is.
pub(super) struct Pace {
    step_nanos: u64,
    parts: u64,
    due: AtomicU64,
}

impl Pace {
    /// Each of `parts` once in `round`.
    pub(super) fn new(round: Duration, parts: usize, now: Instant) -> Self {
        let parts = parts as u64;
        let round = u64::try_from(round.as_nanos()).unwrap_or(u64::MAX);
        let step_nanos = (round / parts).max(1);
        Self {
            step_nanos,
            parts,
            due: AtomicU64::new(now.as_nanos().saturating_add(step_nanos)),
        }
    }

    /// How many parts the caller should look at now; nobody else is told the same ones.
    pub(super) fn due_parts(&self, now: Instant) -> u64 {
        let now = now.as_nanos();
        let due = self.due.load(Ordering::Relaxed);
        if now < due {
            return 0;
        }
        let next = now.saturating_add(self.step_nanos);
        let claimed = self
            .due
            .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        match claimed {
            Ok(_) => ((now - due) / self.step_nanos + 1).min(self.parts),
            Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_due_at_once_and_each_part_only_once() {
        let pace = Pace::new(Duration::from_nanos(80), 8, Instant::from_nanos(0));
        let due = |now| pace.due_parts(Instant::from_nanos(now));
        assert_eq!([due(0), due(9), due(10), due(10)], [0, 0, 1, 0]);
        assert_eq!([due(45), due(45), due(54), due(55)], [3, 0, 0, 1]);
        assert_eq!(due(1_000_000), 8);
    }
}
