//! What threads have paid in. `tests/loom.rs` includes this file with loom's atomics.

use crate::{
    stripe::{self, STRIPES},
    sync::{AtomicU64, Ordering},
};

use super::tokens::Balance;

/// A [`Balance`] into which threads pay without waiting for one another.
///
/// While it fills, every call pays in, and threads that share a budget would hand its cache
/// line to one another each time. So each thread puts its deposits aside, where no other
/// writes, and books them when there is enough together; a withdrawal books those of all threads
/// first. Nothing is lost and nothing counts twice, and the cap bounds what is booked, so nobody
/// can tell the difference, but that a withdrawal may be refused for what another is about to
/// book.
#[derive(Default)]
pub(crate) struct Account {
    balance: Balance,
    aside: [Aside; STRIPES],
}

/// Two cache lines, which processors fetch in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Aside(AtomicU64);

impl Account {
    /// Adds `amount`, or as much of it as `cap` leaves room for; booked as soon as the thread has
    /// put `batch` aside.
    ///
    /// A full balance is only read, so that threads share its cache line while nothing fails.
    #[inline]
    pub(crate) fn deposit(&self, amount: u64, cap: u64, batch: u64) {
        if self.balance.load() >= cap || amount == 0 {
            return;
        }
        let aside = &self.aside[stripe::own()];
        let before = aside.0.fetch_add(amount, Ordering::Relaxed);
        if before + amount >= batch {
            self.book(aside, cap);
        }
    }

    /// Takes `amount`, all or nothing.
    pub(crate) fn withdraw(&self, amount: u64, cap: u64) -> bool {
        self.book_all(cap);
        self.balance.withdraw(amount)
    }

    /// Adds `amount` at once.
    pub(crate) fn refund(&self, amount: u64, cap: u64) {
        self.balance.deposit(amount, cap);
    }

    /// What a withdrawal could take, which is `cap` at most.
    pub(crate) fn load(&self, cap: u64) -> u64 {
        let aside = |aside: &Aside| aside.0.load(Ordering::Relaxed);
        let sum: u64 = self.aside.iter().map(aside).sum();
        (self.balance.load() + sum).min(cap)
    }

    #[cold]
    fn book_all(&self, cap: u64) {
        for aside in &self.aside {
            if aside.0.load(Ordering::Relaxed) != 0 {
                self.book(aside, cap);
            }
        }
    }

    fn book(&self, aside: &Aside, cap: u64) {
        let amount = aside.0.swap(0, Ordering::Relaxed);
        self.balance.deposit(amount, cap);
    }
}
