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
