//! One budget under two real threads.

use std::thread;

use bartizan_clock::Clock;
use bartizan_retry::RetryBudget;

#[test]
fn two_threads_get_exactly_what_they_paid_for() {
    const CALLS: u64 = 50_000;
    let budget = RetryBudget::new(0.3, 0, u32::MAX, Clock::default()).unwrap();
    let work = || (0..CALLS).map(|_| retry(&budget)).sum::<u64>();
    let mut retries = thread::scope(|scope| {
        let other = scope.spawn(work);
        work() + other.join().unwrap()
    });
    while budget.withdraw() {
        retries += 1;
    }
    assert_eq!(retries, 2 * CALLS * 3 / 10);
    assert_eq!(budget.balance(), 0.0);
}

#[test]
fn two_threads_never_fill_it_past_its_cap() {
    let budget = RetryBudget::new(0.7, 0, 3, Clock::default()).unwrap();
    let work = || {
        for call in 0..50_000_u32 {
            budget.deposit();
            assert!(budget.balance() <= 3.0);
            if call % 5 == 0 {
                let _ = budget.withdraw();
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}

fn retry(budget: &RetryBudget) -> u64 {
    budget.deposit();
    u64::from(budget.withdraw())
}
