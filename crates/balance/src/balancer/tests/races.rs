use super::*;

fn on_two_threads(work: impl Fn(usize) + Sync) {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                barrier.wait();
                work(thread);
            });
        }
    });
}

#[test]
fn calls_in_flight_return_to_zero() {
    for strategy in Strategy::ALL {
        let list = fleet_of(3);
        let balancer = balancer(strategy, &list);
        on_two_threads(|thread| {
            for n in 0..5_000_usize {
                let mut picked = balancer.pick(Some(n as u64)).unwrap();
                assert!(picked.in_flight() >= 1);
                match n % 7 {
                    0 => picked.record(Outcome::FAILURE),
                    1 => {}
                    _ => picked.record(Outcome::Success),
                }
                if n % 3 == 0 {
                    drop(picked.into_busy());
                }
                if n % 100 == 0 {
                    balancer.update(&list[..=(n / 100 + thread) % 3]);
                }
            }
        });
        balancer.update(&list);
        assert!(balancer.snapshot().iter().all(|e| e.in_flight == 0));
    }
}

#[test]
fn what_is_unusable_is_counted_right_whoever_changes_it() {
    let list = fleet_of(4);
    let balancer = Balancer::builder(Strategy::RoundRobin, Clock::default())
        .outlier(
            OutlierConfig::builder()
                .consecutive_failures(1)
                .base_ejection(Duration::from_nanos(1))
                .build()
                .unwrap(),
        )
        .build(&list, |instance| Arc::clone(instance.id()))
        .unwrap();
    on_two_threads(|thread| {
        for n in 0..5_000 {
            balancer.pick(None).unwrap().record(Outcome::FAILURE);
            let health = [Health::Healthy, Health::Unhealthy][n % 2];
            balancer.set_health(&format!("http://i{thread}"), health);
            if n % 50 == 0 {
                balancer.update(&list[..2 + (n / 50 + thread) % 3]);
            }
        }
    });
    for instance in &list {
        balancer.set_health(instance.id(), Health::Healthy);
    }
    balancer.update(&list);
    while !ejected(&balancer).is_empty() {
        shares(&balancer, 1);
    }
    let shares = shares(&balancer, 400);
    assert!(shares.values().all(|calls| *calls == 100), "{shares:?}");
}

#[test]
fn two_that_fail_at_once_are_not_both_ejected() {
    let outlier = OutlierConfig::builder().consecutive_failures(1).build();
    for _ in 0..2_000 {
        let balancer = Balancer::builder(Strategy::RoundRobin, Clock::default())
            .outlier(outlier.unwrap())
            .build(&fleet_of(2), |instance| Arc::clone(instance.id()))
            .unwrap();
        let failing = [(); 2].map(|()| Mutex::new(balancer.pick(None).unwrap()));
        on_two_threads(|thread| failing[thread].lock().unwrap().record(Outcome::FAILURE));
        assert_eq!(ejected(&balancer).len(), 1);
    }
}

#[test]
fn round_robin_stays_exact_on_two_threads() {
    let balancer = balancer(Strategy::RoundRobin, &fleet_of(4));
    on_two_threads(|_| {
        for _ in 0..10_000 {
            drop(balancer.pick(None).unwrap());
        }
    });
    assert!(balancer.snapshot().iter().all(|e| e.requests == 5_000));
}
