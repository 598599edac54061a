//! A balancer that follows a source of instances, and health probes that follow both.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bartizan_balance::{Balancer, Strategy};
use bartizan_clock::Clock;
use bartizan_discovery::{Discover, Instance, Publisher, parse_endpoints};
use bartizan_health::{Checker, Health, HealthConfig, ProbeResult, Target};

fn instances(text: &str) -> Vec<Instance> {
    parse_endpoints(text).unwrap()
}

fn empty() -> Balancer<()> {
    Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .build(&[], |_| ())
        .unwrap()
}

fn ids(balancer: &Balancer<()>) -> Vec<String> {
    let snapshot = balancer.snapshot().into_iter();
    snapshot.map(|endpoint| endpoint.id.to_string()).collect()
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_balancer_follows_its_source_and_survives_it() {
    let source = Publisher::new();
    source.replace(instances("http://a,http://b"));
    let balancer = empty();
    let follow = balancer.follow(source.watch());
    assert_eq!(ids(&balancer), ["http://a", "http://b"]);

    source.replace(instances("http://b,http://c"));
    settle().await;
    assert_eq!(ids(&balancer), ["http://b", "http://c"]);

    source.fail("gone");
    source.replace(Vec::new());
    settle().await;
    assert_eq!(ids(&balancer), ["http://b", "http://c"]);

    source.clear();
    settle().await;
    assert!(balancer.is_empty());

    source.replace(instances("http://d"));
    settle().await;
    drop(follow);
    settle().await;
    source.replace(instances("http://e"));
    settle().await;
    assert_eq!(ids(&balancer), ["http://d"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answered_does_not_empty_the_balancer() {
    let source = Publisher::new();
    let balancer = empty();
    assert!(balancer.seed(&instances("http://seed")));
    assert!(!balancer.seed(&instances("http://later")));
    let _follow = balancer.follow(source.watch());
    source.fail("no answer yet");
    settle().await;
    assert_eq!(ids(&balancer), ["http://seed"]);
}

#[tokio::test(start_paused = true)]
async fn following_does_not_keep_the_balancer_alive() {
    let marker = Arc::new(());
    let inside = Arc::clone(&marker);
    let source = Publisher::new();
    let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .build(&instances("http://a"), move |_| Arc::clone(&inside))
        .unwrap();
    let _follow = balancer.follow(source.watch());
    drop(balancer);
    settle().await;
    assert_eq!(Arc::strong_count(&marker), 1);
}

#[tokio::test(start_paused = true)]
async fn probes_follow_the_set_and_the_balancer_heeds_them() {
    let dead: Arc<Mutex<HashSet<String>>> = Arc::default();
    let probe = {
        let dead = Arc::clone(&dead);
        move |target: &Target| {
            let dead = dead.lock().unwrap().contains(&*target.id);
            async move {
                if dead {
                    ProbeResult::dead("said so")
                } else {
                    ProbeResult::Alive
                }
            }
        }
    };
    let source = Publisher::new();
    source.replace(instances("http://a,http://b,http://c"));
    let balancer = empty();
    let checker = Checker::builder(HealthConfig::default(), probe)
        .clock(Clock::tokio())
        .on_transition(balancer.health_listener())
        .spawn([]);
    let _follow = balancer.follow_checked(source.watch(), Arc::new(checker));

    dead.lock().unwrap().insert("http://b".into());
    tokio::time::sleep(Duration::from_secs(150)).await;
    let health = || -> Vec<_> {
        let snapshot = balancer.snapshot();
        snapshot.iter().map(|endpoint| endpoint.health).collect()
    };
    let (good, bad) = (Health::Healthy, Health::Unhealthy);
    assert_eq!(health(), [good, bad, good]);
    for _ in 0..30 {
        assert_ne!(&**balancer.pick(None).unwrap().id(), "http://b");
    }

    source.replace(instances("http://b,http://d"));
    settle().await;
    assert_eq!(health(), [bad, Health::Unknown]);
    dead.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(health(), [good, good]);
}

#[tokio::test(start_paused = true)]
async fn following_goes_on_after_a_panic() {
    let source = Publisher::new();
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .build(&[], move |_| assert!(!broken.load(Ordering::SeqCst)))
        .unwrap();
    let _follow = balancer.follow(source.watch());
    source.replace(instances("http://a,http://b"));
    settle().await;
    assert!(ids(&balancer).is_empty());
    is_broken.store(false, Ordering::SeqCst);
    source.replace(instances("http://c"));
    settle().await;
    assert_eq!(ids(&balancer), ["http://c"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_found_at_the_old_place_is_not_held_against_the_new_one() {
    let at = |uri: &str| vec![Instance::new(uri).unwrap().with_id("a").unwrap()];
    let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .build(&at("http://old"), |_| ())
        .unwrap();
    let dead = |_: &Target| async { ProbeResult::dead("old") };
    let checker = Checker::builder(HealthConfig::default(), dead)
        .clock(Clock::tokio())
        .on_transition(balancer.health_listener())
        .spawn(balancer.targets());
    // The instance has moved, and the last probe of the old place ends before the checker hears.
    balancer.update(&at("http://new"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(checker.state("a").unwrap().health(), Health::Unhealthy);
    assert_eq!(balancer.snapshot()[0].health, Health::Unknown);
    checker.update(balancer.targets());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(balancer.snapshot()[0].health, Health::Unhealthy);
}
