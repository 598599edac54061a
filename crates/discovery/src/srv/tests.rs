use std::{collections::VecDeque, sync::Mutex};

use super::*;
use crate::Snapshot;

type Answer = Result<Vec<SrvRecord>, &'static str>;

struct Script(Mutex<VecDeque<Answer>>);

impl ResolveSrv for Script {
    async fn resolve_srv(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
        assert_eq!(name, "_http._tcp.users.internal");
        let answer = self.0.lock().unwrap().pop_front();
        match answer {
            Some(answer) => answer.map_err(io::Error::other),
            None => std::future::pending().await,
        }
    }
}

fn source(answers: impl IntoIterator<Item = Answer>) -> Srv {
    let script = Script(Mutex::new(answers.into_iter().collect()));
    let builder = Srv::builder("http://_http._tcp.users.internal/api", script).unwrap();
    builder.clock(Clock::tokio()).spawn().unwrap()
}

fn record(target: &str, port: u16, priority: u16, weight: u16) -> SrvRecord {
    SrvRecord {
        target: target.into(),
        port,
        priority,
        weight,
    }
}

fn read(snapshot: &Snapshot) -> Vec<(&str, u32)> {
    let read = |it| (&**Instance::id(it), Instance::weight(it));
    snapshot.instances.iter().map(read).collect()
}

#[tokio::test(start_paused = true)]
async fn records_of_the_best_priority_become_instances() {
    let source = source([Ok(vec![
        record("two.", 8081, 10, 0),
        record("backup.", 80, 20, 5),
        record("one", 8080, 10, 30),
        record("one", 8080, 10, 30),
    ])]);
    let snapshot = source.watch().changed().await.unwrap();
    assert_eq!(
        read(&snapshot),
        [("http://one:8080/api", 30), ("http://two:8081/api", 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn rotated_answers_are_no_change_and_backups_step_in() {
    let (one, two) = (record("one", 1, 1, 1), record("two", 2, 1, 1));
    let source = source([
        Ok(vec![one.clone(), two.clone()]),
        Ok(vec![two, one]),
        Ok(vec![record("backup", 3, 2, 1)]),
    ]);
    let mut watch = source.watch();
    assert_eq!(watch.changed().await.unwrap().instances.len(), 2);
    assert_eq!(
        read(&watch.changed().await.unwrap()),
        [("http://backup:3/api", 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn failures_keep_the_last_good_set() {
    let source = source([
        Ok(vec![record("one", 1, 1, 1)]),
        Err("no such name"),
        Ok(vec![]),
        // "The service is decidedly not available at this domain."
        Ok(vec![record(".", 0, 0, 0), record("", 0, 0, 0)]),
        Ok(vec![record("not a host", 1, 0, 0)]),
    ]);
    let mut watch = source.watch();
    let good = watch.changed().await.unwrap();
    for error in [
        "no such name",
        "the name has no records of instances",
        "no record names a host",
        "the lookup took too long",
    ] {
        let snapshot = watch.changed().await.unwrap();
        assert_eq!(snapshot.error.as_deref(), Some(error));
        assert!(snapshot.stale);
        assert_eq!(snapshot.instances, good.instances);
    }
}

#[tokio::test]
async fn nonsense_is_refused() {
    let script = || Script(Mutex::default());
    let port = Srv::builder("http://_http._tcp.a:80", script());
    assert!(matches!(port.map(drop), Err(InvalidDns::Port)));
    let zero = Srv::builder("http://a", script())
        .unwrap()
        .interval(Duration::ZERO)
        .spawn();
    assert_eq!(zero.unwrap_err(), InvalidDns::ZeroInterval);
}
