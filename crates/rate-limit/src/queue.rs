use std::{collections::BTreeMap, task::Waker};

use crate::Priority;

/// The calls that wait for a token, in the order in which they will get one.
///
/// Only the head takes tokens. The others sleep until they are the head, are shed, or have
/// waited long enough.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// One lane a priority, lowest first; in each the oldest ticket first. A call that has not
    /// been polled yet has no waker.
    lanes: [BTreeMap<u64, Option<Waker>>; Priority::COUNT],
    tickets: u64,
}

/// A place in a [`Queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) priority: Priority,
    ticket: u64,
}

/// How things stand for a call in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The next token is its own.
    Head,
    /// Somebody goes first.
    Behind,
    /// It lost its place to a call of higher priority.
    Shed,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(BTreeMap::len).sum()
    }

    /// How many calls a newcomer of this priority would have before it.
    pub(crate) fn ahead_of(&self, priority: Priority) -> usize {
        self.lanes[priority.index()..]
            .iter()
            .map(BTreeMap::len)
            .sum()
    }

    /// Adds a call behind all others of its priority.
    pub(crate) fn join(&mut self, priority: Priority) -> Place {
        let ticket = self.tickets;
        self.tickets += 1;
        self.lanes[priority.index()].insert(ticket, None);
        Place { priority, ticket }
    }

    /// Removes the newest call of the lowest priority, if that is below `priority`.
    ///
    /// The waker of the removed call is returned, if it had one.
    pub(crate) fn shed_below(&mut self, priority: Priority) -> Option<Option<Waker>> {
        self.lanes[..priority.index()]
            .iter_mut()
            .find_map(BTreeMap::pop_last)
            .map(|(_, waker)| waker)
    }

    pub(crate) fn standing(&self, place: Place) -> Standing {
        if !self.lanes[place.priority.index()].contains_key(&place.ticket) {
            Standing::Shed
        } else if self.is_head(place) {
            Standing::Head
        } else {
            Standing::Behind
        }
    }

    /// Has `waker` woken when the standing of this place changes.
    pub(crate) fn watch(&mut self, place: Place, waker: &Waker) {
        if let Some(slot) = self.lanes[place.priority.index()].get_mut(&place.ticket) {
            match slot {
                Some(known) => known.clone_from(waker),
                None => *slot = Some(waker.clone()),
            }
        }
    }

    /// Gives up a place, if it is still held, and returns the waker of the new head if that
    /// made one.
    pub(crate) fn leave(&mut self, place: Place) -> Option<Waker> {
        let was_head = self.is_head(place);
        self.lanes[place.priority.index()].remove(&place.ticket)?;
        let next = self.lanes.iter_mut().rev().find_map(BTreeMap::first_entry);
        next.filter(|_| was_head)?.get_mut().take()
    }

    fn is_head(&self, place: Place) -> bool {
        self.lanes[place.priority.index() + 1..]
            .iter()
            .all(BTreeMap::is_empty)
            && self.lanes[place.priority.index()]
                .first_key_value()
                .is_some_and(|(ticket, _)| *ticket == place.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_goes_before_low_and_old_before_new() {
        let mut queue = Queue::default();
        let low = queue.join(Priority::Low);
        let first = queue.join(Priority::Normal);
        let second = queue.join(Priority::Normal);
        let high = queue.join(Priority::High);
        assert_eq!(queue.ahead_of(Priority::Low), 4);
        assert_eq!(queue.ahead_of(Priority::Normal), 3);
        assert_eq!(queue.ahead_of(Priority::High), 1);
        for place in [high, first, second, low] {
            assert_eq!(queue.standing(place), Standing::Head);
            queue.leave(place);
            assert_eq!(queue.standing(place), Standing::Shed);
        }
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn shedding_takes_the_newest_of_the_lowest_below() {
        let mut queue = Queue::default();
        let old = queue.join(Priority::Normal);
        let new = queue.join(Priority::Normal);
        assert!(queue.shed_below(Priority::Normal).is_none());
        assert!(queue.shed_below(Priority::High).is_some());
        assert_eq!(queue.standing(new), Standing::Shed);
        assert_eq!(queue.standing(old), Standing::Head);
        let low = queue.join(Priority::Low);
        assert!(queue.shed_below(Priority::High).is_some());
        assert_eq!(queue.standing(low), Standing::Shed);
        assert_eq!(queue.standing(old), Standing::Head);
    }

    #[test]
    fn only_a_leaving_head_wakes_and_only_the_next() {
        let mut queue = Queue::default();
        let [head, next, last] = [(); 3].map(|()| queue.join(Priority::Normal));
        for place in [head, next, last] {
            queue.watch(place, Waker::noop());
        }
        assert!(queue.leave(last).is_none());
        assert!(queue.leave(last).is_none());
        assert!(queue.leave(head).is_some());
        assert!(queue.leave(next).is_none());
    }
}
