mod distribution;
mod ejection;
mod exclusion;
mod races;
mod standing;
mod updates;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Barrier, Mutex,
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

#[tokio::test(start_paused = true)]
async fn failures_of_one_among_many_are_absorbed_until_none_can_be_set_aside() {
    let instances = ["http://a", "http://b", "http://c"].map(|uri| Instance::new(uri).unwrap());
    let balancer = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .outlier(OutlierConfig::default())
        .build(&instances, |_| ())
        .unwrap();
    let ids: Vec<_> = instances.iter().map(|i| Arc::clone(i.id())).collect();
    assert!(ids.iter().all(|id| balancer.absorbs(id)));

    // Five failures in a row set the first aside; half of three rounds down to one.
    for _ in 0..15 {
        let mut picked = balancer.pick(None).unwrap();
        let failed = picked.id() == &ids[0];
        picked.record(if failed {
            Outcome::FAILURE
        } else {
            Outcome::Success
        });
    }
    assert_eq!(balancer.ejections(), 1);
    assert!(balancer.absorbs(&ids[0]), "it is out of the way");
    assert!(!balancer.absorbs(&ids[1]), "no second one may go");
    assert!(balancer.absorbs("http://gone"));

    let alone = Balancer::builder(Strategy::RoundRobin, Clock::tokio())
        .outlier(OutlierConfig::default())
        .build(&instances[..1], |_| ())
        .unwrap();
    assert!(!alone.absorbs(&ids[0]), "there is nobody else");
}
