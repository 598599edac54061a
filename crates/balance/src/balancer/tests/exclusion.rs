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

#[test]
fn a_named_endpoint_is_picked_in_whatever_state_it_is() {
    let balancer = balancer(Strategy::RoundRobin, &fleet_of(3));
    balancer.set_health("http://i1", Health::Unhealthy);
    let picked = balancer.pick_id("http://i1").unwrap();
    assert_eq!(picked.service().to_string(), "http://i1");
    assert!(balancer.pick_id("http://i9").is_none());
}

#[test]
fn who_asks_an_endpoint_without_a_call_is_not_counted() {
    let balancer = balancer(Strategy::RoundRobin, &fleet_of(2));
    assert!(balancer.service("http://i1").is_some());
    assert!(balancer.service("http://nobody").is_none());
    let snapshot = balancer.snapshot();
    assert!(
        snapshot
            .iter()
            .all(|it| it.requests == 0 && it.in_flight == 0)
    );
}

#[test]
fn another_attempt_goes_to_who_is_well_even_where_all_are_used() {
    for strategy in Strategy::ALL {
        let balancer = balancer(strategy, &fleet_of(4));
        for n in [0, 1, 2] {
            balancer.set_health(&format!("http://i{n}"), Health::Unhealthy);
        }
        for key in 0..20 {
            let key = Some(crate::hash_key(&[key]));
            let mut tried = Tried::default();
            let first = balancer.pick(key).unwrap();
            tried.insert(&first);
            let second = balancer.pick_excluding(key, &tried).unwrap();
            if &**first.id() != "http://i3" {
                assert_eq!(&**second.id(), "http://i3", "{strategy:?}");
            }
            tried.insert(&second);
            let third = balancer.pick_excluding(key, &tried).unwrap();
            assert!(third.id() != first.id() && third.id() != second.id());
        }
    }
}
