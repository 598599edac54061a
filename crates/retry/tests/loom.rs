//! The words of the budget under every interleaving of two threads.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

/// Two parts, and a thread has the one that its test says.
mod stripe {
    use std::cell::Cell;

    pub(crate) const STRIPES: usize = 2;

    loom::thread_local! {
        pub(crate) static OWN: Cell<usize> = Cell::new(0);
    }

    pub(crate) fn own() -> usize {
        OWN.with(Cell::get)
    }
}

#[allow(dead_code, reason = "each model uses a part of it")]
#[path = "../src/budget/account.rs"]
mod account;
#[allow(dead_code, reason = "each model uses a part of it")]
#[path = "../src/budget/tokens.rs"]
mod tokens;

use loom::{sync::Arc, thread};

use account::Account;
use tokens::{Balance, Reserve};

#[test]
fn no_deposit_and_no_withdrawal_is_lost() {
    loom::model(|| {
        let balance = Arc::new(Balance::default());
        balance.deposit(2, 100);
        let other = {
            let balance = Arc::clone(&balance);
            thread::spawn(move || {
                balance.deposit(3, 100);
                u64::from(balance.withdraw(4))
            })
        };
        balance.deposit(3, 100);
        let withdrawn = u64::from(balance.withdraw(4)) + other.join().unwrap();
        assert_eq!(balance.load(), 8 - 4 * withdrawn);
        // Both deposits are in before the last of the two withdraws.
        assert!(withdrawn >= 1);
    });
}

#[test]
fn the_last_retry_goes_to_one_thread() {
    loom::model(|| {
        let balance = Arc::new(Balance::default());
        balance.deposit(5, 5);
        let other = {
            let balance = Arc::clone(&balance);
            thread::spawn(move || balance.withdraw(5))
        };
        let here = balance.withdraw(5);
        assert!(here ^ other.join().unwrap());
    });
}

#[test]
fn the_cap_holds_when_two_fill_it() {
    loom::model(|| {
        let balance = Arc::new(Balance::default());
        let other = {
            let balance = Arc::clone(&balance);
            thread::spawn(move || balance.deposit(7, 10))
        };
        balance.deposit(7, 10);
        assert!(balance.load() <= 10);
        other.join().unwrap();
        assert_eq!(balance.load(), 10);
    });
}

#[test]
fn a_reserve_of_two_serves_two_of_three() {
    loom::model(|| {
        let reserve = Arc::new(Reserve::new());
        let other = {
            let reserve = Arc::clone(&reserve);
            thread::spawn(move || u32::from(reserve.take(1_000, 10, 20)))
        };
        let here = (0..2).filter(|_| reserve.take(1_000, 10, 20)).count() as u32;
        assert_eq!(here + other.join().unwrap(), 2);
    });
}

#[test]
fn what_two_threads_put_aside_is_neither_lost_nor_counted_twice() {
    loom::model(|| {
        let account = Arc::new(Account::default());
        let other = {
            let account = Arc::clone(&account);
            thread::spawn(move || {
                stripe::OWN.with(|own| own.set(1));
                account.deposit(3, 100, 3);
            })
        };
        account.deposit(3, 100, 9);
        let here = u64::from(account.withdraw(5, 100));
        other.join().unwrap();
        let later = u64::from(account.withdraw(5, 100));
        assert_eq!(here + later, 1);
        assert_eq!(account.load(100), 1);
    });
}

#[test]
fn what_is_put_aside_is_bounded_by_the_cap() {
    loom::model(|| {
        let account = Arc::new(Account::default());
        let other = {
            let account = Arc::clone(&account);
            thread::spawn(move || {
                stripe::OWN.with(|own| own.set(1));
                account.deposit(2, 3, 100);
            })
        };
        account.deposit(2, 3, 100);
        let here = account.withdraw(2, 3);
        assert!(here && account.load(3) <= 2);
        other.join().unwrap();
        // Four were paid in, of which one was lost if they met at the cap.
        assert!((1..=2).contains(&account.load(3)));
    });
}
