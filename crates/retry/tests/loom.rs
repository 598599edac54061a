//! The budget's two words under every interleaving of two threads.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[allow(dead_code, reason = "each model uses a part of it")]
#[path = "../src/budget/tokens.rs"]
mod tokens;

use loom::{sync::Arc, thread};

use tokens::{Balance, Reserve};

#[test]
fn no_deposit_and_no_withdrawal_is_lost() {
    loom::model(|| {
        let balance = Arc::new(Balance::new());
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
        let balance = Arc::new(Balance::new());
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
        let balance = Arc::new(Balance::new());
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
