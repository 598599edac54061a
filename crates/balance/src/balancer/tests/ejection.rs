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

#[tokio::test(start_paused = true)]
async fn good_probes_after_bad_ones_end_an_ejection() {
    let balancer = balancer(Strategy::RoundRobin, &fleet_of(3));
    fail(&balancer, "http://i0", 5);
    // They see nothing wrong, and calls do: calls are right.
    balancer.set_health("http://i0", Health::Healthy);
    assert_eq!(ejected(&balancer), ["http://i0"]);
    balancer.set_health("http://i0", Health::Unhealthy);
    seconds(1).await;
    assert_eq!(ejected(&balancer), ["http://i0"]);
    balancer.set_health("http://i0", Health::Healthy);
    assert!(ejected(&balancer).is_empty());
    assert_eq!(balancer.snapshot()[0].score, 100);
    assert_eq!(shares(&balancer, 300)["http://i0"], 100);
    // Who fails soon after is out for longer.
    fail(&balancer, "http://i0", 5);
    assert!(balancer.snapshot()[0].ejected_for.unwrap().as_secs() >= 48);
}

#[tokio::test(start_paused = true)]
async fn what_a_failure_took_does_not_keep_calls_from_who_has_mended() {
    let balancer = balancer(Strategy::P2cPeakEwma, &fleet_of(3));
    for _ in 0..100 {
        let mut picked = balancer.pick(None).unwrap();
        seconds(1).await;
        picked.record(Outcome::Success);
    }
    let mut picked = balancer.pick_id("http://i0").unwrap();
    picked.record(Outcome::FAILURE);
    drop(picked);
    let ewma = |index: usize| balancer.snapshot()[index].ewma.unwrap();
    assert!(ewma(0) > 2 * ewma(1), "the failure counts for much");
    balancer.set_health("http://i0", Health::Unhealthy);
    balancer.set_health("http://i0", Health::Healthy);
    let (least, most) = (ewma(1).min(ewma(2)), ewma(1).max(ewma(2)));
    assert!((least..=most).contains(&ewma(0)), "it is like the others");
}

#[test]
fn one_that_probes_keep_out_takes_no_place_among_the_ejected() {
    let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .panic_threshold(0.25)
        .build(&fleet_of(3), |instance| Arc::clone(instance.id()))
        .unwrap();
    fail(&balancer, "http://i0", 5);
    fail(&balancer, "http://i1", 5);
    assert_eq!(ejected(&balancer), ["http://i0"], "one of three may go");
    assert!(!balancer.absorbs("http://i1"));
    balancer.set_health("http://i0", Health::Unhealthy);
    assert!(balancer.absorbs("http://i1"), "it can be set aside now");
    fail(&balancer, "http://i1", 1);
    assert_eq!(ejected(&balancer), ["http://i0", "http://i1"]);
    assert_eq!(shares(&balancer, 9).len(), 1);
    assert!(
        !balancer.absorbs("http://i2"),
        "the last one is the service"
    );
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

#[tokio::test(start_paused = true)]
async fn an_ejection_may_be_for_ever() {
    let outlier = OutlierConfig::builder()
        .base_ejection(Duration::MAX)
        .max_ejection(Duration::MAX)
        .build()
        .unwrap();
    for _ in 0..20 {
        let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
            .outlier(Some(outlier))
            .build(&fleet_of(2), |instance| Arc::clone(instance.id()))
            .unwrap();
        fail(&balancer, "http://i0", 5);
        assert_eq!(ejected(&balancer), ["http://i0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_behaves_after_an_early_return_is_forgiven() {
    let outlier = OutlierConfig::builder().jitter(0.0).build().unwrap();
    let three = fleet_of(3);
    let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .outlier(Some(outlier))
        .build(&three, |instance| Arc::clone(instance.id()))
        .unwrap();
    fail(&balancer, "http://i0", 5);
    seconds(1).await;
    // Alone, and so back at once.
    balancer.update(&three[..1]);
    assert!(ejected(&balancer).is_empty());
    balancer.update(&three);
    for _ in 0..50 {
        balancer
            .pick_id("http://i0")
            .unwrap()
            .record(Outcome::Success);
        seconds(1).await;
    }
    fail(&balancer, "http://i0", 5);
    let first = Duration::from_secs(30);
    assert_eq!(balancer.snapshot()[0].ejected_for, Some(first));
}

#[tokio::test(start_paused = true)]
async fn failures_before_probes_saw_it_mend_are_forgotten() {
    let balancer = balancer(Strategy::RoundRobin, &fleet_of(2));
    fail(&balancer, "http://i0", 4);
    balancer.set_health("http://i0", Health::Unhealthy);
    seconds(100).await;
    balancer.set_health("http://i0", Health::Healthy);
    fail(&balancer, "http://i0", 4);
    assert!(ejected(&balancer).is_empty());
    fail(&balancer, "http://i0", 1);
    assert_eq!(ejected(&balancer), ["http://i0"]);
}
