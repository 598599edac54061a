use std::{collections::BinaryHeap, time::Duration};

use bartizan_clock::Instant;

use super::SessionId;

/// The sessions that are next to make room, those that were idle for longest.
///
/// To find the longest idle one means to look at all, which is too dear for each session that
/// begins in a full table. So one look finds many. They stay the right ones: whoever is used
/// meanwhile has since been idle for a shorter time than those that were not, and so has everybody
/// who was not among them.
#[derive(Default)]
pub(super) struct Victims {
    /// The longest idle last.
    queue: Vec<(Instant, SessionId)>,
    /// Not before, as the last look found nobody.
    next_look: Option<Instant>,
}

/// How long a table in which all sessions are in use is not looked through again.
const PAUSE: Duration = Duration::from_millis(100);

impl Victims {
    pub(super) fn pop(&mut self) -> Option<(Instant, SessionId)> {
        self.queue.pop()
    }

    /// Looks for up to `count` more, with a function that calls back with each idle session;
    /// says whether there are any.
    pub(super) fn look(
        &mut self,
        now: Instant,
        count: usize,
        each_idle: impl FnOnce(&mut dyn FnMut(Instant, SessionId)),
    ) -> bool {
        if self.next_look.is_some_and(|next| now < next) {
            return false;
        }
        let mut longest = BinaryHeap::with_capacity(count + 1);
        each_idle(&mut |since, id| {
            // The shortest idle of those found is on top, and falls out first.
            if longest.len() < count || longest.peek().is_some_and(|top| (since, id) < *top) {
                longest.push((since, id));
            }
            if longest.len() > count {
                longest.pop();
            }
        });
        self.queue = longest.into_sorted_vec();
        self.queue.reverse();
        self.next_look = self.queue.is_empty().then_some(now + PAUSE);
        !self.queue.is_empty()
    }
}
