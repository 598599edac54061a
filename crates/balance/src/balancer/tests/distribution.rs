use super::*;

#[test]
fn round_robin_is_exact_and_in_order() {
    let balancer = balancer(Strategy::RoundRobin, &fleet_of(3));
    let order: Vec<_> = (0..6)
        .map(|_| balancer.pick(None).unwrap().service().to_string())
        .collect();
    let ids = ["http://i0", "http://i1", "http://i2"];
    assert_eq!(order, [ids, ids].concat());
    assert!(
        shares(&balancer, 9_999)
            .values()
            .all(|calls| *calls == 3_333)
    );
}

#[test]
fn weighted_round_robin_is_exact_and_smooth() {
    let list = instances("http://a;weight=3,http://b");
    let balancer = balancer(Strategy::WeightedRoundRobin, &list);
    let calls: Vec<_> = (0..10_000)
        .map(|_| balancer.pick(None).unwrap().service().to_string())
        .collect();
    let heavy = calls.iter().filter(|id| *id == "http://a").count();
    assert_eq!(heavy, 7_500);
    let runs = calls.chunk_by(|a, b| a == b).map(<[_]>::len);
    assert!(runs.max().unwrap() <= 3);
}

#[tokio::test(start_paused = true)]
async fn all_strategies_spread_idle_calls_evenly() {
    fastrand::seed(7);
    for strategy in Strategy::ALL {
        let balancer = balancer(strategy, &fleet_of(4));
        for (id, calls) in shares(&balancer, 10_000) {
            let share = calls as f64 / 10_000.0;
            assert!((share - 0.25).abs() <= 0.02, "{strategy} {id} {share}");
        }
    }
}

#[test]
fn least_connections_follows_the_load_and_the_weights() {
    let list = instances("http://a;weight=2,http://b");
    let balancer = balancer(Strategy::LeastConnections, &list);
    let held: Vec<_> = (0..300).map(|_| balancer.pick(None).unwrap()).collect();
    let heavy = held.iter().filter(|p| &**p.id() == "http://a").count();
    assert_eq!(heavy, 200);
}

#[test]
fn least_connections_breaks_ties_at_random() {
    fastrand::seed(7);
    let balancer = balancer(Strategy::LeastConnections, &fleet_of(5));
    let busy = balancer.pick(None).unwrap();
    let shares = shares(&balancer, 10_000);
    assert!(!shares.contains_key(&**busy.id()));
    assert!(
        shares.values().all(|calls| calls.abs_diff(2_500) <= 200),
        "{shares:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_choices_avoid_the_busiest() {
    fastrand::seed(7);
    for strategy in [Strategy::P2c, Strategy::P2cPeakEwma] {
        let balancer = balancer(strategy, &fleet_of(3));
        let busy = balancer.pick(None).unwrap();
        assert_eq!(shares(&balancer, 1_000).get(&**busy.id()), None);
    }
}

#[test]
fn two_choices_are_two_where_some_may_not_be_used() {
    fastrand::seed(7);
    let balancer = balancer(Strategy::P2c, &fleet_of(4));
    for id in ["http://i2", "http://i3"] {
        balancer.set_health(id, Health::Unhealthy);
    }
    let mut busy: Vec<_> = (0..40).map(|_| balancer.pick(None).unwrap()).collect();
    busy.retain(|picked| &**picked.id() == "http://i0");
    let calls = shares(&balancer, 1_000)
        .remove("http://i0")
        .unwrap_or_default();
    assert!(calls < 40, "{calls} of 1000 went to the busy one");
}

#[tokio::test(start_paused = true)]
async fn latencies_decide_where_they_are_measured() {
    fastrand::seed(7);
    let balancer = balancer(Strategy::P2cPeakEwma, &fleet_of(2));
    for _ in 0..2_000 {
        let mut picked = balancer.pick(None).unwrap();
        let slow = &**picked.id() == "http://i0";
        tokio::time::advance(Duration::from_millis(if slow { 200 } else { 10 })).await;
        picked.record(Outcome::Success);
    }
    let snapshot = balancer.snapshot();
    assert!(snapshot[0].ewma.unwrap() > snapshot[1].ewma.unwrap());
    assert!(snapshot[0].requests < 300, "{}", snapshot[0].requests);
    assert!(snapshot[0].requests > 0);
}

#[tokio::test(start_paused = true)]
async fn who_refuses_or_is_given_up_counts_as_slow() {
    let outcomes = [
        Some(Outcome::Limited { retry_after: None }),
        Some(Outcome::Failure {
            retry_after: Some(Duration::from_secs(60)),
        }),
        None,
    ];
    for outcome in outcomes {
        let balancer = balancer(Strategy::P2cPeakEwma, &fleet_of(2));
        let mut picked = balancer.pick(None).unwrap();
        let id = Arc::clone(picked.id());
        match outcome {
            Some(outcome) => picked.record(outcome),
            None => tokio::time::advance(Duration::from_secs(9)).await,
        }
        drop(picked);
        assert_eq!(shares(&balancer, 500).get(&*id), None, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn health_scores_send_calls_elsewhere_and_forget() {
    fastrand::seed(7);
    let balancer = balancer(Strategy::HealthBased, &fleet_of(3));
    fail(&balancer, "http://i0", 1);
    assert!(
        shares(&balancer, 300).contains_key("http://i0"),
        "one failure is forgiven"
    );
    let mut held: Vec<_> = (0..30).map(|_| balancer.pick(None).unwrap()).collect();
    held.retain(|picked| &**picked.id() == "http://i0");
    held.iter_mut()
        .take(3)
        .for_each(|picked| picked.record(Outcome::FAILURE));
    drop(held);
    let scores: Vec<_> = balancer.snapshot().iter().map(|e| e.score).collect();
    assert!(scores[0] < 90 && scores[1] == 100, "{scores:?}");
    assert!(!shares(&balancer, 300).contains_key("http://i0"));
    seconds(120).await;
    assert!(shares(&balancer, 300).contains_key("http://i0"));
}

#[test]
fn keys_stick_and_requests_without_spread() {
    fastrand::seed(7);
    let balancer = balancer(Strategy::ConsistentHash, &fleet_of(5));
    for key in 0..100 {
        let first = Arc::clone(balancer.pick(Some(key)).unwrap().id());
        let again = balancer.clone().pick(Some(key)).unwrap();
        assert_eq!(*again.id(), first);
    }
    assert_eq!(shares(&balancer, 1_000).len(), 5);
}

#[test]
fn keys_of_an_unhealthy_owner_move_together_and_come_back() {
    let balancer = balancer(Strategy::ConsistentHash, &fleet_of(5));
    let owners = || -> Vec<_> {
        (0..1_000)
            .map(|key| Arc::clone(balancer.pick(Some(key)).unwrap().id()))
            .collect()
    };
    let before = owners();
    balancer.set_health("http://i2", Health::Unhealthy);
    let during = owners();
    for (before, during) in before.iter().zip(&during) {
        assert_eq!(before == during, &**before != "http://i2");
    }
    balancer.set_health("http://i2", Health::Healthy);
    assert_eq!(owners(), before);
}

proptest! {
    #[test]
    fn weighted_shares_are_exact(weights in proptest::collection::vec(1_u32..20, 1..8)) {
        let list: Vec<_> = fleet_of(weights.len())
            .into_iter()
            .zip(&weights)
            .map(|(instance, weight)| instance.with_weight(*weight).unwrap())
            .collect();
        let balancer = balancer(Strategy::WeightedRoundRobin, &list);
        let total: u32 = weights.iter().sum();
        let shares = shares(&balancer, total as usize * 3);
        for (instance, weight) in list.iter().zip(weights) {
            prop_assert_eq!(shares[&**instance.id()], weight as usize * 3);
        }
    }

    #[test]
    fn nobody_unusable_is_picked_and_nobody_usable_forgotten(
        strategy in 0..Strategy::ALL.len(),
        unhealthy in proptest::collection::vec(any::<bool>(), 1..12),
        key in any::<Option<u64>>(),
    ) {
        let strategy = Strategy::ALL[strategy];
        let balancer = balancer(strategy, &fleet_of(unhealthy.len()));
        let bad: HashSet<_> = (0..unhealthy.len())
            .filter(|n| unhealthy[*n])
            .map(|n| format!("http://i{n}"))
            .collect();
        for id in &bad {
            balancer.set_health(id, Health::Unhealthy);
        }
        let usable = unhealthy.len() - bad.len();
        let picked: HashSet<_> = (0..1_000)
            .map(|_| balancer.pick(key).unwrap().id().to_string())
            .collect();
        if 2 * usable >= unhealthy.len() {
            prop_assert!(picked.is_disjoint(&bad));
        }
        if key.is_none() || strategy != Strategy::ConsistentHash {
            let all = if 2 * usable >= unhealthy.len() { usable } else { unhealthy.len() };
            prop_assert_eq!(picked.len(), all);
        }
    }
}

#[test]
fn the_least_of_some_is_nearly_the_least_of_all() {
    for strategy in [Strategy::LeastConnections, Strategy::HealthBased] {
        let balancer = balancer(strategy, &fleet_of(1_000));
        let calls: Vec<_> = (0..10_000).map(|_| balancer.pick(None).unwrap()).collect();
        let snapshot = balancer.snapshot();
        let most = snapshot.iter().map(|it| it.in_flight).max().unwrap();
        assert!(most <= 14, "{strategy:?}: {most} where the average is 10");
        drop(calls);
        // The only one that may be chosen is seldom among those that are compared.
        let balancer = Balancer::builder(strategy, Clock::default())
            .panic_threshold(0.0)
            .build(&fleet_of(200), |instance| Arc::clone(instance.id()))
            .unwrap();
        for index in 1..200 {
            balancer.set_health(&format!("http://i{index}"), Health::Unhealthy);
        }
        for _ in 0..100 {
            assert_eq!(&**balancer.pick(None).unwrap().id(), "http://i0");
        }
    }
}
