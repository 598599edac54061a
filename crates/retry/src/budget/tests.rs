use std::time::Duration;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;

/// A budget without a reserve.
fn of_ratio(ratio: f64, cap: u32) -> RetryBudget {
    RetryBudget::new(ratio, 0, cap, Clock::tokio()).unwrap()
}

fn drain(budget: &RetryBudget) -> u32 {
    let mut retries = 0;
    while budget.withdraw() {
        retries += 1;
    }
    retries
}

#[test]
fn every_tenth_is_exact() {
    // tower's budget gives 33 for 0.3, 50 for 0.4 and 100 for 0.6 and 0.8 (tower#857).
    for tenths in 1..=30_u32 {
        let budget = of_ratio(f64::from(tenths) / 10.0, 1_000);
        for _ in 0..100 {
            budget.deposit();
        }
        assert_eq!(drain(&budget), tenths * 10, "{tenths} tenths");
    }
}

#[test]
fn what_was_granted_and_not_sent_may_be_granted_once_more() {
    let budget = of_ratio(1.0, 5);
    for _ in 0..100 {
        budget.deposit();
        assert!(budget.withdraw());
    }
    // A hundred wait to be sent; they give up one by one, and others take their place.
    let mut retries = 0;
    for _ in 0..100 {
        budget.refund();
        retries += drain(&budget);
    }
    assert_eq!(retries, 100);
    assert_eq!(drain(&budget), 0);
}

proptest! {
    #[test]
    fn a_ratio_of_nine_decimals_is_exact(billionths in 0_u64..5_000_000_000, calls in 0_u64..3_000) {
        let budget = of_ratio(billionths as f64 / 1e9, u32::MAX);
        for _ in 0..calls {
            budget.deposit();
        }
        prop_assert_eq!(u64::from(drain(&budget)), billionths * calls / 1_000_000_000);
    }

    #[test]
    fn the_balance_is_that_of_a_bounded_account(
        thousandths in 1_u64..3_000,
        cap in 1_u32..20,
        operations in proptest::collection::vec(0_u8..4, 0..400),
    ) {
        let budget = of_ratio(thousandths as f64 / 1e3, cap);
        let (mut account, full) = (0, u64::from(cap) * 1_000);
        for operation in operations {
            match operation {
                0 | 1 => {
                    budget.deposit();
                    account = full.min(account + thousandths);
                }
                2 => {
                    let covered = account >= 1_000;
                    prop_assert_eq!(budget.withdraw(), covered);
                    account -= u64::from(covered) * 1_000;
                }
                _ => {
                    budget.refund();
                    account = full.min(account + 1_000);
                }
            }
            prop_assert_eq!((budget.balance() * 1e3).round() as u64, account);
            prop_assert!(budget.balance() <= f64::from(cap));
        }
    }

    #[test]
    fn nonsense_never_builds(bits in any::<u64>(), cap in any::<u32>()) {
        let ratio = f64::from_bits(bits);
        let built = RetryBudget::new(ratio, 1, cap, Clock::tokio()).is_ok();
        let sound = (0.0..=1000.0).contains(&ratio) && (cap > 0 || ratio == 0.0);
        prop_assert_eq!(built, sound);
    }
}

#[test]
fn wrong_parameters_are_named() {
    let build = |ratio, cap| RetryBudget::new(ratio, 1, cap, Clock::tokio()).err();
    for ratio in [-0.1, 1000.1, f64::NAN, f64::INFINITY] {
        assert_eq!(build(ratio, 9), Some(InvalidRetry::Ratio), "{ratio}");
    }
    assert_eq!(build(0.1, 0), Some(InvalidRetry::ZeroCap));
    assert_eq!(build(0.0, 0), None);
}

#[tokio::test(start_paused = true)]
async fn the_reserve_refills_with_time_and_does_not_pile_up() {
    let budget = RetryBudget::new(0.0, 10, 0, Clock::tokio()).unwrap();
    assert_eq!(drain(&budget), 10, "a new budget can retry");
    tokio::time::advance(Duration::from_millis(99)).await;
    assert_eq!(drain(&budget), 0);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(drain(&budget), 1);
    tokio::time::advance(Duration::from_millis(250)).await;
    assert_eq!(drain(&budget), 2);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(
        drain(&budget),
        10,
        "one second's worth, however long the quiet"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reserve_that_does_not_divide_a_second_is_not_exceeded() {
    for per_second in [1, 3, 7, 11, 999, u32::MAX] {
        let budget = RetryBudget::new(0.0, per_second, 0, Clock::tokio()).unwrap();
        let expected = per_second.min(20_000);
        let taken = (0..20_000).filter(|_| budget.withdraw()).count();
        assert_eq!(taken, expected as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_in_goes_before_the_reserve() {
    let budget = RetryBudget::new(1.0, 2, 5, Clock::tokio()).unwrap();
    budget.deposit();
    assert!(budget.withdraw());
    assert_eq!(budget.balance(), 0.0);
    assert_eq!(drain(&budget), 2, "the reserve was untouched");
}

#[test]
fn clones_share() {
    let budget = of_ratio(1.0, 5);
    budget.clone().deposit();
    assert_eq!(budget.balance(), 1.0);
}

#[test]
fn a_ticket_leads_back_as_long_as_the_budget_lives_and_never_to_another() {
    let budget = of_ratio(1.0, 5);
    let ticket = budget.ticket();
    ticket.budget().unwrap().deposit();
    assert_eq!(budget.balance(), 1.0);
    drop(budget);
    // Some of these get the slot that has become vacant.
    let later: Vec<_> = (0..100).map(|_| of_ratio(1.0, 5)).collect();
    assert!(ticket.budget().is_none());
    for budget in &later {
        assert!(Arc::ptr_eq(&budget.ticket().budget().unwrap().0, &budget.0));
    }
}
