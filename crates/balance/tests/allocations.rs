//! A pick, its outcome and its end allocate nothing.

use bartizan_balance::{Balancer, Strategy, Tried};
use bartizan_classify::Outcome;
use bartizan_clock::Clock;
use bartizan_discovery::Instance;
use bartizan_health::Health;

#[test]
fn nothing_is_allocated_per_call() {
    let instances: Vec<_> = (0..5)
        .map(|n| Instance::new(format!("http://i{n}")).unwrap())
        .collect();
    for strategy in Strategy::ALL {
        let balancer = Balancer::builder(strategy, Clock::default())
            .build(&instances, |_| ())
            .unwrap();
        balancer.set_health("http://i1", Health::Unhealthy);
        let call = |n: u64| {
            let mut tried = Tried::default();
            tried.insert(&balancer.pick(Some(n)).unwrap());
            let mut picked = balancer.pick_excluding(Some(n), &tried).unwrap();
            picked.record(match n % 4 {
                0 => Outcome::FAILURE,
                1 => Outcome::Limited { retry_after: None },
                _ => Outcome::Success,
            });
            drop(picked.into_busy());
        };
        // The first pick of a thread sets up arc-swap's and fastrand's thread locals.
        call(2);
        let measured = allocation_counter::measure(|| (0..1_000).for_each(call));
        assert_eq!(measured.count_total, 0, "{strategy}");
    }
}
