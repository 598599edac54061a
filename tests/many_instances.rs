//! Ten thousand instances in one registry: they are probed all over the interval, and never more
//! at a time than the configuration allows.

use std::{collections::VecDeque, fmt::Write as _, sync::Arc, time::Duration};

use bartizan_clock::{Clock, Instant};
use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Files, Variables};
use parking_lot::Mutex;

const INSTANCES: usize = 10_000;
/// How long a probe takes at least, and how many may be under way.
const TAKES: Duration = Duration::from_millis(20);
const AT_ONCE: usize = 10;
const INTERVAL: Duration = Duration::from_secs(60);

/// When probes arrived.
#[derive(Clone)]
struct Arrivals(Arc<Mutex<VecDeque<Instant>>>, Clock);

impl Arrivals {
    fn note(&self) {
        let now = self.1.now();
        self.0.lock().push_back(now);
    }

    /// The most that arrived within any time of this length.
    fn most_within(&self, length: Duration) -> usize {
        let arrivals = self.0.lock();
        let until = |from: Instant| {
            let within = arrivals
                .iter()
                .filter(|at| **at >= from && **at < from + length);
            within.count()
        };
        arrivals
            .iter()
            .map(|from| until(*from))
            .max()
            .unwrap_or_default()
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }
}

async fn probed(listed: &str, interval: Duration, time: Duration) -> Arrivals {
    let arrivals = Arrivals(Arc::default(), Clock::default());
    let noted = arrivals.clone();
    let backend = Upstream::start_with(move |request: &Recorded| {
        assert_eq!(request.uri.path(), "/health");
        noted.note();
        Reply::status(200).after(TAKES)
    })
    .await;
    let files = Files::new();
    let path = files.write("registry.json", listed.replace("URL", &backend.url()));
    let gateway = Variables::default()
        .set("MCP_GATEWAY_REGISTRY_FILE", path.display())
        .set("MCP_GATEWAY_MAX_CONCURRENT_CHECKS", AT_ONCE)
        .set("MCP_SERVICE_MANY_TRANSPORT", "rest")
        .set("MCP_SERVICE_MANY_HEALTH_PATH", "/health")
        .set("MCP_SERVICE_MANY_HEALTH_INTERVAL", interval.as_millis())
        .start()
        .await;
    tokio::time::sleep(time).await;
    gateway.stop().await;
    arrivals
}

fn listed(instances: usize) -> String {
    let mut text = String::from(r#"{"templates":{"many":{"instances":["#);
    for n in 0..instances {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"id":"i-{n}","endpoint":"URL","transport":"http"}}"#
        );
    }
    text + "]}}}"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_of_ten_thousand_instances_are_spread_over_the_interval() {
    let time = Duration::from_secs(2);
    let arrivals = probed(&listed(INSTANCES), INTERVAL, time).await;
    // A thirtieth of the interval, a thirtieth of the instances; unsettled ones are asked again.
    let count = arrivals.count();
    assert!((100..=800).contains(&count), "{count}");
    let burst = arrivals.most_within(TAKES);
    assert!(burst <= AT_ONCE, "{burst} at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_that_are_all_due_wait_for_their_turn() {
    // Two thousand in a tenth of a second, of which there is room for fifty.
    let interval = Duration::from_millis(100);
    let arrivals = probed(&listed(2_000), interval, Duration::from_secs(1)).await;
    assert!(arrivals.count() > 100, "{}", arrivals.count());
    let burst = arrivals.most_within(TAKES);
    assert!(burst <= AT_ONCE, "{burst} at once");
}
