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
