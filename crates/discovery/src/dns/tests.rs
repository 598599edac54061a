use std::{
    collections::VecDeque,
    io,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::Snapshot;

#[derive(Clone, Default)]
struct Script(Arc<Inner>);

#[derive(Default)]
struct Inner {
    answers: Mutex<VecDeque<Answer>>,
    lookups: AtomicUsize,
}

enum Answer {
    Addresses(&'static [[u8; 4]]),
    Failure,
    /// This address, after so long.
    Late(Duration, [u8; 4]),
    Never,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.0.answers.lock().unwrap().extend(answers);
        script
    }

    fn lookups(&self) -> usize {
        self.0.lookups.load(Ordering::SeqCst)
    }
}

impl Resolve for Script {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        assert_eq!((host, port), ("users.internal", 8080));
        self.0.lookups.fetch_add(1, Ordering::SeqCst);
        let answer = self.0.answers.lock().unwrap().pop_front();
        match answer {
            Some(Answer::Addresses(list)) => Ok(list.iter().map(|a| IpAddr::from(*a)).collect()),
            Some(Answer::Failure) => Err(io::Error::other("no such name")),
            Some(Answer::Late(wait, address)) => {
                tokio::time::sleep(wait).await;
                Ok(vec![IpAddr::from(address)])
            }
            Some(Answer::Never) | None => std::future::pending().await,
        }
    }
}

fn source(script: &Script) -> Dns {
    Dns::builder("http://users.internal:8080/api")
        .unwrap()
        .clock(Clock::tokio())
        .resolver(script.clone())
        .spawn()
        .unwrap()
}

fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.instances.iter().map(|i| &**i.id()).collect()
}

const ONE: &str = "http://10.0.0.1:8080/api";
const TWO: &str = "http://10.0.0.2:8080/api";

#[tokio::test(start_paused = true)]
async fn addresses_become_instances() {
    let script = Script::new([Answer::Addresses(&[[10, 0, 0, 2], [10, 0, 0, 1]])]);
    let source = source(&script);
    let snapshot = source.watch().changed().await.unwrap();
    assert_eq!(ids(&snapshot), [ONE, TWO]);
    let host = snapshot.instances[0].metadata().get(HOST);
    assert_eq!(host.map(|host| &**host), Some("users.internal"));
}

#[tokio::test(start_paused = true)]
async fn rotated_answers_are_no_change_and_new_ones_are() {
    let script = Script::new([
        Answer::Addresses(&[[10, 0, 0, 1], [10, 0, 0, 2]]),
        Answer::Addresses(&[[10, 0, 0, 2], [10, 0, 0, 1], [10, 0, 0, 2]]),
        Answer::Addresses(&[[10, 0, 0, 2]]),
    ]);
    let source = source(&script);
    let mut watch = source.watch();
    let start = Clock::tokio().now();
    assert_eq!(ids(&watch.changed().await.unwrap()), [ONE, TWO]);
    assert_eq!(ids(&watch.changed().await.unwrap()), [TWO]);
    assert_eq!(script.lookups(), 3);
    let waited = Clock::tokio().now() - start;
    assert!(waited >= Duration::from_secs(48) && waited <= Duration::from_secs(72));
}

#[tokio::test(start_paused = true)]
async fn a_failing_resolver_keeps_the_last_good_set() {
    let script = Script::new([
        Answer::Addresses(&[[10, 0, 0, 1]]),
        Answer::Failure,
        Answer::Addresses(&[]),
        Answer::Never,
        Answer::Addresses(&[[10, 0, 0, 1]]),
    ]);
    let source = source(&script);
    let mut watch = source.watch();
    assert!(!watch.changed().await.unwrap().stale);
    for error in [
        "no such name",
        "the name has no addresses",
        "the lookup took too long",
    ] {
        let snapshot = watch.changed().await.unwrap();
        assert_eq!(ids(&snapshot), [ONE]);
        assert!(snapshot.stale);
        assert_eq!(snapshot.error.as_deref(), Some(error));
    }
    let snapshot = watch.changed().await.unwrap();
    assert!(!snapshot.stale && snapshot.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn name_servers_that_are_dead_leave_time_for_the_one_that_is_not() {
    // Two of three, at five seconds each.
    let wait = Duration::from_millis(10_100);
    let script = Script::new([Answer::Late(wait, [10, 0, 0, 1])]);
    let source = source(&script);
    assert_eq!(ids(&source.watch().changed().await.unwrap()), [ONE]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_repeated_soon_and_then_at_the_interval() {
    let script = Script::new((0..100).map(|_| Answer::Failure));
    let _source = source(&script);
    tokio::time::sleep(Duration::from_secs(8)).await;
    let early = script.lookups();
    assert!((4..=6).contains(&early), "{early}");
    tokio::time::sleep(Duration::from_secs(300)).await;
    let later = script.lookups() - early;
    assert!((9..=22).contains(&later), "{later}");
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_look_need_not_wait_for_the_interval() {
    let script = Script::new([
        Answer::Addresses(&[[10, 0, 0, 1]]),
        Answer::Addresses(&[[10, 0, 0, 2]]),
        Answer::Failure,
        Answer::Addresses(&[[10, 0, 0, 1]]),
    ]);
    let source = source(&script);
    let mut watch = source.watch();
    watch.changed().await.unwrap();
    let start = Clock::tokio().now();
    source.look().await;
    assert_eq!(ids(&watch.current()), [TWO]);
    source.look().await;
    assert!(watch.current().stale);
    source.look().await;
    assert_eq!(ids(&watch.current()), [ONE]);
    assert_eq!(
        (Clock::tokio().now() - start, script.lookups()),
        (Duration::ZERO, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_source_stops_the_lookups() {
    let script = Script::new((0..100).map(|_| Answer::Addresses(&[[10, 0, 0, 1]])));
    let source = source(&script);
    let mut watch = source.watch();
    watch.changed().await.unwrap();
    drop(source);
    assert_eq!(watch.changed().await, None);
    let lookups = script.lookups();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(script.lookups(), lookups);
    assert_eq!(ids(&watch.current()), [ONE]);
}

#[tokio::test]
async fn the_systems_resolver_knows_localhost() {
    let source = Dns::builder("http://localhost:80")
        .unwrap()
        .spawn()
        .unwrap();
    let snapshot = source.watch().changed().await.unwrap();
    let first = snapshot.instances[0].uri().host().unwrap().to_owned();
    assert!(first == "127.0.0.1" || first == "[::1]", "{first}");
}

#[tokio::test]
async fn an_address_is_its_own_answer() {
    for uri in ["http://[::1]:80", "http://127.0.0.1:80"] {
        let source = Dns::builder(uri).unwrap().spawn().unwrap();
        let snapshot = source.watch().changed().await.unwrap();
        assert_eq!(ids(&snapshot), [uri]);
    }
}

#[tokio::test]
async fn nonsense_is_refused() {
    let builder = || Dns::builder("http://a:1").unwrap();
    let zero = builder().interval(Duration::ZERO).spawn();
    assert_eq!(zero.unwrap_err(), InvalidDns::ZeroInterval);
    let zero = builder().timeout(Duration::ZERO).spawn();
    assert_eq!(zero.unwrap_err(), InvalidDns::ZeroTimeout);
    let jitter = builder().jitter(f64::NAN).spawn();
    assert_eq!(jitter.unwrap_err(), InvalidDns::Jitter);
    assert_eq!(Dns::builder("tcp://a").unwrap_err(), InvalidDns::NoPort);
    assert_eq!(
        Dns::builder("/x").unwrap_err(),
        InvalidDns::Instance(InvalidInstance::NotAbsolute)
    );
}
