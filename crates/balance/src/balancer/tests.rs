use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_classify::Outcome;
use bartizan_discovery::parse_endpoints;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;

fn instances(text: &str) -> Vec<Instance> {
    parse_endpoints(text).unwrap()
}

fn fleet_of(count: usize) -> Vec<Instance> {
    (0..count)
        .map(|n| Instance::new(format!("http://i{n}")).unwrap())
        .collect()
}

/// A balancer whose services are the ids of their endpoints.
fn balancer(strategy: Strategy, instances: &[Instance]) -> Balancer<Arc<str>> {
    Balancer::builder(strategy, Clock::tokio())
        .build(instances, |instance| Arc::clone(instance.id()))
        .unwrap()
}

fn shares(balancer: &Balancer<Arc<str>>, calls: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..calls {
        let mut picked = balancer.pick(None).unwrap();
        picked.record(Outcome::Success);
        *shares.entry(picked.service().to_string()).or_default() += 1;
    }
    shares
}

fn fail(balancer: &Balancer<Arc<str>>, id: &str, times: usize) {
    let mut failed = 0;
    for _ in 0..100_000 {
        let mut picked = balancer.pick(None).unwrap();
        if &**picked.id() == id {
            picked.record(Outcome::FAILURE);
            failed += 1;
            if failed == times {
                return;
            }
        }
    }
    panic!("{id} was picked only {failed} times");
}

fn ejected(balancer: &Balancer<Arc<str>>) -> Vec<String> {
    let snapshot = balancer.snapshot().into_iter();
    snapshot
        .filter(|endpoint| endpoint.ejected_for.is_some())
        .map(|endpoint| endpoint.id.to_string())
        .collect()
}

async fn seconds(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

mod distribution {
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
}

mod exclusion {
    use super::*;

    #[test]
    fn another_attempt_goes_elsewhere_while_there_is_anywhere() {
        for strategy in Strategy::ALL {
            let balancer = balancer(strategy, &fleet_of(3));
            let mut tried = Tried::default();
            let mut ids = HashSet::new();
            for _ in 0..3 {
                let picked = balancer.pick_excluding(Some(1), &tried).unwrap();
                assert!(!tried.contains(&picked));
                tried.insert(&picked);
                ids.insert(Arc::clone(picked.id()));
            }
            assert_eq!((ids.len(), tried.len()), (3, 3), "{strategy}");
            let again = balancer.pick_excluding(Some(1), &tried).unwrap();
            assert!(tried.contains(&again));
        }
    }

    #[test]
    fn the_last_eight_are_remembered() {
        let balancer = balancer(Strategy::RoundRobin, &fleet_of(10));
        let mut tried = Tried::default();
        let picks: Vec<_> = (0..10).map(|_| balancer.pick(None).unwrap()).collect();
        picks.iter().for_each(|picked| tried.insert(picked));
        let remembered: Vec<_> = picks.iter().map(|picked| tried.contains(picked)).collect();
        assert_eq!(remembered.iter().filter(|yes| **yes).count(), 8);
        assert_eq!(remembered[..2], [false, false]);
    }
}

mod ejection {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_eject_and_time_brings_back() {
        for strategy in [Strategy::RoundRobin, Strategy::Random, Strategy::P2c] {
            let balancer = balancer(strategy, &fleet_of(3));
            fail(&balancer, "http://i1", 4);
            assert!(ejected(&balancer).is_empty());
            fail(&balancer, "http://i1", 1);
            assert_eq!(ejected(&balancer), ["http://i1"]);
            assert!(!shares(&balancer, 300).contains_key("http://i1"));
            seconds(23).await;
            assert!(!shares(&balancer, 300).contains_key("http://i1"));
            seconds(14).await;
            assert!(shares(&balancer, 300).contains_key("http://i1"));
            assert!(ejected(&balancer).is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_calls_of_an_ejected_one_are_shared_fairly() {
        let balancer = balancer(Strategy::RoundRobin, &fleet_of(4));
        fail(&balancer, "http://i1", 5);
        let shares = shares(&balancer, 3_000);
        assert!(shares.values().all(|calls| *calls == 1_000), "{shares:?}");
    }

    #[test]
    fn a_success_ends_the_streak_and_limits_and_cancellations_do_not_extend_it() {
        let balancer = balancer(Strategy::RoundRobin, &fleet_of(2));
        fail(&balancer, "http://i0", 4);
        shares(&balancer, 2);
        fail(&balancer, "http://i0", 4);
        for outcome in [Outcome::Limited { retry_after: None }, Outcome::Ignored] {
            for _ in 0..20 {
                balancer.pick(None).unwrap().record(outcome);
            }
        }
        for _ in 0..20 {
            drop(balancer.pick(None).unwrap());
        }
        assert!(ejected(&balancer).is_empty());
        fail(&balancer, "http://i0", 1);
        assert_eq!(ejected(&balancer), ["http://i0"]);
    }

    #[test]
    fn only_the_first_outcome_of_a_call_counts() {
        let balancer = balancer(Strategy::RoundRobin, &fleet_of(1));
        let mut picked = balancer.pick(None).unwrap();
        picked.record(Outcome::Success);
        for _ in 0..9 {
            picked.record(Outcome::FAILURE);
        }
        assert_eq!(balancer.snapshot()[0].failures, 0);
    }

    #[test]
    fn the_last_one_is_never_ejected() {
        let one = balancer(Strategy::RoundRobin, &fleet_of(1));
        fail(&one, "http://i0", 50);
        assert!(ejected(&one).is_empty());

        let two = balancer(Strategy::RoundRobin, &fleet_of(2));
        for _ in 0..50 {
            two.pick(None).unwrap().record(Outcome::FAILURE);
        }
        assert_eq!(ejected(&two).len(), 1);
        assert_eq!(shares(&two, 10).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn when_healthy_ones_leave_the_ejected_come_back() {
        let list = fleet_of(4);
        let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
            .panic_threshold(0.0)
            .build(&list, |instance| Arc::clone(instance.id()))
            .unwrap();
        fail(&balancer, "http://i0", 5);
        seconds(1).await;
        fail(&balancer, "http://i1", 5);
        assert_eq!(ejected(&balancer).len(), 2);
        balancer.update(&list[..2]);
        assert_eq!(ejected(&balancer).len(), 1);
        balancer.update(&list[1..2]);
        assert!(ejected(&balancer).is_empty());
        assert_eq!(shares(&balancer, 2).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_from_before_the_ejection_do_not_count_after_it() {
        let balancer = balancer(Strategy::RoundRobin, &fleet_of(2));
        let mut old: Vec<_> = (0..20).map(|_| balancer.pick(None).unwrap()).collect();
        old.retain(|picked| &**picked.id() == "http://i0");
        fail(&balancer, "http://i0", 5);
        seconds(60).await;
        shares(&balancer, 2);
        assert!(ejected(&balancer).is_empty());
        old.iter_mut()
            .for_each(|picked| picked.record(Outcome::FAILURE));
        assert!(ejected(&balancer).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn ejections_grow_and_good_behaviour_is_rewarded() {
        let outlier = OutlierConfig::builder().jitter(0.0).build().unwrap();
        let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
            .outlier(outlier)
            .build(&fleet_of(2), |instance| Arc::clone(instance.id()))
            .unwrap();
        let duration = || balancer.snapshot()[0].ejected_for.unwrap().as_secs();
        let mut durations = Vec::new();
        for _ in 0..12 {
            fail(&balancer, "http://i0", 5);
            durations.push(duration());
            seconds(duration()).await;
        }
        let expected = [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300];
        assert_eq!(durations, expected);
        seconds(5 * 30).await;
        fail(&balancer, "http://i0", 5);
        assert_eq!(duration(), 240);
        seconds(3_600).await;
        fail(&balancer, "http://i0", 5);
        assert_eq!(duration(), 30);
    }

    #[test]
    fn it_can_be_turned_off() {
        let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
            .outlier(None)
            .build(&fleet_of(2), |instance| Arc::clone(instance.id()))
            .unwrap();
        fail(&balancer, "http://i0", 100);
        assert!(ejected(&balancer).is_empty());
        assert_eq!(balancer.snapshot()[0].failures, 100);
    }
}

mod standing {
    use super::*;

    #[test]
    fn when_too_few_are_usable_all_are_used() {
        let balancer = balancer(Strategy::RoundRobin, &fleet_of(4));
        let condemn = |n: usize| {
            balancer.set_health(&format!("http://i{n}"), Health::Unhealthy);
            shares(&balancer, 400).len()
        };
        assert_eq!(
            [condemn(0), condemn(1), condemn(2), condemn(3)],
            [3, 2, 4, 4]
        );
        for n in [0, 1] {
            balancer.set_health(&format!("http://i{n}"), Health::Healthy);
        }
        assert_eq!(shares(&balancer, 400).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_panic_nobody_usable_is_an_immediate_error() {
        let balancer = Balancer::builder(Strategy::LeastConnections, Clock::tokio())
            .panic_threshold(0.0)
            .build(&fleet_of(2), |instance| Arc::clone(instance.id()))
            .unwrap();
        balancer.set_health("http://i1", Health::Unhealthy);
        fail(&balancer, "http://i0", 5);
        let error = balancer.pick(None).unwrap_err();
        let wait = error.retry_after.unwrap();
        assert!(wait >= Duration::from_secs(24) && wait <= Duration::from_secs(36));
        tokio::time::advance(wait).await;
        assert_eq!(&**balancer.pick(None).unwrap().id(), "http://i0");
        balancer.set_health("http://i0", Health::Unhealthy);
        assert_eq!(balancer.pick(None).unwrap_err().retry_after, None);
    }

    #[test]
    fn an_empty_set_is_an_immediate_error() {
        for strategy in Strategy::ALL {
            let balancer = balancer(strategy, &[]);
            assert_eq!(balancer.pick(Some(1)).unwrap_err(), NoEndpoints::new(None));
        }
    }

    #[test]
    fn a_panic_threshold_that_is_no_fraction_is_refused() {
        for threshold in [-0.1, 1.1, f64::NAN] {
            let built = Balancer::builder(Strategy::Random, Clock::tokio())
                .panic_threshold(threshold)
                .build(&[], |_| ());
            assert_eq!(built.unwrap_err(), InvalidBalance::PanicThreshold);
        }
    }
}

mod updates {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_stays_keeps_everything() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let list = fleet_of(3);
        let balancer = Balancer::builder(Strategy::P2cPeakEwma, Clock::tokio())
            .build(&list, move |_| count.fetch_add(1, Ordering::SeqCst))
            .unwrap();
        let held = balancer.pick(None).unwrap();
        for endpoint in balancer.snapshot() {
            balancer.set_health(&endpoint.id, Health::Healthy);
        }
        while balancer.snapshot().iter().all(|e| e.ejected_for.is_none()) {
            balancer.pick(None).unwrap().record(Outcome::FAILURE);
        }
        let before = balancer.snapshot();

        let mut next: Vec<_> = list.iter().rev().cloned().collect();
        next[0] = next[0]
            .clone()
            .with_weight(9)
            .unwrap()
            .with_metadata("zone", "b");
        balancer.update(&next);
        let mut after = balancer.snapshot();
        assert_eq!(after[0].weight, 9);
        after[0].weight = 1;
        after.reverse();
        assert_eq!(after, before);
        assert_eq!(made.load(Ordering::SeqCst), 3);

        drop(held);
        assert!(balancer.snapshot().iter().all(|e| e.in_flight == 0));
    }

    #[test]
    fn the_instance_of_an_endpoint_is_the_latest_description() {
        let list = fleet_of(1);
        let balancer = balancer(Strategy::RoundRobin, &list);
        let picked = balancer.pick(None).unwrap();
        balancer.update(&[list[0].clone().with_metadata("zone", "b")]);
        assert_eq!(picked.instance().metadata()["zone"], "b".into());
    }

    #[test]
    fn another_place_is_another_endpoint() {
        let at = |uri: &str| Instance::new(uri).unwrap().with_id("a").unwrap();
        let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
            .build(&[at("http://old")], |instance| instance.uri().to_string())
            .unwrap();
        let old = balancer.pick(None).unwrap();
        balancer.update(&[at("http://new")]);
        assert_eq!(balancer.pick(None).unwrap().service(), "http://new/");
        assert_eq!(balancer.snapshot()[0].in_flight, 0);
        assert_eq!(
            (old.service().as_str(), old.in_flight()),
            ("http://old/", 1)
        );
    }

    #[test]
    fn whoever_leaves_finishes_its_calls_and_gets_no_more() {
        let list = fleet_of(2);
        let balancer = balancer(Strategy::RoundRobin, &list);
        let mut leaving = balancer.pick(None).unwrap();
        balancer.update(&list[1..]);
        assert_eq!(
            shares(&balancer, 10).into_keys().collect::<Vec<_>>(),
            ["http://i1"]
        );
        for _ in 0..9 {
            leaving.record(Outcome::FAILURE);
        }
        assert_eq!(&**leaving.service(), "http://i0");
        drop(leaving);
        assert!(ejected(&balancer).is_empty());
    }

    #[test]
    fn one_that_left_and_failed_does_not_count_among_those_that_stay() {
        let list = fleet_of(3);
        let balancer = balancer(Strategy::RoundRobin, &list);
        let mut old: Vec<_> = (0..15).map(|_| balancer.pick(None).unwrap()).collect();
        old.retain(|picked| &**picked.id() == "http://i0");
        balancer.update(&list[1..]);
        old.iter_mut()
            .for_each(|picked| picked.record(Outcome::FAILURE));
        drop(old);
        assert_eq!(shares(&balancer, 100).len(), 2);
        fail(&balancer, "http://i1", 5);
        assert_eq!(ejected(&balancer), ["http://i1"]);
    }

    #[test]
    fn of_two_with_one_id_the_first_counts() {
        let twin = Instance::new("http://b")
            .unwrap()
            .with_id("http://i0")
            .unwrap();
        let balancer = balancer(Strategy::RoundRobin, &[fleet_of(1).remove(0), twin]);
        assert_eq!(balancer.len(), 1);
        assert_eq!(balancer.snapshot()[0].uri, "http://i0/");
    }

    #[test]
    fn the_balancer_is_freed_with_its_last_clone() {
        let marker = Arc::new(());
        let inside = Arc::clone(&marker);
        let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
            .build(&fleet_of(3), move |_| Arc::clone(&inside))
            .unwrap();
        let picked = balancer.pick(None).unwrap();
        drop(balancer);
        assert_eq!(Arc::strong_count(&marker), 2);
        drop(picked);
        assert_eq!(Arc::strong_count(&marker), 1);
    }
}

mod races {
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
    fn round_robin_stays_exact_on_two_threads() {
        let balancer = balancer(Strategy::RoundRobin, &fleet_of(4));
        on_two_threads(|_| {
            for _ in 0..10_000 {
                drop(balancer.pick(None).unwrap());
            }
        });
        assert!(balancer.snapshot().iter().all(|e| e.requests == 5_000));
    }
}
