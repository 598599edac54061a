use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{RetryBudget, Shared};

/// The way back from a call in flight to the budget it came in by, for the price of two words.
///
/// Every call would need a counted reference for the few that retry, and counting is what two
/// threads pay for: 10 ns a call alone and 140 ns together, against one to deposit. So a call
/// takes this ticket instead, and asks for the reference when it needs it.
///
/// A ticket does not keep its budget alive. The calls that outlive the last service with
/// their budget are those in flight when a configuration is replaced; they are few, no more will
/// come, and their number of attempts is bounded without it.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    slot: &'static Slot,
    generation: u64,
}

/// Where a budget is found. Never freed, so that tickets need not be counted, but used again by
/// a later budget, so that there are no more of them than there ever were budgets at one time.
///
/// The lock protects generation and reference together. Only retries take it, for an instant.
struct Slot(Mutex<Occupant>);

struct Occupant {
    /// Tells tickets of the present budget from those of the slot's earlier ones.
    generation: u64,
    budget: Weak<Shared>,
}

/// The slots without a budget. Locked when a budget is made or dropped.
static VACANT: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

impl Ticket {
    /// Finds a slot for a new budget.
    pub(super) fn issue(budget: Weak<Shared>) -> Self {
        let vacant = lock(&VACANT).pop();
        let slot = vacant.unwrap_or_else(|| {
            Box::leak(Box::new(Slot(Mutex::new(Occupant {
                generation: 0,
                budget: Weak::new(),
            }))))
        });
        let mut occupant = lock(&slot.0);
        occupant.budget = budget;
        Self {
            slot,
            generation: occupant.generation,
        }
    }

    /// The budget, if it still exists.
    pub(crate) fn budget(self) -> Option<RetryBudget> {
        let occupant = lock(&self.slot.0);
        let current = occupant.generation == self.generation;
        let budget: Option<Arc<Shared>> = current.then(|| occupant.budget.upgrade()).flatten();
        budget.map(RetryBudget)
    }

    /// Leaves the slot to another budget. Called once, by the budget when it is dropped.
    pub(super) fn vacate(self) {
        {
            let mut occupant = lock(&self.slot.0);
            occupant.generation += 1;
            occupant.budget = Weak::new();
        }
        lock(&VACANT).push(self.slot);
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bartizan_clock::Clock;

    use super::*;

    #[test]
    fn budgets_after_one_another_share_a_slot_and_no_ticket() {
        let mut slots = HashSet::new();
        for _ in 0..1000 {
            let budget = RetryBudget::with_defaults(Clock::default());
            let ticket = budget.ticket();
            assert!(ticket.budget().is_some());
            slots.insert(std::ptr::from_ref(ticket.slot));
            drop(budget);
            let next = RetryBudget::with_defaults(Clock::default());
            assert!(ticket.budget().is_none());
            assert!(next.ticket().budget().is_some());
        }
        // Other tests make some meanwhile.
        assert!(slots.len() < 500, "{}", slots.len());
    }
}
