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
    let wait = error.retry_after().unwrap();
    assert!(wait >= Duration::from_secs(24) && wait <= Duration::from_secs(36));
    tokio::time::advance(wait).await;
    assert_eq!(&**balancer.pick(None).unwrap().id(), "http://i0");
    balancer.set_health("http://i0", Health::Unhealthy);
    assert_eq!(balancer.pick(None).unwrap_err().retry_after(), None);
}

#[test]
fn an_empty_set_is_an_immediate_error() {
    for strategy in Strategy::ALL {
        let balancer = balancer(strategy, &[]);
        assert_eq!(balancer.pick(Some(1)).unwrap_err(), NoEndpoints::FOR_GOOD);
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

#[test]
fn targets_say_where_health_is_asked_for() {
    let elsewhere = "http://elsewhere/health";
    let instances = [Instance::new("http://i0")
        .unwrap()
        .with_metadata(bartizan_discovery::HEALTH_URL, elsewhere)];
    let targets = balancer(Strategy::RoundRobin, &instances).targets();
    assert_eq!(targets[0].health_url.as_ref().unwrap(), elsewhere);
}

#[tokio::test(start_paused = true)]
async fn failures_are_forgotten_however_long_the_process_runs() {
    let mut days = 0;
    for day in [0, 1, 21, 30, 45, 60] {
        seconds((day - days) * 86_400).await;
        days = day;
        let balancer = Balancer::builder(Strategy::HealthBased, Clock::tokio())
            .outlier(None)
            .build(&fleet_of(2), |instance| Arc::clone(instance.id()))
            .unwrap();
        for _ in 0..10 {
            let mut picked = balancer.pick_id("http://i0").unwrap();
            picked.record(Outcome::FAILURE);
        }
        assert!(balancer.snapshot()[0].score < 40);
        seconds(600).await;
        assert_eq!(balancer.snapshot()[0].score, 100, "on day {day}");
        assert!(shares(&balancer, 1_000)["http://i0"] > 300, "on day {day}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_latency_of_a_month_ago_is_forgotten() {
    let balancer = balancer(Strategy::P2cPeakEwma, &fleet_of(2));
    fail(&balancer, "http://i0", 1);
    seconds(30 * 86_400).await;
    for _ in 0..600 {
        balancer
            .pick_id("http://i0")
            .unwrap()
            .record(Outcome::Success);
        seconds(1).await;
    }
    let ewma = balancer.snapshot()[0].ewma.unwrap();
    assert!(ewma < Duration::from_millis(10), "{ewma:?}");
}
