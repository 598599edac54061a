use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use bartizan_clock::Instant;

use super::*;
use crate::{Concurrency, Health, ProbeResult};

/// A fleet whose members live and die as the test says.
#[derive(Clone, Default)]
struct Fleet(Arc<Inner>);

#[derive(Default)]
struct Inner {
    dead: Mutex<HashMap<String, bool>>,
    hang: AtomicBool,
    slow: AtomicBool,
    brief: AtomicBool,
    running: AtomicUsize,
    most: AtomicUsize,
    started: Mutex<Vec<(String, Instant)>>,
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fleet {
    fn set(&self, id: &str, alive: bool) {
        self.0.dead.lock().insert(id.to_owned(), !alive);
    }

    fn probes(&self) -> usize {
        self.0.started.lock().len()
    }
}

impl Probe for Fleet {
    async fn probe(&self, target: &Target) -> ProbeResult {
        let fleet = &self.0;
        let running = fleet.running.fetch_add(1, Ordering::SeqCst) + 1;
        let _running = Running(&fleet.running);
        fleet.most.fetch_max(running, Ordering::SeqCst);
        let now = Clock::tokio().now();
        fleet.started.lock().push((target.id.to_string(), now));
        if fleet.hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if fleet.brief.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if fleet.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        match fleet.dead.lock().get(&*target.id) {
            Some(true) => ProbeResult::dead("said so"),
            _ => ProbeResult::Alive,
        }
    }
}

fn target(id: &str) -> Target {
    Target::new(id, format!("http://{id}:80").parse().unwrap())
}

type Heard = Arc<Mutex<Vec<String>>>;

fn checker(fleet: &Fleet, targets: &[&str]) -> (Checker, Heard) {
    let heard = Heard::default();
    let listener = Arc::clone(&heard);
    let checker = Checker::builder(HealthConfig::default(), fleet.clone())
        .clock(Clock::tokio())
        .on_transition(move |t| {
            let reason = t.reason.as_deref().unwrap_or("-");
            listener
                .lock()
                .push(format!("{} {} {} {reason}", t.id, t.from, t.to));
        })
        .spawn(targets.iter().map(|id| target(id)));
    (checker, heard)
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn thresholds_count_in_both_directions() {
    let fleet = Fleet::default();
    fleet.set("a", false);
    let (checker, heard) = checker(&fleet, &["a"]);
    let state = checker.state("a").unwrap();
    // The third probe comes after 4.8 s at the earliest and after 13.2 s at the latest.
    seconds(4).await;
    assert_eq!(state.health(), Health::Unknown);
    seconds(10).await;
    assert_eq!(state.health(), Health::Unhealthy);
    assert_eq!(state.summary().probes, 3);
    fleet.set("a", true);
    seconds(41).await;
    assert_eq!(state.health(), Health::Healthy);
    let expected = ["a unknown unhealthy said so", "a unhealthy healthy -"];
    assert_eq!(*heard.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn news_is_followed_up_soon_and_old_news_is_not() {
    let fleet = Fleet::default();
    let (checker, _) = checker(&fleet, &["a"]);
    let state = checker.state("a").unwrap();
    seconds(11).await;
    assert_eq!((state.health(), fleet.probes()), (Health::Healthy, 2));
    // Nothing new for a minute: two intervals, give or take.
    seconds(60).await;
    assert!((3..=5).contains(&fleet.probes()), "{}", fleet.probes());
    fleet.set("a", false);
    let before = fleet.probes();
    // One interval to notice, and two rechecks to be sure.
    seconds(36 + 8).await;
    assert_eq!(state.health(), Health::Unhealthy);
    assert!(fleet.probes() - before <= 4);
}

#[tokio::test(start_paused = true)]
async fn who_needs_an_instance_has_it_probed_soon_but_not_often() {
    let fleet = Fleet::default();
    fleet.set("a", false);
    let (checker, _) = checker(&fleet, &["a", "b"]);
    let state = checker.state("a").unwrap();
    seconds(15).await;
    assert_eq!(state.health(), Health::Unhealthy);
    let before = fleet.probes();
    for _ in 0..1000 {
        checker.probe_soon("a");
        checker.probe_unhealthy_soon();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = fleet.probes() - before;
    // Ten seconds at one probe in 2.4 to 3.6 s; "b" is well and asked for by nobody.
    assert!((2..=5).contains(&asked), "{asked}");
    fleet.set("a", true);
    checker.probe_soon("a");
    seconds(8).await;
    assert_eq!(state.health(), Health::Healthy);
    checker.probe_soon("nobody");
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_elsewhere_keeps_its_health() {
    let fleet = Fleet::default();
    let (checker, heard) = checker(&fleet, &["a"]);
    let state = checker.state("a").unwrap();
    seconds(15).await;
    assert_eq!(state.health(), Health::Healthy);
    let url = "http://elsewhere/health".parse().unwrap();
    checker.update([target("a").with_health_url(url)]);
    assert_eq!(checker.state("a").unwrap().health(), Health::Healthy);
    fleet.set("a", false);
    seconds(45).await;
    assert_eq!(state.health(), Health::Unhealthy);
    assert_eq!(heard.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_instances_are_probed_without_a_burst() {
    const LIMIT: usize = 100;
    let fleet = Fleet::default();
    // 333 probes a second of 100 ms each: a third of what is allowed, if they are spread out.
    fleet.0.brief.store(true, Ordering::SeqCst);
    let config = HealthConfig::builder()
        .max_concurrent(LIMIT)
        .build()
        .unwrap();
    let start = Clock::tokio().now();
    let checker = Checker::builder(config, fleet.clone())
        .clock(Clock::tokio())
        .spawn((0..10_000).map(|n| target(&format!("i{n}"))));
    seconds(31).await;
    assert!(fleet.0.most.load(Ordering::SeqCst) <= LIMIT);
    let mut first = HashMap::new();
    for (id, at) in fleet.0.started.lock().iter() {
        first.entry(id.clone()).or_insert(*at);
    }
    assert_eq!(first.len(), 10_000);
    let mut per_second = [0; 31];
    for at in first.values() {
        per_second[(*at - start).as_secs() as usize] += 1;
    }
    // 333 on average; a burst would put thousands into one.
    let most = per_second.iter().max().unwrap();
    assert!(*most < 500, "{per_second:?}");
    let stats = checker.stats();
    assert_eq!(stats.probes, stats.succeeded);
    assert!(
        stats.probes > 10_000 && stats.in_flight <= LIMIT,
        "{stats:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn checkers_can_share_one_bound() {
    let fleet = Fleet::default();
    fleet.0.slow.store(true, Ordering::SeqCst);
    let bound = Concurrency::new(const { std::num::NonZeroUsize::new(3).unwrap() });
    let checkers: Vec<_> = (0..20)
        .map(|n| {
            Checker::builder(HealthConfig::default(), fleet.clone())
                .clock(Clock::tokio())
                .concurrency(bound.clone())
                .spawn([target(&format!("i{n}"))])
        })
        .collect();
    seconds(60).await;
    assert_eq!(fleet.0.most.load(Ordering::SeqCst), 3);
    for (n, checker) in checkers.iter().enumerate() {
        assert!(checker.stats().probes >= 1, "{n}");
    }
}

/// One dead instance beside services of 200 instances that hang, all within one bound of ten:
/// how long until it is known to be dead.
async fn known_to_be_dead_beside(hanging: usize) -> Duration {
    let hang = Fleet::default();
    hang.0.hang.store(true, Ordering::SeqCst);
    let bound = Concurrency::new(const { std::num::NonZeroUsize::new(10).unwrap() });
    let begin = |fleet: &Fleet, targets: Vec<Target>| {
        Checker::builder(HealthConfig::default(), fleet.clone())
            .clock(Clock::tokio())
            .concurrency(bound.clone())
            .spawn(targets)
    };
    let many = || (0..200).map(|n| target(&format!("i{n}"))).collect();
    let _others: Vec<_> = (0..hanging).map(|_| begin(&hang, many())).collect();
    seconds(30).await;
    let fleet = Fleet::default();
    fleet.set("a", false);
    let checker = begin(&fleet, vec![target("a")]);
    let state = checker.state("a").unwrap();
    let start = Clock::tokio().now();
    for _ in 0..120 {
        if !state.is_usable() {
            break;
        }
        seconds(1).await;
    }
    Clock::tokio().now() - start
}

#[tokio::test(start_paused = true)]
async fn instances_that_hang_delay_only_their_own_service() {
    // As without the others: the third probe comes after 13.2 s at the latest.
    let beside_one = known_to_be_dead_beside(1).await;
    assert!(beside_one <= Duration::from_secs(14), "{beside_one:?}");
    // Each of the three waits for one that ends within its five seconds, however many wait.
    let beside_many = known_to_be_dead_beside(8).await;
    assert!(
        beside_many <= Duration::from_secs(14 + 15),
        "{beside_many:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn totals_add_up() {
    let fleet = Fleet::default();
    fleet.set("b", false);
    let (checker, _) = checker(&fleet, &["a", "b"]);
    assert_eq!(checker.stats(), CheckerStats::default());
    for _ in 0..3 {
        checker.probe_all().await;
    }
    let stats = checker.stats();
    assert_eq!((stats.probes, stats.succeeded, stats.failed), (6, 3, 3));
    assert_eq!((stats.became_healthy, stats.became_unhealthy), (1, 1));
    assert_eq!(stats.last_probe, Some(Clock::tokio().now()));
    checker.update([]);
    checker.update([target("c")]);
    fleet.0.hang.store(true, Ordering::SeqCst);
    let mut all = Box::pin(checker.probe_all());
    let brief = Duration::from_millis(1);
    assert!(tokio::time::timeout(brief, &mut all).await.is_err());
    assert!(checker.stats().in_flight >= 1);
    drop(all);
    checker.update([]);
    seconds(1).await;
    assert_eq!(checker.stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_a_failure() {
    let fleet = Fleet::default();
    fleet.0.hang.store(true, Ordering::SeqCst);
    let (checker, heard) = checker(&fleet, &["a"]);
    seconds(150).await;
    assert_eq!(checker.state("a").unwrap().health(), Health::Unhealthy);
    assert_eq!(*heard.lock(), ["a unknown unhealthy no answer in 5s"]);
    assert!(fleet.0.running.load(Ordering::SeqCst) <= 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_probes_run_at_a_time_than_allowed() {
    let fleet = Fleet::default();
    fleet.0.slow.store(true, Ordering::SeqCst);
    let ids: Vec<_> = (0..200).map(|n| format!("i{n}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let (checker, _) = checker(&fleet, &ids);
    seconds(60).await;
    assert_eq!(fleet.0.most.load(Ordering::SeqCst), 10);
    let all = checker.states();
    assert_eq!(all.len(), 200);
    assert!(all.iter().all(|(_, state)| state.summary().probes >= 1));
}

#[tokio::test(start_paused = true)]
async fn probes_are_spread_out() {
    let fleet = Fleet::default();
    let ids: Vec<_> = (0..50).map(|n| format!("i{n}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let start = Clock::tokio().now();
    let (_checker, _) = checker(&fleet, &ids);
    seconds(31).await;
    let mut started = HashMap::new();
    for (id, at) in fleet.0.started.lock().iter() {
        started.entry(id.clone()).or_insert(*at);
    }
    assert_eq!(started.len(), 50);
    let late = |at: &&Instant| **at - start > Duration::from_secs(15);
    let late = started.values().filter(late).count();
    assert!((10..=40).contains(&late), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_few_are_known_soon() {
    let fleet = Fleet::default();
    let (checker, _) = checker(&fleet, &["a", "b", "c"]);
    seconds(10).await;
    let all = checker.states();
    assert!(all.iter().all(|(_, it)| it.health() == Health::Healthy));
}

#[tokio::test(start_paused = true)]
async fn an_update_keeps_who_stays_and_forgets_who_leaves() {
    let fleet = Fleet::default();
    let (checker, heard) = checker(&fleet, &["a", "b"]);
    seconds(90).await;
    let (a, b) = (checker.state("a").unwrap(), checker.state("b").unwrap());
    assert_eq!((a.health(), b.health()), (Health::Healthy, Health::Healthy));

    fleet.set("b", false);
    let moved = Target::new("c", "http://elsewhere".parse().unwrap());
    checker.update([target("a"), target("c"), moved.clone()]);
    assert!(checker.state("b").is_none());
    assert_eq!(
        checker.state("a").unwrap().summary().probes,
        a.summary().probes
    );
    seconds(120).await;
    assert!(a.summary().probes > 3);
    assert_eq!(b.health(), Health::Healthy);
    assert!(
        !heard
            .lock()
            .iter()
            .any(|line| line.starts_with("b healthy"))
    );
    assert_eq!(checker.states().len(), 2);

    // Elsewhere, "c" is another instance.
    assert_eq!(checker.state("c").unwrap().health(), Health::Healthy);
    checker.update([target("a"), target("c")]);
    assert_eq!(checker.state("c").unwrap().health(), Health::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_one_that_left_is_ignored() {
    let fleet = Fleet::default();
    fleet.0.slow.store(true, Ordering::SeqCst);
    let (checker, _) = checker(&fleet, &["a"]);
    let state = checker.state("a").unwrap();
    let all = checker.probe_all();
    tokio::pin!(all);
    let half = Duration::from_millis(500);
    assert!(tokio::time::timeout(half, &mut all).await.is_err());
    checker.update([]);
    all.await;
    assert_eq!(state.summary().probes, 0);
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_ask_now() {
    let fleet = Fleet::default();
    let (checker, heard) = checker(&fleet, &["a", "b"]);
    fleet.set("b", false);
    for _ in 0..3 {
        checker.probe_all().await;
    }
    let mut lines = heard.lock().clone();
    lines.sort();
    assert_eq!(
        lines,
        ["a unknown healthy -", "b unknown unhealthy said so"]
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_checker_stops_in_the_middle_of_a_probe() {
    let fleet = Fleet::default();
    fleet.0.hang.store(true, Ordering::SeqCst);
    let (checker, _) = checker(&fleet, &["a", "b", "c"]);
    seconds(7).await;
    assert!(fleet.probes() >= 3);
    drop(checker);
    seconds(1).await;
    let (probes, running) = (fleet.probes(), fleet.0.running.load(Ordering::SeqCst));
    assert_eq!(running, 0);
    seconds(600).await;
    assert_eq!(fleet.probes(), probes);
}

/// On two threads, as one would end them one after the other while the other one begins more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_checker_gives_no_turn_to_those_that_wait() {
    const AT_ONCE: usize = 50;
    for _ in 0..20 {
        let fleet = Fleet::default();
        fleet.0.hang.store(true, Ordering::SeqCst);
        let config = HealthConfig {
            max_concurrent: AT_ONCE.try_into().unwrap(),
            interval: Duration::from_millis(10),
            ..HealthConfig::default()
        };
        let targets = (0..1_000).map(|n| target(&format!("i-{n}")));
        let checker = Checker::builder(config, fleet.clone()).spawn(targets);
        while fleet.probes() < AT_ONCE {
            tokio::task::yield_now().await;
        }
        drop(checker);
        while fleet.0.running.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(fleet.probes(), AT_ONCE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_look_at_everything() {
    let fleet = Fleet::default();
    let cell: Arc<Mutex<Option<Arc<Checker>>>> = Arc::default();
    let seen = Arc::new(AtomicUsize::new(0));
    let (inside, counted) = (Arc::clone(&cell), Arc::clone(&seen));
    let checker = Checker::builder(HealthConfig::default(), fleet)
        .clock(Clock::tokio())
        .on_transition(move |t| {
            let checker = inside.lock().clone().unwrap();
            let state = checker.state(&t.id).unwrap();
            assert_eq!(state.health(), t.to);
            assert_eq!(state.summary().consecutive_successes, 2);
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .spawn([target("a")]);
    *cell.lock() = Some(Arc::new(checker));
    seconds(90).await;
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    cell.lock().take();
}

#[tokio::test(start_paused = true)]
async fn an_interval_may_be_as_long_as_any() {
    let config = HealthConfig::builder()
        .interval(Duration::MAX)
        .jitter(1.0)
        .build()
        .unwrap();
    let checker = Checker::builder(config, Fleet::default())
        .clock(Clock::tokio())
        .spawn([target("a")]);
    checker.update([target("a"), target("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_a_bad_one_and_not_the_last() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let probe = move |_: &Target| {
        let before = count.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(before >= 10, "a bug in the probe");
            ProbeResult::Alive
        }
    };
    let checker = Checker::builder(HealthConfig::default(), probe)
        .clock(Clock::tokio())
        .spawn([target("a")]);
    while asked.load(Ordering::SeqCst) < 10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(checker.state("a").unwrap().health(), Health::Unhealthy);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(checker.state("a").unwrap().health(), Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_does_not_end_the_probing() {
    let fleet = Fleet::default();
    let _checker = Checker::builder(HealthConfig::default(), fleet.clone())
        .clock(Clock::tokio())
        .on_transition(|_| panic!("a bug in the listener"))
        .spawn([target("a")]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(fleet.probes() > 10, "{}", fleet.probes());
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_for_is_probed_within_the_recheck_time() {
    let fleet = Fleet::default();
    let config = HealthConfig::builder()
        .interval(Duration::from_secs(100_000))
        .recheck(Duration::from_secs(100))
        .build()
        .unwrap();
    let checker = Checker::builder(config, fleet.clone())
        .clock(Clock::tokio())
        .spawn([target("a")]);
    for _ in 0..20 {
        let before = fleet.probes();
        checker.probe_soon("a");
        tokio::time::sleep(Duration::from_millis(100_002)).await;
        assert!(fleet.probes() > before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_named_twice_keeps_its_health() {
    let fleet = Fleet::default();
    fleet.set("a", false);
    let checker = Checker::builder(HealthConfig::default(), fleet)
        .clock(Clock::tokio())
        .spawn([target("a")]);
    tokio::time::sleep(Duration::from_secs(300)).await;
    for _ in 0..2 {
        assert_eq!(checker.state("a").unwrap().health(), Health::Unhealthy);
        checker.update([target("a"), target("a")]);
    }
}
