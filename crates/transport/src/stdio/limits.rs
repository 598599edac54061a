use std::time::Duration;

/// What one child may take: memory, and time to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message a child may send, in bytes. A longer one is left out, which is an error,
    /// and the next one comes. Default: 4 MiB.
    pub max_message_bytes: usize,
    /// Messages that may wait for a child to read them; at least one. Default: 64.
    pub queue: u32,
    /// Bytes that may wait for a child to read them; a larger message waits alone. A message
    /// counts at least as one part in [`queue`](Limits::queue). Default: 8 MiB.
    pub queue_bytes: u32,
    /// Lines kept of the end of the child's standard error. Default: 50.
    pub stderr_lines: usize,
    /// Bytes kept of the end of the child's standard error. Default: 16 KiB.
    pub stderr_bytes: usize,
    /// From closing the child's input to SIGTERM. Default: 2 s, as the official Python SDK waits.
    pub stop_grace: Duration,
    /// From SIGTERM to SIGKILL. Default: 3 s.
    pub term_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            queue: 64,
            queue_bytes: 8 << 20,
            stderr_lines: 50,
            stderr_bytes: 16 << 10,
            stop_grace: Duration::from_secs(2),
            term_grace: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// What all waiting messages together may weigh.
    pub(super) fn budget(&self) -> u32 {
        self.queue_bytes.max(self.queue).max(1)
    }

    /// What one message of `length` bytes weighs: its bytes, but so much that there is only room
    /// for [`queue`](Limits::queue) messages, and so little that there is room for one.
    pub(super) fn weight(&self, length: usize) -> u32 {
        let share = self.budget().div_ceil(self.queue.max(1));
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        length.max(share).min(self.budget())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::Limits;

    proptest! {
        #[test]
        fn both_bounds_of_the_queue_hold(
            queue in any::<u32>(),
            queue_bytes in any::<u32>(),
            length in any::<usize>(),
        ) {
            let limits = Limits { queue, queue_bytes, ..Limits::default() };
            let (budget, weight) = (limits.budget(), limits.weight(length));
            prop_assert!(weight >= 1 && weight <= budget);
            prop_assert!(budget / weight <= queue.max(1));
            prop_assert!(weight == budget || weight as usize >= length);
        }
    }
}
