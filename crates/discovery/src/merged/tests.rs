use std::time::Duration;

use super::*;
use crate::{Registrations, Snapshot, Static};

fn instance(id: &str, uri: &str) -> Instance {
    Instance::new(uri).unwrap().with_id(id).unwrap()
}

fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.instances.iter().map(|it| &**it.id()).collect()
}

#[tokio::test]
async fn the_first_source_counts() {
    let first = Static::new(vec![
        instance("1", "http://first"),
        instance("2", "http://two"),
    ]);
    let second = Static::new(vec![
        instance("1", "http://second"),
        instance("other-name", "http://TWO:80/"),
        instance("3", "http://three"),
    ]);
    let merged = Merged::builder()
        .source("a", &first)
        .source("b", &second)
        .spawn();
    let snapshot = merged.watch().current();
    assert_eq!(ids(&snapshot), ["1", "2", "3"]);
    assert_eq!(snapshot.instances[0].uri(), "http://first/");
    let counts: Vec<_> = merged
        .sources()
        .iter()
        .map(|it| (it.instances, it.used))
        .collect();
    assert_eq!(counts, [(2, 2), (3, 1)]);
}

#[tokio::test]
async fn one_source_may_have_several_at_one_place() {
    let one = Static::new(vec![instance("1", "http://a"), instance("2", "http://a")]);
    let merged = Merged::builder().source("a", &one).spawn();
    assert_eq!(ids(&merged.watch().current()), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_costs_its_own_instances_only() {
    let clock = Clock::tokio();
    let (file, live) = (Publisher::new(), Publisher::new());
    let builder = Merged::builder()
        .clock(clock)
        .source("file", &file)
        .source("live", &live);
    let merged = builder.spawn();
    let mut watch = merged.watch();
    assert!(watch.current().stale);
    file.replace(vec![instance("1", "http://a")]);
    assert_eq!(ids(&watch.changed().await.unwrap()), ["1"]);
    live.replace(vec![instance("2", "http://b")]);
    let good = watch.changed().await.unwrap();
    assert_eq!(ids(&good), ["1", "2"]);
    assert!(!good.stale);

    tokio::time::sleep(Duration::from_secs(5)).await;
    live.fail("does not answer");
    let bad = watch.changed().await.unwrap();
    assert_eq!(bad.instances, good.instances);
    assert!(bad.stale);
    assert_eq!(bad.error.as_deref(), Some("live: does not answer"));
    let [of_file, of_live] = merged.sources().try_into().unwrap();
    assert_eq!((of_file.stale_since, of_file.last_error), (None, None));
    assert_eq!(of_live.stale_since, Some(clock.wall()));

    // The other goes on as if nothing had happened.
    let since = clock.wall();
    tokio::time::sleep(Duration::from_secs(5)).await;
    file.replace(vec![instance("1", "http://a"), instance("3", "http://c")]);
    assert_eq!(ids(&watch.changed().await.unwrap()), ["1", "3", "2"]);
    assert_eq!(merged.sources()[1].stale_since, Some(since));

    live.replace(vec![instance("2", "http://b")]);
    let healed = watch.changed().await.unwrap();
    assert!(!healed.stale && healed.error.is_none());
    let of_live = merged.sources().remove(1);
    assert_eq!(of_live.stale_since, None);
    assert_eq!(of_live.last_error.as_deref(), Some("does not answer"));
}

#[tokio::test]
async fn what_all_sources_have_taken_out_is_gone_even_if_one_fails() {
    let (file, dead) = (Publisher::new(), Publisher::new());
    let merged = Merged::builder()
        .source("file", &file)
        .source("dead", &dead)
        .spawn();
    let mut watch = merged.watch();
    file.replace(vec![instance("1", "http://a")]);
    watch.changed().await.unwrap();
    file.clear();
    let snapshot = watch.changed().await.unwrap();
    assert!(snapshot.instances.is_empty() && !snapshot.stale);
    dead.fail("x");
    let snapshot = watch.changed().await.unwrap();
    assert!(!snapshot.stale && snapshot.error.is_some());
}

#[tokio::test]
async fn what_is_hidden_comes_back_when_it_counts() {
    let (first, second) = (Publisher::new(), Publisher::new());
    second.replace(vec![instance("1", "http://second")]);
    first.replace(vec![instance("1", "http://first")]);
    let merged = Merged::builder()
        .source("a", &first)
        .source("b", &second)
        .spawn();
    let mut watch = merged.watch();
    first.clear();
    let snapshot = watch.changed().await.unwrap();
    assert_eq!(snapshot.instances[0].uri(), "http://second/");
    drop(second);
    first.replace(vec![instance("2", "http://two")]);
    assert_eq!(ids(&watch.changed().await.unwrap()), ["2", "1"]);
}

#[tokio::test]
async fn registrations_merge_with_a_fixed_list() {
    let fixed = Static::new(vec![instance("1", "http://a")]);
    let registrations = Registrations::builder().spawn();
    let registered = registrations.service("users");
    let merged = Merged::builder()
        .source("fixed", &fixed)
        .source("live", &registered)
        .spawn();
    let mut watch = merged.watch();
    registrations
        .register("users", instance("2", "http://b"), None)
        .unwrap();
    assert_eq!(ids(&watch.changed().await.unwrap()), ["1", "2"]);
    registrations.deregister("users", "2").unwrap();
    assert_eq!(ids(&watch.changed().await.unwrap()), ["1"]);
    drop(merged);
    assert_eq!(watch.changed().await, None);
}
